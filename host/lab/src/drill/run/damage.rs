//! A leader whose log is damaged on its disk while it is down.

use super::Running;
use crate::drill::report::{Check, Event, Kind};
use crate::failure::Failure;
use littoral_model::region::Region as Name;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// How segments of the log end.
const SEGMENT: &str = "seg";

impl<T: FnMut(&Event)> Running<T> {
    /// Kills the leader, damages its newest segment, and looks whether it then refuses to start by name. How it is damaged the
    /// seed says: a bit is the other way round, or the end is gone.
    pub(super) async fn damage_log(&mut self, victim: Name) -> Result<(), Failure> {
        let data = self.regions.leader_data(victim);
        if let Some(leader) = self.regions.leaders.get_mut(&victim) {
            leader.kill().await;
        }
        let (file, what) = damage(&data, self.seed)
            .map_err(|error| Failure::refused(format!("cannot damage the log in {}: {error}", data.display())))?;
        self.note(Kind::Fault, format!("the leader of '{victim}' is killed, and {what}"));
        let started = match self.regions.leaders.get_mut(&victim) {
            Some(leader) => leader.restart().await,
            None => Ok(()),
        };
        let refused_by_name = match started {
            Ok(()) => {
                self.note(Kind::Note, "the leader has started all the same");
                false
            }
            Err(refusal) => {
                let said = refusal.to_string();
                let reason = said.lines().rev().find(|line| line.contains(&file)).map(str::trim);
                let shown = reason.unwrap_or("for a reason that does not name the file");
                self.note(Kind::Detection, format!("it refuses to start: {shown}"));
                reason.is_some()
            }
        };
        self.checks
            .push(Check { name: "damaged logs that are not refused by name", missed: u64::from(!refused_by_name) });
        Ok(())
    }

    /// Moves the data directory away, as the guide says, and starts the leader with an empty one.
    pub(super) async fn begin_anew(&mut self, victim: Name) -> Result<(), Failure> {
        let data = self.regions.leader_data(victim);
        let aside = data.with_extension("damaged");
        let cannot = |error: io::Error| Failure::refused(format!("cannot move {} away: {error}", data.display()));
        if let Some(leader) = self.regions.leaders.get_mut(&victim) {
            leader.kill().await;
            fs::rename(&data, &aside).and_then(|()| fs::create_dir_all(&data)).map_err(cannot)?;
            leader.restart().await?;
        }
        let what = format!("its data is moved away, and the leader of '{victim}' begins with an empty directory");
        self.note(Kind::Repair, what);
        Ok(())
    }
}

/// Damages the newest segment, and says its name and what was done.
fn damage(data: &Path, seed: u64) -> io::Result<(String, String)> {
    let newest = newest_segment(data)?.ok_or_else(|| io::Error::other("there is no segment"))?;
    let name = newest.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut bytes = fs::read(&newest)?;
    // Behind what was written there may be reserved space.
    let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let what = if seed % 2 == 1 {
        let at = written / 3;
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 0x10;
        }
        format!("a bit of {name} is turned over, at byte {at} of {written}")
    } else {
        bytes.truncate(written / 4);
        format!("{name} is cut from {written} bytes to {}", bytes.len())
    };
    fs::write(&newest, bytes)?;
    Ok((name, what))
}

fn newest_segment(data: &Path) -> io::Result<Option<PathBuf>> {
    let mut newest: Option<PathBuf> = None;
    for entry in fs::read_dir(data)? {
        let path = entry?.path();
        let written = || fs::read(&path).is_ok_and(|bytes| bytes.iter().skip(64).any(|byte| *byte != 0));
        if path.extension().is_some_and(|extension| extension == SEGMENT)
            && newest.as_ref().is_none_or(|newest| path > *newest)
            && written()
        {
            newest = Some(path);
        }
    }
    Ok(newest)
}
