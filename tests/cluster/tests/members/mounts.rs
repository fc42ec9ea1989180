//! The lease in a mounted directory, with a mount namespace for each member: unmounted at the leader, at a member that
//! restarts, and mounted again.

use super::{Region, WAIT_MAX, WRITERS, load::Writers};
use littoral_cluster::accounts;
use littoral_provision::{Missing, cluster::eventually, missing::require};
use std::{
    ffi::{OsStr, OsString},
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

/// Longer than several terms of the lease.
const WATCHED: Duration = Duration::from_secs(4);

/// A directory that members see where the host sees an empty one.
struct Mounts {
    shared: PathBuf,
    place: PathBuf,
}

impl Mounts {
    fn new(dir: &Path) -> Result<Self, Missing> {
        let mounts = Self { shared: dir.join("shared"), place: dir.join("mnt") };
        for made in [&mounts.shared, &mounts.place] {
            fs::create_dir_all(made).map_err(|error| Missing::io("a directory to mount at", &error))?;
        }
        let mut words = mounts.mounted().into_iter();
        let tried = Command::new(words.next().unwrap_or_default()).args(words).arg("true").output();
        let tried = tried.map_err(|error| Missing::io("unshare", &error))?;
        if tried.status.success() {
            return Ok(mounts);
        }
        let why = String::from_utf8_lossy(&tried.stderr).trim().to_owned();
        Err(Missing::new("mount namespaces", why, "run as root where mounting is allowed"))
    }

    /// Starts a process in a namespace where the directory is mounted.
    fn mounted(&self) -> Vec<OsString> {
        let script = "mount --bind \"$1\" \"$2\" && shift 2 && exec \"$@\"";
        let words = ["unshare", "-m", "--propagation", "private", "--", "sh", "-c", script, "mounted"];
        let paths = [self.shared.clone().into_os_string(), self.place.clone().into_os_string()];
        words.map(OsString::from).into_iter().chain(paths).collect()
    }

    /// Starts a process in a namespace where it is not mounted.
    fn unmounted() -> Vec<OsString> {
        ["unshare", "-m", "--propagation", "private", "--"].map(OsString::from).into()
    }

    fn within(pid: u32, command: &[&OsStr]) -> Output {
        Command::new("nsenter").args(["-t", &pid.to_string(), "-m", "--"]).args(command).output().unwrap()
    }

    /// Unmounts the directory, which is busy while the member has a file of the lease open.
    fn unmount(&self, pid: u32) {
        eventually("the directory is unmounted", WAIT_MAX, || {
            Self::within(pid, &["umount".as_ref(), self.place.as_ref()]).status.success()
        });
    }

    fn mount(&self, pid: u32) {
        let words = ["mount".as_ref(), "--bind".as_ref(), self.shared.as_ref(), self.place.as_ref()];
        let mounted = Self::within(pid, &words);
        assert!(mounted.status.success(), "{}", String::from_utf8_lossy(&mounted.stderr));
    }

    /// Returns the content that the host, and every process without the mount, sees there.
    fn left_behind(&self) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(&self.place)?.map(|entry| entry.map(|entry| entry.path())).collect()
    }
}

fn store_is_lost(region: &Region, at: usize) -> bool {
    region.members[at].status()["gauges"]["lease_store_lost"] == 1.0
}

fn follows(region: &Region, at: usize) -> bool {
    let status = region.members[at].status();
    status["role"] == "follower" && status["staleness_ms"].as_u64().is_some_and(|ms| ms < 1_000)
}

#[test]
fn a_member_whose_lease_directory_is_unmounted_claims_nothing_and_follows() {
    let name = "a_member_whose_lease_directory_is_unmounted_claims_nothing_and_follows";
    let dir = tempfile::Builder::new().prefix("littoral-test-").tempdir().unwrap();
    let Some(mounts) = require(name, Mounts::new(dir.path())) else { return };
    let store = format!("dir:{}", mounts.place.join("lease").display());
    let mut region = Region::start_by(dir, &store, &mounts.mounted());
    let watch = super::LeaderWatch::over(&region);
    let writers = Writers::start_with(region.edge.ready.door, WRITERS, &[("littoral-concern", "quorum")]);
    let wait_for_writes = |what: &str| writers.wait_for_more(what, WAIT_MAX, 20);
    wait_for_writes("writes are acknowledged");

    let leader = region.leader();
    let pid = region.members[leader].process().pid();
    mounts.unmount(pid);
    eventually("the loss is shown", WAIT_MAX, || store_is_lost(&region, leader));
    region.leader_but(Some(leader));
    wait_for_writes("writes continue under another leader");
    eventually("it follows the new leader", WAIT_MAX, || follows(&region, leader));
    // A wrong claim would happen within a few terms; clients write at every door in the meantime.
    let until = Instant::now() + WATCHED;
    let mut id = 1_000_000;
    while Instant::now() < until {
        for node in &region.members {
            id += 1;
            // A write may be rejected while the leader changes.
            let _ = accounts::write(&mut node.client(), &[accounts::row(id, 1)]);
        }
    }
    assert!(follows(&region, leader) && store_is_lost(&region, leader));
    let log = region.members[leader].process().log();
    assert!(log.contains("the lease store is lost") && log.contains("it is not mounted, or was wiped"), "{log}");
    assert_eq!(mounts.left_behind().unwrap(), Vec::<PathBuf>::new(), "the directory was created again");

    // It restarts, and remembers which store was its own.
    region.members[leader].plan_mut().launcher = Mounts::unmounted();
    region.members[leader].restart().unwrap();
    eventually("the loss is reported after a restart", WAIT_MAX, || store_is_lost(&region, leader));
    eventually("it follows again", WAIT_MAX, || follows(&region, leader));
    assert_eq!(mounts.left_behind().unwrap(), Vec::<PathBuf>::new(), "the directory was created again");

    let pid = region.members[leader].process().pid();
    mounts.mount(pid);
    eventually("the store is found again", WAIT_MAX, || !store_is_lost(&region, leader));
    wait_for_writes("writes continue");
    let known = writers.stop();
    region.assert_kept(&known);
    let epochs = watch.end();
    assert!((2..=4).contains(&epochs), "the leader changed {epochs} times");
}
