//! Writers that record what was acknowledged.

use crate::accounts;
use littoral_provision::{cluster::eventually, http::Client};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// The accounts of one writer.
const ACCOUNTS: i64 = 50;

/// The size of a note in a batch, in bytes: large enough that a batch alone is large for the leader's log.
const BATCH_NOTE_LEN: usize = 1_500;

/// The size of a writer's writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// One row.
    Row,
    /// All its accounts, about 80 KB.
    Batch,
}

/// The record of one writer.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// The newest balance of each account that was acknowledged.
    pub acknowledged: BTreeMap<i64, i64>,
    /// The newest balance of each account that was sent.
    pub sent: BTreeMap<i64, i64>,
    /// How many writes were acknowledged.
    pub count: u64,
    /// How many writes were rejected or got no answer.
    pub failed: u64,
}

/// Running writers. Stopped when dropped.
#[derive(Debug)]
pub struct Writers {
    accounts: Vec<Arc<Mutex<Account>>>,
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Writers {
    /// Starts this many writers, each with accounts of its own, which write one row after another to a door.
    #[must_use]
    pub fn start(door: SocketAddr, count: usize) -> Self {
        Self::start_with(door, count, &[])
    }

    /// Like [`Writers::start`], with headers in each write.
    #[must_use]
    pub fn start_with(door: SocketAddr, count: usize, headers: &'static [(&'static str, &'static str)]) -> Self {
        Self::start_each(door, &vec![Size::Row; count], headers)
    }

    /// Starts a writer for each of these sizes.
    #[must_use]
    pub fn start_each(door: SocketAddr, sizes: &[Size], headers: &'static [(&'static str, &'static str)]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let accounts: Vec<Arc<Mutex<Account>>> = sizes.iter().map(|_| Arc::default()).collect();
        let threads = accounts
            .iter()
            .zip(sizes)
            .enumerate()
            .map(|(writer, (account, size))| {
                let (account, size, stop) = (account.clone(), *size, stop.clone());
                std::thread::spawn(move || write_until(&stop, door, (writer as i64, size), &account, headers))
            })
            .collect();
        Self { accounts, threads, stop }
    }

    /// Returns the records of the writers so far.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Account> {
        self.accounts.iter().map(|account| locked(account).clone()).collect()
    }

    /// Returns how many writes were acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.snapshot().iter().map(|account| account.count).sum()
    }

    /// Waits until more than `more` further writes are acknowledged.
    ///
    /// # Panics
    /// When they are not in time; `what` is the message.
    #[track_caller]
    pub fn wait_for_more(&self, what: &str, wait_max: Duration, more: u64) {
        let before = self.acknowledged();
        eventually(what, wait_max, || self.acknowledged() > before + more);
    }

    /// Stops the writers and returns their records.
    #[must_use]
    pub fn stop(mut self) -> Vec<Account> {
        self.end();
        self.snapshot()
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A writer that panicked has printed the reason.
            let _ = thread.join();
        }
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.end();
    }
}

fn write_until(
    stop: &AtomicBool,
    door: SocketAddr,
    (writer, size): (i64, Size),
    account: &Mutex<Account>,
    headers: &[(&str, &str)],
) {
    let mut client = Client::new(door).with_timeout(Duration::from_secs(5));
    let note = "x".repeat(if size == Size::Batch { BATCH_NOTE_LEN } else { 10 });
    let mut version = 0;
    while !stop.load(Ordering::Relaxed) {
        version += 1;
        let ids = match size {
            Size::Row => version % ACCOUNTS..version % ACCOUNTS + 1,
            Size::Batch => 0..ACCOUNTS,
        };
        let ids = ids.map(|id| writer * 1_000 + id);
        let rows: Vec<_> = ids.clone().map(|id| accounts::row_with(id, version, &note)).collect();
        locked(account).sent.extend(ids.clone().map(|id| (id, version)));
        let taken = accounts::write_with(&mut client, &rows, headers).is_ok_and(|answer| answer.status == 200);
        let mut account = locked(account);
        if taken {
            account.acknowledged.extend(ids.map(|id| (id, version)));
            account.count += 1;
        } else {
            account.failed += 1;
            drop(account);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn locked(account: &Mutex<Account>) -> std::sync::MutexGuard<'_, Account> {
    account.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asserts that acknowledged writes are readable: a balance is at least the newest acknowledged one, and at most the
/// newest sent one, because a write without an answer may have been accepted.
///
/// # Panics
/// When a write is lost or invented.
#[track_caller]
pub fn assert_kept(client: &mut Client, accounts: &[Account]) {
    for account in accounts {
        let ids: Vec<_> = account.acknowledged.keys().copied().collect();
        if ids.is_empty() {
            continue;
        }
        for ((id, acknowledged), balance) in account.acknowledged.iter().zip(accounts::must_read(client, &ids)) {
            let balance =
                balance.unwrap_or_else(|| panic!("account {id}: acknowledged {acknowledged}, and it is gone"));
            assert!(balance >= *acknowledged, "account {id}: acknowledged {acknowledged}, found {balance}");
        }
    }
}

/// Asserts that no balance is newer than the newest sent one.
///
/// # Panics
/// When one is.
#[track_caller]
pub fn assert_not_invented(client: &mut Client, accounts: &[Account]) {
    for account in accounts {
        let ids: Vec<_> = account.sent.keys().copied().collect();
        for ((id, sent), balance) in account.sent.iter().zip(accounts::must_read(client, &ids)) {
            assert!(balance.is_none_or(|balance| balance <= *sent), "account {id}: {balance:?} was never sent");
        }
    }
}
