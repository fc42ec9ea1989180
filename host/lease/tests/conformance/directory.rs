//! A shared directory.

use crate::{
    claim,
    identity::{ReplaceableStore, a_lost_store_is_distinguished_from_a_new_one},
    suite,
};
use littoral_lease::{
    Claim, LeaseStore, Swap, Timing, clock,
    store::{directory, open, slots::Retention},
};
use littoral_model::ports::BoxFuture;
use parking_lot::Mutex;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_meets_every_requirement() {
    let dir = tempfile::tempdir().unwrap();
    suite::every_requirement_holds(&|name| Arc::new(directory::open(&dir.path().join(name), clock::system()).unwrap()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unmounted_directory_is_distinguished_from_a_new_one() {
    a_lost_store_is_distinguished_from_a_new_one(&Mounts(tempfile::tempdir().unwrap())).await;
}

/// Directories that are moved away and back, as by unmounting and mounting.
struct Mounts(tempfile::TempDir);

impl ReplaceableStore for Mounts {
    fn open(&self, name: &str, memory: Option<PathBuf>) -> Arc<dyn LeaseStore> {
        let address = format!("dir:{}", self.0.path().join(name).display());
        open::open(&address, &Timing::DEFAULT, clock::system(), Default::default(), memory).unwrap()
    }

    fn open_unguarded(&self, name: &str) -> Arc<dyn LeaseStore> {
        Arc::new(directory::open(&self.0.path().join(name), clock::system()).unwrap())
    }

    fn take_away<'a>(&'a self, name: &'a str) -> BoxFuture<'a, ()> {
        let path = self.0.path().join(name);
        Box::pin(async move { fs::rename(&path, path.with_extension("aside")).unwrap() })
    }

    fn restore<'a>(&'a self, name: &'a str) -> BoxFuture<'a, ()> {
        let path = self.0.path().join(name);
        Box::pin(async move {
            let _ = fs::remove_dir_all(&path);
            fs::rename(path.with_extension("aside"), &path).unwrap();
        })
    }
}

#[tokio::test]
async fn a_missing_directory_that_was_used_before_is_not_created() {
    let dir = tempfile::tempdir().unwrap();
    let (lease, memory) = (dir.path().join("lease"), dir.path().join("memory"));
    let address = format!("dir:{}", lease.display());
    let open = || open::open(&address, &Timing::DEFAULT, clock::system(), Default::default(), Some(memory.clone()));
    let store = open().unwrap();
    store.read().await.unwrap();
    assert!(matches!(store.swap(None, &claim("one", 1, 1)).await.unwrap(), Swap::Done(_)));
    fs::remove_dir_all(&lease).unwrap();
    let error = open().unwrap().read().await.unwrap_err().to_string();
    assert!(error.contains("it is not mounted, or was wiped") && !lease.exists(), "{error}");
}

#[tokio::test]
async fn a_directory_with_other_claims_under_the_same_numbers_is_detected() {
    let dir = tempfile::tempdir().unwrap();
    let (own, other) = (dir.path().join("own"), dir.path().join("other"));
    let claimed = async |path: &Path, name: &'static str| {
        let store = directory::open(path, clock::system()).unwrap();
        store.read().await.unwrap();
        let Swap::Done(tag) = store.swap(None, &claim(name, 1, 1)).await.unwrap() else { panic!("lost") };
        (store, tag)
    };
    let (store, tag) = claimed(&own, "one").await;
    claimed(&other, "two").await;
    fs::rename(&own, dir.path().join("aside")).unwrap();
    fs::rename(&other, &own).unwrap();
    assert_eq!(store.swap(Some(&tag), &claim("one", 1, 2)).await.unwrap(), Swap::Lost);
    assert_eq!(fs::read_dir(&own).unwrap().count(), 1, "nothing was written next to other claims");
    assert_eq!(store.read().await.unwrap().unwrap().claim, claim("two", 1, 1));
}

/// A directory whose time the test controls.
struct Timed {
    now: Arc<Mutex<Duration>>,
    dir: tempfile::TempDir,
}

const RETENTION: Retention = Retention { trust: Duration::from_secs(10), keep: Duration::from_secs(30) };

impl Timed {
    fn new() -> Self {
        Self { now: Arc::default(), dir: tempfile::tempdir().unwrap() }
    }

    fn open(&self) -> impl LeaseStore {
        let now = self.now.clone();
        directory::open_with(self.dir.path(), Arc::new(move || *now.lock()), RETENTION).unwrap()
    }

    fn pass(&self, seconds: u64) {
        *self.now.lock() += Duration::from_secs(seconds);
    }

    fn files(&self) -> usize {
        fs::read_dir(self.dir.path()).unwrap().count()
    }

    /// Renews once a second, and waits a moment for each deletion.
    async fn renew(&self, store: &impl LeaseStore, first: u64, times: u64) {
        let mut tag = store.read().await.unwrap().map(|seen| seen.tag);
        for attempt in first..first + times {
            self.pass(1);
            match store.swap(tag.as_ref(), &claim("holder", 1, attempt)).await.unwrap() {
                Swap::Done(new) => tag = Some(new),
                Swap::Lost => panic!("attempt {attempt} is lost"),
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..12_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what}: not within a minute");
}

#[tokio::test]
async fn old_claims_are_deleted_but_not_too_early() {
    let timed = Timed::new();
    let holder = timed.open();
    holder.read().await.unwrap();
    timed.renew(&holder, 1, 25).await;
    assert_eq!(timed.files(), 25, "no file is old enough to be deleted");
    timed.renew(&holder, 26, 100).await;
    until("old claims are deleted", || timed.files() <= 34).await;
    assert!(timed.files() >= 30, "{} files remain", timed.files());
    // A process that has never read the directory finds the newest claim.
    assert_eq!(timed.open().read().await.unwrap().unwrap().claim.attempt, 125);
}

#[tokio::test]
async fn claims_of_earlier_holders_are_deleted_too() {
    let timed = Timed::new();
    let before = timed.open();
    before.read().await.unwrap();
    timed.renew(&before, 1, 20).await;
    drop(before);
    timed.pass(1_000);
    let after = timed.open();
    let seen = after.read().await.unwrap().unwrap();
    assert!(matches!(after.swap(Some(&seen.tag), &claim("after", 2, 1)).await.unwrap(), Swap::Done(_)));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(timed.files(), 21, "this process does not know their age yet");
    timed.renew(&after, 100, 45).await;
    until("the earlier claims are deleted", || timed.files() <= 34).await;
}

#[tokio::test]
async fn a_paused_process_does_not_win_with_the_number_of_a_deleted_claim() {
    let timed = Timed::new();
    let (holder, sleeper) = (timed.open(), timed.open());
    holder.read().await.unwrap();
    timed.renew(&holder, 1, 3).await;
    let old = sleeper.read().await.unwrap().unwrap();
    timed.renew(&holder, 4, 80).await;
    until("claim 4 is deleted", || !timed.dir.path().join(format!("{:020}.json", 4)).exists()).await;
    assert_eq!(sleeper.swap(Some(&old.tag), &claim("sleeper", 2, 1)).await.unwrap(), Swap::Lost);
    assert_eq!(sleeper.read().await.unwrap().unwrap().claim.attempt, 83);
}

#[tokio::test]
async fn a_claim_that_took_too_long_to_write_is_an_error() {
    // The clock jumps while the file is created: between the reading before and the reading after.
    let dir = tempfile::tempdir().unwrap();
    let readings = Arc::new(Mutex::new(0_u64));
    let jumping = {
        let readings = readings.clone();
        Arc::new(move || {
            let mut readings = readings.lock();
            *readings += 1;
            Duration::from_secs(if *readings > 1_000 { 3_600 } else { 0 })
        })
    };
    let store = directory::open_with(dir.path(), jumping, RETENTION).unwrap();
    assert!(store.read().await.unwrap().is_none());
    // The next reading is the one before the creation, and the following one is the one after it.
    *readings.lock() = 999;
    let error = store.swap(None, &claim("slow", 1, 1)).await.unwrap_err();
    assert!(error.to_string().contains("took so long"), "{error}");
}

#[tokio::test]
async fn an_invalid_claim_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| fs::write(dir.path().join(name), content).unwrap();
    write("README", "not a claim");
    write("1.json", "{}");
    write("00000000000000000001.json#1", "half a claim");
    let store = directory::open(dir.path(), clock::system()).unwrap();
    assert!(store.read().await.unwrap().is_none(), "other files are ignored");
    write("00000000000000000007.json", "{}");
    let error = directory::open(dir.path(), clock::system()).unwrap().read().await.unwrap_err().to_string();
    assert!(error.contains("00000000000000000007.json") && error.contains("not a claim"), "{error}");
    write("00000000000000000007.json", &"x".repeat(100_000));
    let error = directory::open(dir.path(), clock::system()).unwrap().read().await.unwrap_err().to_string();
    assert!(error.contains("too many"), "{error}");
}

#[tokio::test]
async fn a_crash_at_any_step_leaves_a_valid_chain() {
    let dir = tempfile::tempdir().unwrap();
    let open = || directory::open(dir.path(), clock::system()).unwrap();
    let store = open();
    store.read().await.unwrap();
    let Swap::Done(_) = store.swap(None, &claim("one", 1, 1)).await.unwrap() else { panic!("lost") };
    // Written but not linked: no process reads it, and it does not disturb others.
    let next = claim("one", 1, 2);
    let (staged, linked) = (dir.path().join(format!("{:020}.json#1", 2)), dir.path().join(format!("{:020}.json", 2)));
    fs::write(&staged, &next.encode()[..10]).unwrap();
    assert_eq!(open().read().await.unwrap().unwrap().claim, claim("one", 1, 1));
    let other = open();
    let seen = other.read().await.unwrap().unwrap();
    assert!(matches!(other.swap(Some(&seen.tag), &next).await.unwrap(), Swap::Done(_)));
    // Linked, and not yet unlinked under its temporary name: the claim exists.
    assert!(staged.exists() && linked.exists());
    assert_eq!(open().read().await.unwrap().unwrap().claim, next);
    // Old temporary files are removed.
    age(&staged);
    drop(open());
    assert!(!staged.exists() && linked.exists());
}

fn age(path: &Path) {
    #[allow(clippy::disallowed_methods, reason = "the file system uses the real clock")]
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(100_000);
    fs::File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
}

#[tokio::test]
async fn an_unwritable_directory_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = directory::open(&dir.path().join("lease"), clock::system()).unwrap();
    store.read().await.unwrap();
    fs::remove_dir_all(dir.path().join("lease")).unwrap();
    fs::write(dir.path().join("lease"), "a file in its place").unwrap();
    let released = Claim { released: true, ..claim("one", 1, 1) };
    let error = store.swap(None, &released).await.unwrap_err().to_string();
    assert!(error.contains("lease directory"), "{error}");
}
