//! The state of the store as this process last saw it, and since when.

use crate::{
    claim::{Claim, Holder},
    store::{Seen, Tag},
    timing::Timing,
};
use std::time::Duration;

/// A state of the store that this process has seen.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    seen: Option<Seen>,
    /// When this process first saw it. The claim was written earlier.
    since: Duration,
    /// The term of a claim that was seen before and has disappeared without being released.
    vanished: Option<Duration>,
    /// Whether the store may have changed since: because of this process's own request, or because a swap failed.
    doubt: bool,
}

impl Observed {
    /// Records the result of a read; `before` is the previous state.
    pub(super) fn after(before: Option<&Self>, seen: Option<Seen>, now: Duration) -> Self {
        let since = match before {
            Some(before) if before.tag() == seen.as_ref().map(|seen| &seen.tag) => before.since,
            _ => now,
        };
        // The store was emptied. The holder of the lost claim does not know that, and may act on the claim until its
        // term ends.
        let vanished = match (before, &seen) {
            (Some(before), None) => before.claim().map(Claim::term).or(before.vanished),
            _ => None,
        };
        Self { seen, since, vanished, doubt: false }
    }

    /// Records this process's own successful swap.
    pub(super) fn own(seen: Seen, now: Duration) -> Self {
        Self { seen: Some(seen), since: now, vanished: None, doubt: false }
    }

    pub(super) fn claim(&self) -> Option<&Claim> {
        self.seen.as_ref().map(|seen| &seen.claim)
    }

    pub(super) fn tag(&self) -> Option<&Tag> {
        self.seen.as_ref().map(|seen| &seen.tag)
    }

    pub(super) fn doubt(&mut self) {
        self.doubt = true;
    }

    pub(super) fn in_doubt(&self) -> bool {
        self.doubt
    }

    /// Returns the earliest time at which `me`, which does not lead, may claim the lease.
    pub(super) fn open_from(&self, me: &Holder, timing: &Timing) -> Duration {
        let wait = match self.claim() {
            // No wait is needed: `me` knows that it does not act on its own claim.
            Some(claim) if claim.released || claim.holder == *me => return self.since,
            Some(claim) => claim.term(),
            None => match self.vanished {
                Some(term) => term,
                None => return self.since,
            },
        };
        self.since.saturating_add(timing.wait(wait))
    }
}
