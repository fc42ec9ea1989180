//! The lease as a chain of files that are only ever created: a directory can create exclusively, but not swap.
//!
//! State N is the file numbered N. Who holds state N in its hands swaps by creating N + 1, which only one can; the newest
//! object is the state. Nothing is ever changed, so a crash at any step leaves either the chain as it was or one object
//! longer, and a claim that is there is whole.
//!
//! Old objects are deleted, and with that comes the one danger: a process that slept since object N was the newest might create
//! N + 1 anew, after it was superseded and deleted. Two times exclude that. An object stays for [`Retention::keep`] after
//! its successor was there. And a state is known only for [`Retention::trust`], a good deal less, from before it was asked
//! for: a swap whose answer comes later than that counts as not answered. What it may have created lies far behind the newest
//! object, where nobody looks.

pub(crate) mod shelf;
mod sweep;

use super::{LeaseStore, Seen, StoreError, Swap, Tag};
use crate::{claim::Claim, clock::Clock};
use littoral_model::ports::BoxFuture;
use parking_lot::Mutex;
use shelf::{Created, Next, Shelf, Slot, Unreadable};
use std::{sync::Arc, time::Duration};
use sweep::Sweep;

/// How often a list is asked for again when its newest object is gone by the time it is read.
const LISTS_MAX: usize = 8;

/// How long old objects matter.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// For how long after a state was known to be the newest a swap may build on it.
    pub trust: Duration,
    /// How long an object stays after its successor was there.
    pub keep: Duration,
}

impl Retention {
    /// A file system that several hosts share may show a directory as it was a minute ago.
    pub const DEFAULT: Self = Self { trust: Duration::from_secs(90), keep: Duration::from_secs(240) };
}

/// A chain of claims in one directory.
pub struct Slots {
    shelf: Arc<Shelf>,
    name: String,
    clock: Clock,
    retention: Retention,
    newest: Mutex<Option<Newest>>,
    sweep: Arc<Sweep>,
}

/// The newest object, as of a time at which there was no newer one.
#[derive(Clone, Debug)]
struct Newest {
    /// Zero when there is none.
    slot: u64,
    claim: Option<Claim>,
    at: Duration,
}

impl Newest {
    fn seen(&self) -> Option<Seen> {
        self.claim.clone().map(|claim| Seen { claim, tag: tag(self.slot) })
    }

    fn place(&self) -> Option<Slot<'_>> {
        self.claim.as_ref().map(|claim| (self.slot, claim))
    }
}

impl Slots {
    /// The chain in this directory.
    #[must_use]
    pub(crate) fn on(shelf: Shelf, name: String, clock: Clock, retention: Retention) -> Self {
        let shelf = Arc::new(shelf);
        let sweep = Arc::new(Sweep::new(shelf.clone(), clock.clone(), retention.keep));
        Self { shelf, name, clock, retention, newest: Mutex::default(), sweep }
    }

    /// Has the directory do something, away from the tasks.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shelf) -> Result<T, Unreadable> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shelf = self.shelf.clone();
        match tokio::task::spawn_blocking(move || work(&shelf)).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(Unreadable::Io(error))) => Err(self.unavailable(error)),
            Ok(Err(Unreadable::Corrupt(slot, source))) => {
                Err(StoreError::Corrupt { at: format!("{}/{}", self.name, shelf::file(slot)), source })
            }
            Err(error) => Err(self.unavailable(error)),
        }
    }

    /// What is known of the newest object, unless that was too long ago.
    fn known(&self, now: Duration) -> Option<Newest> {
        let newest = self.newest.lock();
        newest.as_ref().filter(|newest| now.saturating_sub(newest.at) <= self.retention.trust).cloned()
    }

    async fn look(&self) -> Result<Option<Seen>, StoreError> {
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
        Err(self.unavailable("its newest object was gone each time that it was to be read"))
    }

    /// The newest object of a list that was asked for then; `None` when it is gone already.
    async fn list(&self, asked: Duration) -> Result<Option<Newest>, StoreError> {
        match self.ask(|shelf| Ok(shelf.list()?)).await?.into_iter().max() {
            None => Ok(Some(Newest { slot: 0, claim: None, at: asked })),
            Some(slot) => {
                let claim = self.ask(move |shelf| shelf.get(slot)).await?;
                Ok(claim.map(|claim| Newest { slot, claim: Some(claim), at: asked }))
            }
        }
    }

    /// From a state that is known to the newest one. `None` when that takes too long for it to be known, or when the state is gone.
    async fn follow(&self, mut from: Newest) -> Result<Option<Newest>, StoreError> {
        loop {
            let asked = (self.clock)();
            if asked.saturating_sub(from.at) > self.retention.trust {
                return Ok(None);
            }
            let before = from.clone();
            let next = self.ask(move |shelf| shelf.next(before.place())).await?;
            // Had it been there and deleted, more time than this would have passed.
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

    async fn create(&self, expected: Option<&Tag>, claim: &Claim) -> Result<Swap, StoreError> {
        let asked = (self.clock)();
        let Some(known) = self.known(asked).filter(|known| known.seen().map(|seen| seen.tag).as_ref() == expected)
        else {
            // A newer state is known here, or none for certain: then whoever expects this one is to look again.
            return Ok(Swap::Lost);
        };
        let (slot, before, new) = (known.slot + 1, known.clone(), claim.clone());
        match self.ask(move |shelf| shelf.create(before.place(), &new)).await? {
            Created::Done => {}
            Created::Exists => return Ok(Swap::Lost),
            Created::Gone => {
                // The next look lists what is there instead.
                *self.newest.lock() = None;
                return Ok(Swap::Lost);
            }
        }
        let done = (self.clock)();
        if done.saturating_sub(known.at) > self.retention.trust {
            *self.newest.lock() = None;
            return Err(self.unavailable("it took so long to claim that the object may have been there before"));
        }
        *self.newest.lock() = Some(Newest { slot, claim: Some(claim.clone()), at: asked });
        Sweep::superseded(&self.sweep, slot, claim.epoch, done);
        Ok(Swap::Taken(tag(slot)))
    }

    fn unavailable(&self, error: impl std::fmt::Display) -> StoreError {
        StoreError::Unavailable { at: self.name.clone(), reason: error.to_string() }
    }
}

impl LeaseStore for Slots {
    fn read(&self) -> BoxFuture<'_, Result<Option<Seen>, StoreError>> {
        Box::pin(self.look())
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
