//! The election of a leader as a state machine without IO: events and the time go in, commands come out.
//!
//! The store holds one claim, and every change of it is a compare-and-swap. A holder acts on its claim for the term,
//! less the allowed drift, counted from the moment at which it *began* to write the claim. Another process claims the
//! lease only after it has itself seen the same claim for the term, plus the drift, counted from when it *first saw*
//! it; its swap expects exactly that claim. So the swap happens after the holder has stopped, whatever happens to
//! messages and processes; a renewal that the process has not seen makes the swap fail. Clocks of different processes
//! are never compared.
//!
//! Every new leadership has a greater epoch than all that were seen before. A leader that has stepped down, for
//! whatever reason, never continues in its epoch: it must claim the lease again like any other process.

pub mod event;
mod observed;

pub use event::{Command, Ended, Event, Role};

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

/// Which epochs a process may begin: those equal to `offset` modulo `stride`. Members with different offsets never
/// begin the same epoch, even if they use two unrelated stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochStride {
    /// The distance between two consecutive epochs of one process.
    pub stride: u64,
    /// The remainder of its epochs, from zero.
    pub offset: u64,
}

impl Default for EpochStride {
    /// Any epoch: only the store ensures that no two processes begin the same one.
    fn default() -> Self {
        Self { stride: 1, offset: 0 }
    }
}

impl EpochStride {
    /// Returns the first of these epochs after `last`.
    fn after(self, last: Epoch) -> Epoch {
        let (stride, next) = (self.stride.max(1), last.next().0);
        let skipped = (stride + self.offset % stride - next % stride) % stride;
        Epoch(next.saturating_add(skipped))
    }
}

/// The election as one process sees it. Times are readings of one monotonic clock, from any origin.
#[derive(Clone, Debug)]
pub struct Election {
    me: Holder,
    contact: String,
    timing: Timing,
    epochs: EpochStride,
    /// Whether this process competes for the lease.
    competing: bool,
    /// Epochs up to this one are never begun.
    floor: Epoch,
    observed: Option<Observed>,
    leading: Option<Leading>,
    in_flight: Option<InFlight>,
    /// A claim that may be in the store, because the result of its swap is unknown; and the time at which it was sent.
    uncertain: Option<(Claim, Duration)>,
    /// When to read the store next.
    read_at: Duration,
    requests: u64,
    attempts: u64,
    /// The newest record of the region's log that is known to be committed; written into every claim.
    committed: Committed,
}

#[derive(Clone, Copy, Debug)]
struct Leading {
    epoch: Epoch,
    until: Duration,
    renew_at: Duration,
}

/// The one outstanding request. Results of earlier requests are too late and are ignored.
#[derive(Clone, Debug)]
struct InFlight {
    request: u64,
    sent: Duration,
    /// The claim to be written; `None` for a read.
    claim: Option<Claim>,
}

impl Election {
    /// Creates a process that only observes, until [`Event::Stand`]. `contact` is the address at which other nodes
    /// reach it.
    #[must_use]
    pub fn new(me: Holder, contact: String, timing: Timing) -> Self {
        Self {
            me,
            contact,
            timing,
            epochs: EpochStride::default(),
            competing: false,
            floor: Epoch(0),
            observed: None,
            leading: None,
            in_flight: None,
            uncertain: None,
            read_at: Duration::ZERO,
            requests: 0,
            attempts: 0,
            committed: Committed::default(),
        }
    }

    /// Returns the election restricted to these epochs.
    #[must_use]
    pub fn restricted_to(self, epochs: EpochStride) -> Self {
        Self { epochs, ..self }
    }

    /// Returns the role of this process.
    #[must_use]
    pub fn role(&self, now: Duration) -> Role {
        match self.leading {
            Some(Leading { epoch, until, .. }) if now < until => Role::Leader { epoch, until },
            _ if self.competing && self.open_from().is_some_and(|open| now >= open) => Role::Contender,
            _ => Role::Follower,
        }
    }

    /// Notes that the region's log is committed up to this record.
    pub fn note_committed(&mut self, committed: Committed) {
        if committed.lsn > Lsn::NONE
            && (committed.incarnation != self.committed.incarnation || committed.lsn > self.committed.lsn)
        {
            self.committed = committed;
        }
    }

    /// Returns the claim that was last seen in the store.
    #[must_use]
    pub fn seen(&self) -> Option<&Claim> {
        self.observed.as_ref()?.claim()
    }

    /// Returns whether an unreleased claim of this process is in the store, or may still arrive there.
    #[must_use]
    pub fn has_claim_out(&self) -> bool {
        self.in_flight.as_ref().is_some_and(|in_flight| in_flight.claim.is_some())
            || self.uncertain.is_some()
            || self.seen().is_some_and(|claim| claim.holder == self.me && !claim.released)
    }

    /// Returns when [`Event::Timer`] is due, unless another event comes first.
    #[must_use]
    pub fn wake_at(&self) -> Duration {
        let next = match (&self.in_flight, self.leading) {
            (Some(in_flight), _) => in_flight.sent + self.timing.request_timeout,
            (None, _) if self.in_doubt() => self.read_at,
            (None, Some(leading)) => leading.renew_at,
            (None, None) if self.competing => self.open_from().map_or(self.read_at, |open| open.min(self.read_at)),
            (None, None) => self.read_at,
        };
        self.leading.map_or(next, |leading| next.min(leading.until))
    }

    /// Processes an event. Appends the resulting commands, to be carried out in this order.
    pub fn on(&mut self, event: Event, now: Duration, commands: &mut Vec<Command>) {
        // Check expiry first: the event may have arrived after the lease ended.
        if self.leading.is_some_and(|leading| now >= leading.until) && !active(Mutation::RenewAfterExpiry) {
            self.step_down(Ended::RanOut, commands);
        }
        match event {
            Event::Timer => {}
            Event::Stand { floor } => {
                self.competing = true;
                self.floor = self.floor.max(floor);
            }
            Event::Resign => {
                self.competing = false;
                if self.leading.is_some() {
                    self.step_down(Ended::Resigned, commands);
                }
            }
            Event::Read { request, result } => {
                if self
                    .in_flight
                    .as_ref()
                    .is_some_and(|in_flight| in_flight.request == request && in_flight.claim.is_none())
                {
                    self.in_flight = None;
                    match result {
                        Some(seen) => self.on_read(seen, now, commands),
                        None => self.read_at = now + self.timing.poll_every,
                    }
                }
            }
            Event::Swapped { request, result } => {
                if let Some(InFlight { sent, claim: Some(claim), .. }) =
                    self.in_flight.take_if(|in_flight| in_flight.request == request && in_flight.claim.is_some())
                {
                    match result {
                        Some(Swap::Done(tag)) => self.on_swapped(claim, tag, sent, now, commands),
                        Some(Swap::Lost) => self.read_again(now),
                        None => self.on_unknown_result(claim, sent, now + self.timing.poll_every),
                    }
                }
            }
        }
        self.proceed(now, commands);
    }

    /// Processes the result of a read.
    fn on_read(&mut self, seen: Option<Seen>, now: Duration, commands: &mut Vec<Command>) {
        self.read_at = now + self.timing.poll_every;
        let before = self.observed.take();
        let observed = Observed::after(before.as_ref(), seen, now);
        if let Some(claim) = observed.claim() {
            self.floor = self.floor.max(claim.epoch);
            // Each holder copies this record from the claim before its own. A record of another log than this member's
            // is ignored.
            if self.committed.lsn == Lsn::NONE || claim.committed.incarnation == self.committed.incarnation {
                let committed = claim.committed;
                self.note_committed(committed);
            }
        }
        if observed.claim() != before.as_ref().and_then(Observed::claim) {
            commands.push(Command::Follow { claim: observed.claim().cloned() });
        }
        self.observed = Some(observed);
        let uncertain = self.uncertain.take();
        let Some(Leading { epoch, .. }) = self.leading else { return };
        let own = self.seen().filter(|claim| claim.holder == self.me && claim.epoch == epoch && !claim.released);
        match (own, uncertain) {
            (None, _) => self.step_down(Ended::Superseded, commands),
            // The swap with the unknown result had succeeded: the claim is valid from when it was sent.
            (Some(own), Some((claim, sent))) if *own == claim => self.prolong(epoch, sent, commands),
            (Some(_), _) => {}
        }
    }

    /// Processes a successful swap.
    fn on_swapped(&mut self, claim: Claim, tag: Tag, sent: Duration, now: Duration, commands: &mut Vec<Command>) {
        let (epoch, released) = (claim.epoch, claim.released);
        self.uncertain = None;
        self.observed = Some(Observed::own(Seen { claim, tag }, now));
        self.read_at = now + self.timing.poll_every;
        match self.leading {
            Some(leading) if leading.epoch == epoch => self.prolong(epoch, sent, commands),
            // The result of a renewal whose leadership has already ended.
            _ if released || epoch <= self.floor && !active(Mutation::IgnoreLeaseEpoch) => {}
            _ => {
                self.floor = self.floor.max(epoch);
                let until = sent + self.timing.hold(self.timing.term);
                if self.competing && now < until {
                    self.leading = Some(Leading { epoch, until, renew_at: sent + self.timing.renew_every });
                    commands.push(Command::Lead { epoch, until });
                }
            }
        }
    }

    /// Prolongs the leadership: the claim that was sent at `sent` is in the store.
    fn prolong(&mut self, epoch: Epoch, sent: Duration, commands: &mut Vec<Command>) {
        let until = sent + self.timing.hold(self.timing.term);
        if let Some(leading) = &mut self.leading
            && until > leading.until
        {
            *leading = Leading { epoch, until, renew_at: sent + self.timing.renew_every };
            commands.push(Command::Lead { epoch, until });
        }
    }

    /// Notes that it is unknown whether this claim is in the store. The next read decides.
    fn on_unknown_result(&mut self, claim: Claim, sent: Duration, read_at: Duration) {
        self.uncertain = Some((claim, sent));
        self.read_again(read_at);
    }

    /// Notes that the store has changed since it was last read. Nothing is claimed before it is read again.
    fn read_again(&mut self, at: Duration) {
        self.read_at = at;
        if let Some(observed) = &mut self.observed {
            observed.doubt();
        }
    }

    fn step_down(&mut self, why: Ended, commands: &mut Vec<Command>) {
        if let Some(Leading { epoch, .. }) = self.leading.take() {
            commands.push(Command::StepDown { epoch, why });
        }
    }

    /// Sends the next request if one is due and none is outstanding.
    fn proceed(&mut self, now: Duration, commands: &mut Vec<Command>) {
        if let Some(late) = self.in_flight.take_if(|in_flight| now >= in_flight.sent + self.timing.request_timeout) {
            match late.claim {
                Some(claim) => self.on_unknown_result(claim, late.sent, now),
                None => self.read_at = now,
            }
        }
        if self.in_flight.is_some() {
            return;
        }
        match self.next_claim(now) {
            Some(claim) => {
                let expected = self.observed.as_ref().and_then(|observed| observed.tag().cloned());
                let request = self.send(Some(claim.clone()), now);
                commands.push(Command::Swap { request, expected, claim });
            }
            // A leader reads only after a renewal with an unknown result; otherwise its renewals keep it informed.
            None if now >= self.read_at && (self.leading.is_none() || self.in_doubt()) => {
                let request = self.send(None, now);
                commands.push(Command::Read { request });
            }
            None => {}
        }
    }

    fn send(&mut self, claim: Option<Claim>, now: Duration) -> u64 {
        self.requests += 1;
        self.in_flight = Some(InFlight { request: self.requests, sent: now, claim });
        self.requests
    }

    fn in_doubt(&self) -> bool {
        self.observed.as_ref().is_none_or(Observed::in_doubt)
    }

    /// Returns the claim to make now, if any.
    fn next_claim(&mut self, now: Duration) -> Option<Claim> {
        let observed = self.observed.as_ref().filter(|observed| !observed.in_doubt())?;
        let epoch = match self.leading {
            Some(leading) => (now >= leading.renew_at).then_some(leading.epoch)?,
            None if self.competing => {
                (now >= self.open_from()?).then_some(())?;
                let before = self.floor.max(observed.claim().map_or(Epoch(0), |claim| claim.epoch));
                if active(Mutation::IgnoreLeaseEpoch) { before.max(Epoch::FIRST) } else { self.epochs.after(before) }
            }
            // This process does not compete, but its claim is unreleased: release it, so that no other process waits
            // for its end.
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

    /// Returns the earliest time at which this process may claim the lease; `None` before it has read the store.
    fn open_from(&self) -> Option<Duration> {
        self.observed.as_ref().map(|observed| observed.open_from(&self.me, &self.timing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_never_begin_the_same_epoch() {
        let epochs = |epochs: EpochStride| (0..200).map(move |last| (last, epochs.after(Epoch(last)).0));
        for (last, epoch) in epochs(EpochStride::default()) {
            assert_eq!(epoch, last + 1);
        }
        for offset in 0..3 {
            for (last, epoch) in epochs(EpochStride { stride: 3, offset }) {
                assert!(epoch > last && epoch <= last + 3 && epoch % 3 == offset, "{offset}: {epoch} after {last}");
            }
        }
    }
}
