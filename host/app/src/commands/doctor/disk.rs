//! Checks of a data directory: that it can be written, that its file system keeps data, its space and its speed.

use super::finding::Finding;
use crate::output::text;
use rustix::fs::{statfs, statvfs};
use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf, absolute},
    time::{Duration, Instant},
};

/// Below this many free bytes a log may not be able to open its next segments.
const FREE_MIN: u64 = 256 << 20;

/// Below this many free bytes a node should get more space.
const FREE_LOW: u64 = 4 << 30;

/// The number of small writes that are timed, and the bytes of each.
const SYNCS: usize = 50;
const SYNC_BYTES: usize = 4 << 10;

/// Above this time for a small write, every write of a client waits noticeably.
const SYNC_SLOW: Duration = Duration::from_millis(20);

/// The bytes of the large write that is timed.
const BULK_BYTES: usize = 64 << 20;

/// Below this rate, in bytes per second, snapshots take minutes.
const BULK_SLOW: f64 = 50e6;

/// File systems that lose or may lose what they report to be written, by their number in statfs(2).
const UNSAFE: [(i64, &str, &str); 4] = [
    (0x0102_1994, "tmpfs", "is in memory, and a restart of the host loses everything"),
    (0x8584_58f6, "ramfs", "is in memory, and a restart of the host loses everything"),
    (0x794c_7630, "overlayfs", "belongs to a container, and is lost with it"),
    (0x6969, "NFS", "may lose locks and writes when its server restarts"),
];

/// Checks a data directory that need not exist yet. `key` is the setting that names it.
pub fn check(key: &str, path: &Path) -> Vec<Finding> {
    let path = absolute(path).unwrap_or_else(|_| path.to_owned());
    let subject = format!("{key} = {}", path.display());
    let Some(existing) = path.ancestors().find(|ancestor| ancestor.is_dir()) else {
        return vec![Finding::problem(subject, "no directory above it exists", format!("correct '{key}'"))];
    };
    let mut findings: Vec<Finding> = space(&subject, existing).into_iter().collect();
    findings.extend(file_system(&subject, existing));
    findings.push(match speed(existing) {
        Ok(speed) => speed.finding(&subject),
        Err(error) => Finding::problem(
            subject,
            format!("cannot write to {}: {error}", existing.display()),
            format!("make it a directory that this user may write to, or set '{key}' to another"),
        ),
    });
    findings
}

/// Checks the free space. A file system that has no size, such as `/proc`, has none to check.
fn space(subject: &str, dir: &Path) -> Option<Finding> {
    let subject = format!("space of {subject}");
    let free = match statvfs(dir) {
        Ok(found) if found.f_blocks == 0 => return None,
        Ok(found) => found.f_bavail.saturating_mul(found.f_frsize),
        Err(error) => return Some(Finding::problem(subject, error.to_string(), "check the path")),
    };
    let what = format!("{} are free", text::bytes(free));
    Some(match free {
        0..FREE_MIN => Finding::problem(subject, what, "free space, or use a larger disk"),
        FREE_MIN..FREE_LOW => Finding::warning(subject, what, "free space, or use a larger disk"),
        _ => Finding::ok(subject, what),
    })
}

fn file_system(subject: &str, dir: &Path) -> Option<Finding> {
    let kind = statfs(dir).ok()?.f_type;
    let (_, name, reason) = UNSAFE.iter().find(|(number, ..)| *number == kind)?;
    let what = format!("its file system ({name}) {reason}");
    Some(Finding::warning(format!("file system of {subject}"), what, "use a directory on a local disk"))
}

/// How fast a disk makes data durable.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Speed {
    /// The median of a small durable write.
    sync: Duration,
    /// The slowest one.
    slowest: Duration,
    /// Bytes per second of a large durable write.
    bulk: f64,
}

impl Speed {
    fn finding(self, subject: &str) -> Finding {
        let subject = format!("speed of {subject}");
        let what = format!(
            "a small durable write takes {} (slowest of {SYNCS}: {}), a large one {}/s",
            text::span(self.sync),
            text::span(self.slowest),
            text::bytes(self.bulk as u64)
        );
        if self.sync > SYNC_SLOW {
            Finding::warning(subject, what, "every acknowledged write waits that long; use a faster disk")
        } else if self.bulk < BULK_SLOW {
            Finding::warning(subject, what, "snapshots take long; use a faster disk")
        } else {
            Finding::ok(subject, what)
        }
    }
}

/// A file that is removed when it is dropped.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // A file that is left over is small, and its name shows what it is.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Measures the speed with a file that it removes.
fn speed(dir: &Path) -> io::Result<Speed> {
    let scratch = Scratch(dir.join(format!(".littoral-doctor-{}", std::process::id())));
    let mut file = OpenOptions::new().write(true).create_new(true).open(&scratch.0)?;
    let mut syncs = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        syncs.push(timed(&mut file, &[0x5a; SYNC_BYTES], 1)?);
    }
    syncs.sort_unstable();
    let block = vec![0x5a; 1 << 20];
    let bulk = timed(&mut file, &block, BULK_BYTES / block.len())?;
    Ok(Speed {
        sync: syncs[SYNCS / 2],
        slowest: syncs[SYNCS - 1],
        bulk: BULK_BYTES as f64 / bulk.as_secs_f64().max(f64::MIN_POSITIVE),
    })
}

fn timed(file: &mut File, block: &[u8], times: usize) -> io::Result<Duration> {
    let begun = Instant::now();
    for _ in 0..times {
        file.write_all(block)?;
    }
    file.sync_data()?;
    Ok(begun.elapsed())
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_directory_is_measured_and_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let findings = check("leader.data_dir", &dir.path().join("not/yet/made"));
        assert!(findings.iter().any(|finding| finding.subject.starts_with("speed of leader.data_dir")), "{findings:?}");
        assert!(findings.iter().any(|finding| finding.subject.starts_with("space of leader.data_dir")), "{findings:?}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_a_problem_with_its_key() {
        let findings = check("edge.data_dir", Path::new("/proc/littoral"));
        let problem = findings.iter().find(|finding| finding.what.starts_with("cannot write to /proc")).unwrap();
        assert_eq!(problem.level, Level::Problem);
        assert!(
            problem.subject.contains("/proc/littoral") && problem.remedy.contains("'edge.data_dir'"),
            "{problem:?}"
        );
    }

    #[test]
    fn a_slow_disk_is_a_warning() {
        let fast = Speed { sync: Duration::from_millis(1), slowest: Duration::from_millis(9), bulk: 5e8 };
        assert_eq!(fast.finding("x").level, Level::Ok);
        assert_eq!(Speed { sync: Duration::from_millis(21), ..fast }.finding("x").level, Level::Warning);
        assert_eq!(Speed { bulk: 4e7, ..fast }.finding("x").level, Level::Warning);
    }
}
