//! A leader whose log is damaged on disk while it is down.

use super::Running;
use crate::drill::report::{Check, Event, Kind};
use crate::failure::Failure;
use littoral_model::region::Region as Name;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The extension of the log's segments.
const SEGMENT: &str = "seg";

impl<T: FnMut(&Event)> Running<T> {
    /// Kills the leader, damages its newest segment, and checks that it then refuses to start and names the file. The
    /// seed decides the damage: a flipped bit, or a missing end.
    pub(super) async fn damage_log(&mut self, victim: Name) -> Result<(), Failure> {
        let data = self.regions.leader_data(victim);
        if let Some(leader) = self.regions.leaders.get_mut(&victim) {
            leader.kill().await;
        }
        let (file, what) = damage(&data, self.seed)
            .map_err(|error| Failure::rejected(format!("cannot damage the log in {}: {error}", data.display())))?;
        self.note(Kind::Fault, format!("the leader of '{victim}' is killed, and {what}"));
        let started = match self.regions.leaders.get_mut(&victim) {
            Some(leader) => leader.restart().await,
            None => Ok(()),
        };
        let named = match started {
            Ok(()) => {
                self.note(Kind::Note, "the leader has started nevertheless");
                false
            }
            Err(refusal) => {
                let message = refusal.to_string();
                let reason = message.lines().rev().find(|line| line.contains(&file)).map(str::trim);
                let shown = reason.unwrap_or("without naming the file");
                self.note(Kind::Detection, format!("it refuses to start: {shown}"));
                reason.is_some()
            }
        };
        self.checks.push(Check { name: "damaged logs that are not rejected by name", missed: u64::from(!named) });
        Ok(())
    }

    /// Moves the data directory aside, as the disaster recovery guide describes, and starts the leader with an empty
    /// one.
    pub(super) async fn start_over(&mut self, victim: Name) -> Result<(), Failure> {
        let data = self.regions.leader_data(victim);
        let aside = data.with_extension("damaged");
        let cannot = |error: io::Error| Failure::rejected(format!("cannot move {} aside: {error}", data.display()));
        if let Some(leader) = self.regions.leaders.get_mut(&victim) {
            leader.kill().await;
            fs::rename(&data, &aside).and_then(|()| fs::create_dir_all(&data)).map_err(cannot)?;
            leader.restart().await?;
        }
        let what = format!("its data is moved aside, and the leader of '{victim}' starts with an empty directory");
        self.note(Kind::Repair, what);
        Ok(())
    }
}

/// Damages the newest segment. Returns its name and a description of the damage.
fn damage(data: &Path, seed: u64) -> io::Result<(String, String)> {
    let newest = newest_segment(data)?.ok_or_else(|| io::Error::other("it has no segment"))?;
    let name = newest.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut bytes = fs::read(&newest)?;
    // Reserved space may follow the written bytes.
    let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let what = if seed % 2 == 1 {
        let at = written / 3;
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 0x10;
        }
        format!("a bit of {name} is flipped, at byte {at} of {written}")
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
