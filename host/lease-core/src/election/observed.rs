//! What was seen in the store, and since when.

use crate::{
    claim::{Claim, Holder},
    store::{Seen, Tag},
    timing::Timing,
};
use std::time::Duration;

/// A state of the store, as this process saw it.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    seen: Option<Seen>,
    /// When it was first seen. It was there before that, so whoever wrote it had begun before.
    since: Duration,
    /// The term of a claim that was seen before and has gone without a word.
    vanished: Option<Duration>,
    /// The store may be in another state by now, of which this process itself is the cause or has been told.
    doubt: bool,
}

impl Observed {
    /// The store was read, after `before`.
    pub(super) fn after(before: Option<&Self>, seen: Option<Seen>, now: Duration) -> Self {
        let since = match before {
            Some(before) if before.tag() == seen.as_ref().map(|seen| &seen.tag) => before.since,
            _ => now,
        };
        // Somebody has emptied the store. Whose claim that was does not know, and leads on until its end.
        let vanished = match (before, &seen) {
            (Some(before), None) => before.claim().map(Claim::term).or(before.vanished),
            _ => None,
        };
        Self { seen, since, vanished, doubt: false }
    }

    /// This process's own swap has made it so.
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

    /// From when on `me`, which does not lead, may claim.
    pub(super) fn open_from(&self, me: &Holder, timing: &Timing) -> Duration {
        let wait = match self.claim() {
            // Nobody knows better than `me` that nobody acts on it any more.
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
