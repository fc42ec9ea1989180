//! A lease as a chain of files that are only ever created: a directory supports exclusive creation, but no swap.
//!
//! State N is the file with number N. A process that knows state N swaps by creating N + 1, which only one process can;
//! the newest file is the current state. Files are never changed, so a crash at any step leaves the chain unchanged or
//! one file longer, and every claim in it is complete.
//!
//! Old files are deleted, which creates one danger: a process that was paused since file N was the newest might create
//! N + 1 again after that was superseded and deleted. Two durations exclude this. A file is kept for
//! [`Retention::keep`] after its successor was created. And a state may be used only for [`Retention::trust`], which is
//! much less, counted from before it was read: a swap that completes later than that returns an error. The file that it
//! may have created has a number far below the newest, where no process reads.

pub(crate) mod claim_dir;
mod sweep;

use super::{LeaseStore, Seen, StoreError, Swap, Tag};
use crate::{claim::Claim, clock::Clock};
use claim_dir::{ClaimDir, Created, Next, Slot, Unreadable};
use littoral_model::ports::BoxFuture;
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use sweep::Sweep;

/// How many times to list the directory if the newest file is deleted each time before it can be read.
const LISTS_MAX: usize = 8;

/// The durations that make it safe to delete old files.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// How long after a state was known to be the newest a swap may build on it.
    pub trust: Duration,
    /// How long a file is kept after its successor was created.
    pub keep: Duration,
}

impl Retention {
    /// Chosen for file systems that several hosts share, which may present the state of a minute ago.
    pub const DEFAULT: Self = Self { trust: Duration::from_secs(90), keep: Duration::from_secs(240) };
}

/// A chain of claims in one directory.
pub struct Slots {
    claims: Arc<ClaimDir>,
    name: String,
    clock: Clock,
    retention: Retention,
    newest: Mutex<Option<Newest>>,
    sweep: Arc<Sweep>,
}

/// The newest file, and a time at which it was the newest.
#[derive(Clone, Debug)]
struct Newest {
    /// Its number; zero if there is none.
    slot: u64,
    claim: Option<Claim>,
    at: Duration,
}

impl Newest {
    fn seen(&self) -> Option<Seen> {
        self.claim.clone().map(|claim| Seen { claim, tag: tag(self.slot) })
    }

    fn slot(&self) -> Option<Slot<'_>> {
        self.claim.as_ref().map(|claim| (self.slot, claim))
    }
}

impl Slots {
    /// Opens the chain in this directory.
    #[must_use]
    pub(crate) fn on(claims: ClaimDir, name: String, clock: Clock, retention: Retention) -> Self {
        let claims = Arc::new(claims);
        let sweep = Arc::new(Sweep::new(claims.clone(), clock.clone(), retention.keep));
        Self { claims, name, clock, retention, newest: Mutex::default(), sweep }
    }

    /// Runs a file operation on a blocking thread.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ClaimDir) -> Result<T, Unreadable> + Send + 'static,
    ) -> Result<T, StoreError> {
        let claims = self.claims.clone();
        match tokio::task::spawn_blocking(move || work(&claims)).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(Unreadable::Io(error))) => Err(self.unavailable(error)),
            Ok(Err(Unreadable::Corrupt(slot, source))) => {
                Err(StoreError::Corrupt { at: format!("{}/{}", self.name, claim_dir::file(slot)), source })
            }
            Err(error) => Err(self.unavailable(error)),
        }
    }

    /// Returns the newest known file, unless that knowledge is too old.
    fn known(&self, now: Duration) -> Option<Newest> {
        let newest = self.newest.lock();
        newest.as_ref().filter(|newest| now.saturating_sub(newest.at) <= self.retention.trust).cloned()
    }

    /// Reads the newest claim: follows the chain from the newest known file, or lists the directory.
    async fn newest(&self) -> Result<Option<Seen>, StoreError> {
        for _ in 0..LISTS_MAX {
            let asked = (self.clock)();
            let Some(from) = (match self.known(asked) {
                Some(newest) => Some(newest),
                None => self.list(asked).await?,
            }) else {
                continue;
            };
            if let Some(newest) = self.follow(from).await? {
                let seen = newest.seen();
                *self.newest.lock() = Some(newest);
                return Ok(seen);
            }
            *self.newest.lock() = None;
        }
        Err(self.unavailable("its newest file was deleted each time before it could be read"))
    }

    /// Returns the newest file of a list that was requested at `asked`; `None` if it was deleted in the meantime.
    async fn list(&self, asked: Duration) -> Result<Option<Newest>, StoreError> {
        match self.run(|claims| Ok(claims.list()?)).await?.into_iter().max() {
            None => Ok(Some(Newest { slot: 0, claim: None, at: asked })),
            Some(slot) => {
                let claim = self.run(move |claims| claims.get(slot)).await?;
                Ok(claim.map(|claim| Newest { slot, claim: Some(claim), at: asked }))
            }
        }
    }

    /// Follows the chain from a known state to the newest one. Returns `None` if that takes too long, or if the state's
    /// file was deleted.
    async fn follow(&self, mut from: Newest) -> Result<Option<Newest>, StoreError> {
        loop {
            let asked = (self.clock)();
            if asked.saturating_sub(from.at) > self.retention.trust {
                return Ok(None);
            }
            let before = from.clone();
            let next = self.run(move |claims| claims.next(before.slot())).await?;
            // If the next file had existed and been deleted since, more time than this would have passed.
            if (self.clock)().saturating_sub(from.at) > self.retention.trust {
                return Ok(None);
            }
            from = match next {
                Next::Claim(claim) => Newest { slot: from.slot + 1, claim: Some(claim), at: from.at },
                Next::Nothing => return Ok(Some(Newest { at: asked, ..from })),
                Next::Gone => return Ok(None),
            };
        }
    }

    /// Carries out a swap: creates the file after the expected state.
    async fn create(&self, expected: Option<&Tag>, claim: &Claim) -> Result<Swap, StoreError> {
        let asked = (self.clock)();
        let Some(known) = self.known(asked).filter(|known| known.seen().map(|seen| seen.tag).as_ref() == expected)
        else {
            // This process knows a newer state, or none recently enough: the caller must read again.
            return Ok(Swap::Lost);
        };
        let (slot, before, new) = (known.slot + 1, known.clone(), claim.clone());
        match self.run(move |claims| claims.create(before.slot(), &new)).await? {
            Created::Done => {}
            Created::Exists => return Ok(Swap::Lost),
            Created::Gone => {
                // The next read lists the directory.
                *self.newest.lock() = None;
                return Ok(Swap::Lost);
            }
        }
        let done = (self.clock)();
        if done.saturating_sub(known.at) > self.retention.trust {
            *self.newest.lock() = None;
            return Err(self.unavailable("the claim took so long that its file may have existed before"));
        }
        *self.newest.lock() = Some(Newest { slot, claim: Some(claim.clone()), at: asked });
        Sweep::superseded(&self.sweep, slot, claim.epoch, done);
        Ok(Swap::Done(tag(slot)))
    }

    fn unavailable(&self, error: impl std::fmt::Display) -> StoreError {
        StoreError::Unavailable { at: self.name.clone(), reason: error.to_string() }
    }
}

impl LeaseStore for Slots {
    fn read(&self) -> BoxFuture<'_, Result<Option<Seen>, StoreError>> {
        Box::pin(self.newest())
    }

    fn swap<'a>(&'a self, expected: Option<&'a Tag>, claim: &'a Claim) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(self.create(expected, claim))
    }

    fn name(&self) -> &str {
        &self.name
    }
}

fn tag(slot: u64) -> Tag {
    Tag(slot.to_string())
}
