//! The election's decisions, without IO: an event and the time go in, effects come out.
//!
//! The store holds one claim at a time, and every change of it is a compare-and-swap. A holder acts on its claim for the
//! claim's term, less drift, from when it *began* to write it. Whoever else wants to lead takes over only from a claim that it
//! has itself seen unchanged for the term, plus drift, from when it *first saw* it, and names it as what its swap
//! expects. So the swap comes after the holder has stopped, whatever happens to messages and to the processes themselves;
//! a renewal that it did not see makes it fail. No clock is ever compared with another's.
//!
//! Each taking over has an epoch greater than all that were seen before. A leader that has stepped down, for whatever
//! reason, never goes on in its epoch: it claims anew like anyone else.

pub mod event;
mod observed;

pub use event::{Effect, Ended, Event, Role};

use crate::{
    claim::{Claim, Committed, Holder},
    store::{Seen, Swap, Tag},
    timing::Timing,
};
use littoral_model::{
    mutation::{Mutation, active},
    position::{Epoch, Lsn},
};
use observed::Observed;
use std::time::Duration;

/// Which epochs a process may begin: of any `of` successive ones, the one at its own place. Members that have places of their own never
/// begin the same epoch, not even with two stores that know nothing of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// How many places there are.
    pub of: u64,
    /// The own place, from zero.
    pub at: u64,
}

impl Default for Turn {
    /// Any epoch: the store alone keeps them apart.
    fn default() -> Self {
        Self { of: 1, at: 0 }
    }
}

impl Turn {
    /// The first epoch of this place after `last`.
    fn after(self, last: Epoch) -> Epoch {
        let (of, next) = (self.of.max(1), last.next().0);
        let wait = (of + self.at % of - next % of) % of;
        Epoch(next.saturating_add(wait))
    }
}

/// One process's part in the election. Times are readings of one monotonic clock, from any origin.
#[derive(Clone, Debug)]
pub struct Election {
    me: Holder,
    contact: String,
    timing: Timing,
    turn: Turn,
    /// Whether it wants to lead.
    standing: bool,
    /// No epoch up to this is ever begun here.
    floor: Epoch,
    observed: Option<Observed>,
    leading: Option<Leading>,
    flight: Option<Flight>,
    /// A claim that was sent and not answered for: it may lie in the store.
    unanswered: Option<(Claim, Duration)>,
    /// When to look at the store next.
    read_at: Duration,
    requests: u64,
    attempts: u64,
    /// Known here to be committed in the region's log: written into every claim.
    committed: Committed,
}

#[derive(Clone, Copy, Debug)]
struct Leading {
    epoch: Epoch,
    until: Duration,
    renew_at: Duration,
}

/// The one request that is under way. Answers to others come too late, and are ignored.
#[derive(Clone, Debug)]
struct Flight {
    request: u64,
    sent: Duration,
    /// What it claims; `None` for a read.
    claim: Option<Claim>,
}

impl Election {
    /// A process that only looks on, until [`Event::Stand`]. `contact` is where others reach it.
    #[must_use]
    pub fn new(me: Holder, contact: String, timing: Timing) -> Self {
        Self {
            me,
            contact,
            timing,
            turn: Turn::default(),
            standing: false,
            floor: Epoch(0),
            observed: None,
            leading: None,
            flight: None,
            unanswered: None,
            read_at: Duration::ZERO,
            requests: 0,
            attempts: 0,
            committed: Committed::default(),
        }
    }

    /// The same, which begins only epochs of its turn.
    #[must_use]
    pub fn in_turn(self, turn: Turn) -> Self {
        Self { turn, ..self }
    }

    /// What this process is now.
    #[must_use]
    pub fn role(&self, now: Duration) -> Role {
        match self.leading {
            Some(Leading { epoch, until, .. }) if now < until => Role::Leader { epoch, until },
            _ if self.standing && self.open_from().is_some_and(|open| now >= open) => Role::Candidate,
            _ => Role::Follower,
        }
    }

    /// Everything up to here is known to be committed in the region's log.
    pub fn know_committed(&mut self, committed: Committed) {
        if committed.lsn > Lsn::NONE
            && (committed.incarnation != self.committed.incarnation || committed.lsn > self.committed.lsn)
        {
            self.committed = committed;
        }
    }

    /// The claim that was last seen in the store.
    #[must_use]
    pub fn seen(&self) -> Option<&Claim> {
        self.observed.as_ref()?.claim()
    }

    /// Whether a claim of this process lies in the store unreleased, or may come to lie there.
    #[must_use]
    pub fn has_claim_out(&self) -> bool {
        self.flight.as_ref().is_some_and(|flight| flight.claim.is_some())
            || self.unanswered.is_some()
            || self.seen().is_some_and(|claim| claim.holder == self.me && !claim.released)
    }

    /// When [`Event::Timer`] is due, if nothing else happens before.
    #[must_use]
    pub fn wake_at(&self) -> Duration {
        let next = match (&self.flight, self.leading) {
            (Some(flight), _) => flight.sent + self.timing.patience,
            (None, _) if self.in_doubt() => self.read_at,
            (None, Some(leading)) => leading.renew_at,
            (None, None) if self.standing => self.open_from().map_or(self.read_at, |open| open.min(self.read_at)),
            (None, None) => self.read_at,
        };
        self.leading.map_or(next, |leading| next.min(leading.until))
    }

    /// Takes an event, and says what is to be done about it, in this order.
    pub fn on(&mut self, event: Event, now: Duration, effects: &mut Vec<Effect>) {
        // First of all: whatever has come, it may have come after the end.
        if self.leading.is_some_and(|leading| now >= leading.until) && !active(Mutation::RenewAfterExpiry) {
            self.step_down(Ended::RanOut, effects);
        }
        match event {
            Event::Timer => {}
            Event::Stand { floor } => {
                self.standing = true;
                self.floor = self.floor.max(floor);
            }
            Event::Resign => {
                self.standing = false;
                if self.leading.is_some() {
                    self.step_down(Ended::Resigned, effects);
                }
            }
            Event::Read { request, result } => {
                if self.flight.as_ref().is_some_and(|flight| flight.request == request && flight.claim.is_none()) {
                    self.flight = None;
                    match result {
                        Some(seen) => self.saw(seen, now, effects),
                        None => self.read_at = now + self.timing.poll_every,
                    }
                }
            }
            Event::Swapped { request, result } => {
                if let Some(Flight { sent, claim: Some(claim), .. }) =
                    self.flight.take_if(|flight| flight.request == request && flight.claim.is_some())
                {
                    match result {
                        Some(Swap::Taken(tag)) => self.taken(claim, tag, sent, now, effects),
                        Some(Swap::Lost) => self.look_again(now),
                        None => self.unknown(claim, sent, now + self.timing.poll_every),
                    }
                }
            }
        }
        self.proceed(now, effects);
    }

    /// The store was read.
    fn saw(&mut self, seen: Option<Seen>, now: Duration, effects: &mut Vec<Effect>) {
        self.read_at = now + self.timing.poll_every;
        let before = self.observed.take();
        let observed = Observed::after(before.as_ref(), seen, now);
        if let Some(claim) = observed.claim() {
            self.floor = self.floor.max(claim.epoch);
            // Handed on from claim to claim, whoever has heard of it. Of another log than this member's it says nothing.
            if self.committed.lsn == Lsn::NONE || claim.committed.incarnation == self.committed.incarnation {
                let committed = claim.committed;
                self.know_committed(committed);
            }
        }
        if observed.claim() != before.as_ref().and_then(Observed::claim) {
            effects.push(Effect::Follow { claim: observed.claim().cloned() });
        }
        self.observed = Some(observed);
        let unanswered = self.unanswered.take();
        let Some(Leading { epoch, .. }) = self.leading else { return };
        let own = self.seen().filter(|claim| claim.holder == self.me && claim.epoch == epoch && !claim.released);
        match (own, unanswered) {
            (None, _) => self.step_down(Ended::Superseded, effects),
            // What was not answered for had been done: it holds from when it was sent.
            (Some(own), Some((claim, sent))) if *own == claim => self.prolong(epoch, sent, effects),
            (Some(_), _) => {}
        }
    }

    /// A swap was done.
    fn taken(&mut self, claim: Claim, tag: Tag, sent: Duration, now: Duration, effects: &mut Vec<Effect>) {
        let (epoch, released) = (claim.epoch, claim.released);
        self.unanswered = None;
        self.observed = Some(Observed::own(Seen { claim, tag }, now));
        self.read_at = now + self.timing.poll_every;
        match self.leading {
            Some(leading) if leading.epoch == epoch => self.prolong(epoch, sent, effects),
            // A renewal that was answered after its leadership had ended.
            _ if released || epoch <= self.floor && !active(Mutation::IgnoreLeaseEpoch) => {}
            _ => {
                self.floor = self.floor.max(epoch);
                let until = sent + self.timing.hold(self.timing.term);
                if self.standing && now < until {
                    self.leading = Some(Leading { epoch, until, renew_at: sent + self.timing.renew_every });
                    effects.push(Effect::Lead { epoch, until });
                }
            }
        }
    }

    /// The own claim, sent then, lies in the store.
    fn prolong(&mut self, epoch: Epoch, sent: Duration, effects: &mut Vec<Effect>) {
        let until = sent + self.timing.hold(self.timing.term);
        if let Some(leading) = &mut self.leading
            && until > leading.until
        {
            *leading = Leading { epoch, until, renew_at: sent + self.timing.renew_every };
            effects.push(Effect::Lead { epoch, until });
        }
    }

    /// It is not known whether this claim lies in the store: a look will tell.
    fn unknown(&mut self, claim: Claim, sent: Duration, read_at: Duration) {
        self.unanswered = Some((claim, sent));
        self.look_again(read_at);
    }

    /// The store is not as it was last seen. Nothing is claimed before it is looked at again.
    fn look_again(&mut self, at: Duration) {
        self.read_at = at;
        if let Some(observed) = &mut self.observed {
            observed.doubt();
        }
    }

    fn step_down(&mut self, why: Ended, effects: &mut Vec<Effect>) {
        if let Some(Leading { epoch, .. }) = self.leading.take() {
            effects.push(Effect::StepDown { epoch, why });
        }
    }

    /// Sends the next request, if one is due and none is under way.
    fn proceed(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        if let Some(late) = self.flight.take_if(|flight| now >= flight.sent + self.timing.patience) {
            match late.claim {
                Some(claim) => self.unknown(claim, late.sent, now),
                None => self.read_at = now,
            }
        }
        if self.flight.is_some() {
            return;
        }
        match self.next_claim(now) {
            Some(claim) => {
                let expected = self.observed.as_ref().and_then(|observed| observed.tag().cloned());
                let request = self.fly(Some(claim.clone()), now);
                effects.push(Effect::Swap { request, expected, claim });
            }
            // A leader's renewals tell it all, unless one was lost.
            None if now >= self.read_at && (self.leading.is_none() || self.in_doubt()) => {
                let request = self.fly(None, now);
                effects.push(Effect::Read { request });
            }
            None => {}
        }
    }

    fn fly(&mut self, claim: Option<Claim>, now: Duration) -> u64 {
        self.requests += 1;
        self.flight = Some(Flight { request: self.requests, sent: now, claim });
        self.requests
    }

    fn in_doubt(&self) -> bool {
        self.observed.as_ref().is_none_or(Observed::in_doubt)
    }

    /// The claim that is to be made now, if any.
    fn next_claim(&mut self, now: Duration) -> Option<Claim> {
        let observed = self.observed.as_ref().filter(|observed| !observed.in_doubt())?;
        let epoch = match self.leading {
            Some(leading) => (now >= leading.renew_at).then_some(leading.epoch)?,
            None if self.standing => {
                (now >= self.open_from()?).then_some(())?;
                let before = self.floor.max(observed.claim().map_or(Epoch(0), |claim| claim.epoch));
                if active(Mutation::IgnoreLeaseEpoch) { before.max(Epoch::FIRST) } else { self.turn.after(before) }
            }
            // A claim of one's own that nobody stands behind any more is taken back, so that nobody waits for its end.
            None => {
                let own = observed.claim().filter(|claim| claim.holder == self.me && !claim.released)?;
                return Some(self.claim(own.epoch, true));
            }
        };
        Some(self.claim(epoch, false))
    }

    fn claim(&mut self, epoch: Epoch, released: bool) -> Claim {
        self.attempts += 1;
        let term_ms = u64::try_from(self.timing.term.as_millis()).unwrap_or(u64::MAX);
        Claim {
            epoch,
            holder: self.me.clone(),
            attempt: self.attempts,
            term_ms,
            released,
            contact: self.contact.clone(),
            committed: self.committed,
            store: None,
        }
    }

    /// From when on the lease may be claimed by this process; `None` as long as it has not seen the store.
    fn open_from(&self) -> Option<Duration> {
        self.observed.as_ref().map(|observed| observed.open_from(&self.me, &self.timing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_never_begin_the_same_epoch() {
        let epochs = |turn: Turn| (0..200).map(move |last| (last, turn.after(Epoch(last)).0));
        for (last, epoch) in epochs(Turn::default()) {
            assert_eq!(epoch, last + 1);
        }
        for at in 0..3 {
            for (last, epoch) in epochs(Turn { of: 3, at }) {
                assert!(epoch > last && epoch <= last + 3 && epoch % 3 == at, "{at}: {epoch} after {last}");
            }
        }
    }
}
