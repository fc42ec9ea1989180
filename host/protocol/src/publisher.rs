//! A leader's session with one subscriber: how it begins, what is sent next, what the subscriber may send.

use crate::frame::{Mode, PublisherHello, Resume, SubscriberHello, Upstream, VERSION_MAX, VERSION_MIN};
use littoral_model::{
    mutation::{Mutation, active},
    position::{Epoch, Lsn, Position},
    record::ChainHash,
    region::Region,
    token::Watermark,
};

/// What a publisher is when a subscriber comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publisher {
    /// Its region.
    pub region: Region,
    /// The epoch under which it appends.
    pub epoch: Epoch,
    /// Its last record.
    pub head: Position,
    /// How far every region's records are in its log.
    pub watermark: Watermark,
    /// How often it sends heartbeats, at least, in milliseconds.
    pub heartbeat_ms: u32,
    /// Another one whenever what it serves was replaced as a whole, as a relay's replica is by a snapshot.
    pub generation: u64,
    /// Whether it passes on another's log: then less than a subscriber has is only late, never another history.
    pub relay: bool,
}

/// Why a subscriber is sent away or cut off.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No version is spoken by both.
    #[error("feed protocol versions {min} to {max} are not spoken here, {VERSION_MIN} to {VERSION_MAX} are")]
    Version {
        /// The subscriber's oldest.
        min: u16,
        /// The subscriber's newest.
        max: u16,
    },
    /// A relay that is behind the subscriber would take it back.
    #[error("this relay has the log up to {head} and the subscriber up to {applied}; it catches up, or ask another")]
    Behind {
        /// The relay's last record.
        head: Lsn,
        /// The subscriber's.
        applied: Lsn,
    },
    /// A second hello.
    #[error("a hello was sent twice")]
    SecondHello,
    /// Pings that do not ascend.
    #[error("ping {got} came after ping {last}")]
    PingOrder {
        /// What came.
        got: u64,
        /// What had come.
        last: u64,
    },
    /// Records that were never sent are said to be applied, or fewer than before.
    #[error("record {got} is said to be applied; {sent} were sent and {applied} were applied before")]
    Applied {
        /// What came.
        got: Lsn,
        /// The last that was sent.
        sent: Lsn,
        /// What had been applied.
        applied: Lsn,
    },
}

/// A session with one subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The publisher's last record, as last looked at.
    head: Position,
    generation: u64,
    sent: Lsn,
    applied: Lsn,
    ping: u64,
    answered: u64,
}

impl Publisher {
    /// Answers a hello. `chain_at` gives the hash of a record that the log still holds, so that a subscriber of another
    /// history is noticed. The tail is chosen when the subscriber stands within this life of the log, not past its head,
    /// and holds the same record there, or comes from another region's log and lacks nothing before `rehomed`; everything else
    /// needs a snapshot.
    ///
    /// # Errors
    /// [`Refusal::Version`], [`Refusal::Behind`].
    pub fn greet(
        &self,
        hello: &SubscriberHello,
        chain_at: impl FnOnce(Lsn) -> Option<ChainHash>,
        rehomed: Option<Resume>,
    ) -> Result<(PublisherHello, Session), Refusal> {
        let version = hello.version_max.min(VERSION_MAX);
        if version < hello.version_min.max(VERSION_MIN) {
            return Err(Refusal::Version { min: hello.version_min, max: hello.version_max });
        }
        if let Some(resume) = hello.resume.filter(|_| self.relay)
            && resume.position.incarnation == self.head.incarnation
            && resume.position.lsn > self.head.lsn
        {
            return Err(Refusal::Behind { head: self.head.lsn, applied: resume.position.lsn });
        }
        let tail_from = hello.resume.filter(|resume| {
            resume.position.incarnation == self.head.incarnation
                && resume.position.lsn <= self.head.lsn
                && chain_at(resume.position.lsn) == Some(resume.chain)
        });
        let (mode, sent, rehomed) = match (tail_from, rehomed) {
            (Some(resume), _) if active(Mutation::ResumeTooLate) => (Mode::Tail, resume.position.lsn.next(), None),
            (Some(resume), _) => (Mode::Tail, resume.position.lsn, None),
            (None, Some(rehomed)) => (Mode::Tail, rehomed.position.lsn, Some(rehomed)),
            (None, None) => (Mode::Snapshot, Lsn::NONE, None),
        };
        let answer = PublisherHello {
            version,
            region: self.region,
            epoch: self.epoch,
            head: self.head,
            mode,
            rehomed,
            watermark: self.watermark.clone(),
            heartbeat_ms: self.heartbeat_ms,
        };
        let (head, generation) = (self.head, self.generation);
        Ok((answer, Session { head, generation, sent, applied: sent, ping: 0, answered: 0 }))
    }
}

impl Session {
    /// A snapshot as of this record was sent.
    pub fn snapshot_sent(&mut self, as_of: Lsn) {
        self.sent = as_of;
        self.applied = Lsn::NONE;
    }

    /// The publisher's last record is this now, and this is its generation. False when it may be of another history: another
    /// life of the log, one that was cut back, as a relay has it when its leader was restored from a backup, or a replica that
    /// was replaced, of which the one before had more. Then the stream must end, so that the subscriber is greeted anew: it
    /// might wait for ever for records behind those that it has, or hold rows of which no record comes.
    #[must_use]
    pub fn goes_on(&mut self, head: Position, generation: u64) -> bool {
        let same = generation == self.generation && head.lsn >= self.head.lsn;
        let goes_on = head.incarnation == self.head.incarnation && (same || active(Mutation::StayWithReplaced));
        self.head = head;
        goes_on
    }

    /// The record to read and send next, when the log's head is `head`; `None` when all were sent.
    #[must_use]
    pub fn next(&self, head: Lsn) -> Option<Lsn> {
        (head > self.sent).then(|| self.sent.next())
    }

    /// The last record that was sent: where a checkpoint must stand to be sent now.
    #[must_use]
    pub fn sent(&self) -> Lsn {
        self.sent
    }

    /// Records up to here were sent.
    pub fn records_sent(&mut self, last: Lsn) {
        self.sent = self.sent.max(last);
    }

    /// The last ping that came: what a heartbeat echoes. The head that the heartbeat carries must be read after this.
    pub fn echo(&mut self) -> u64 {
        self.answered = self.ping;
        self.ping
    }

    /// Whether a ping waits for its echo.
    #[must_use]
    pub fn owes_echo(&self) -> bool {
        self.ping > self.answered
    }

    /// The last record that the subscriber has applied, as it says.
    #[must_use]
    pub fn applied(&self) -> Lsn {
        self.applied
    }

    /// Takes a message of the subscriber after its hello.
    ///
    /// # Errors
    /// [`Refusal`]: tell the subscriber and close the stream.
    pub fn receive(&mut self, message: &Upstream) -> Result<(), Refusal> {
        match message {
            Upstream::Hello(_) => Err(Refusal::SecondHello),
            Upstream::Ping { seq } if *seq > self.ping => {
                self.ping = *seq;
                Ok(())
            }
            Upstream::Ping { seq } => Err(Refusal::PingOrder { got: *seq, last: self.ping }),
            Upstream::Applied { lsn } if *lsn >= self.applied && *lsn <= self.sent => {
                self.applied = *lsn;
                Ok(())
            }
            Upstream::Applied { lsn } => Err(Refusal::Applied { got: *lsn, sent: self.sent, applied: self.applied }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Views;
    use littoral_model::position::Incarnation;

    fn at(incarnation: u64, lsn: u64) -> Position {
        Position { incarnation: Incarnation(incarnation), lsn: Lsn(lsn) }
    }

    fn publisher() -> Publisher {
        let region = "east".parse().expect("region");
        Publisher {
            region,
            epoch: Epoch(2),
            head: at(7, 100),
            watermark: Watermark::default(),
            heartbeat_ms: 100,
            generation: 3,
            relay: false,
        }
    }

    fn hello(resume: Option<Resume>) -> SubscriberHello {
        SubscriberHello {
            version_min: VERSION_MIN,
            version_max: VERSION_MAX + 3,
            subscriber: "edge".into(),
            views: Views::All,
            resume,
            watermark: Watermark::default(),
        }
    }

    fn mode_for(resume: Option<Resume>) -> Mode {
        let hello = hello(resume);
        // Records 50 to 100 are held; the hash of each is its number.
        let chain_at = |lsn: Lsn| (50..=100).contains(&lsn.0).then_some(ChainHash(u128::from(lsn.0)));
        publisher().greet(&hello, chain_at, None).expect("greets").0.mode
    }

    #[test]
    fn the_tail_is_sent_only_to_those_of_the_same_history() {
        let resume = |position: Position, chain| Some(Resume { position, chain: ChainHash(chain) });
        assert_eq!(mode_for(resume(at(7, 60), 60)), Mode::Tail);
        assert_eq!(mode_for(resume(at(7, 100), 100)), Mode::Tail);
        assert_eq!(mode_for(None), Mode::Snapshot);
        assert_eq!(mode_for(resume(at(8, 60), 60)), Mode::Snapshot, "another life of the log");
        assert_eq!(mode_for(resume(at(7, 49), 49)), Mode::Snapshot, "trimmed");
        assert_eq!(mode_for(resume(at(7, 101), 101)), Mode::Snapshot, "past the head");
        assert_eq!(mode_for(resume(at(7, 60), 61)), Mode::Snapshot, "another history");
    }

    #[test]
    fn a_relay_takes_nobody_back() {
        let resume = |position: Position| Some(Resume { position, chain: ChainHash(1) });
        let relay = Publisher { relay: true, ..publisher() };
        let mode = |resume| relay.greet(&hello(resume), |_| Some(ChainHash(1)), None).map(|(answer, _)| answer.mode);
        assert_eq!(mode(resume(at(7, 101))), Err(Refusal::Behind { head: Lsn(100), applied: Lsn(101) }));
        assert_eq!(mode(resume(at(7, 100))), Ok(Mode::Tail));
        assert_eq!(mode(resume(at(8, 101))), Ok(Mode::Snapshot), "another life of the log has other numbers");
    }

    #[test]
    fn no_common_version_is_refused() {
        let hello = SubscriberHello {
            version_min: VERSION_MAX + 1,
            version_max: VERSION_MAX + 2,
            subscriber: "edge".into(),
            views: Views::All,
            resume: None,
            watermark: Watermark::default(),
        };
        assert!(matches!(publisher().greet(&hello, |_| None, None), Err(Refusal::Version { .. })));
    }

    #[test]
    fn a_session_sends_each_record_once_and_echoes_the_last_ping() {
        let mut session =
            Session { head: at(7, 100), generation: 3, sent: Lsn(10), applied: Lsn(10), ping: 0, answered: 0 };
        assert_eq!(session.next(Lsn(10)), None);
        assert_eq!(session.next(Lsn(12)), Some(Lsn(11)));
        session.records_sent(Lsn(12));
        assert_eq!(session.next(Lsn(12)), None);
        session.receive(&Upstream::Applied { lsn: Lsn(11) }).expect("was sent");
        assert!(session.receive(&Upstream::Applied { lsn: Lsn(13) }).is_err());
        assert!(session.receive(&Upstream::Applied { lsn: Lsn(10) }).is_err());
        session.receive(&Upstream::Ping { seq: 4 }).expect("ascends");
        assert!(session.owes_echo());
        assert_eq!(session.echo(), 4);
        assert!(!session.owes_echo());
        assert!(session.receive(&Upstream::Ping { seq: 4 }).is_err());
    }

    #[test]
    fn a_stream_ends_when_its_log_is_begun_anew_cut_back_or_replaced() {
        let (_, mut session) = publisher().greet(&hello(None), |_| None, None).expect("a sound hello");
        assert!(session.goes_on(at(7, 100), 3) && session.goes_on(at(7, 120), 3));
        assert!(!session.goes_on(at(7, 120), 4), "a relay that has taken a snapshot");
        assert!(!session.goes_on(at(7, 110), 3), "a relay whose leader was restored from a backup");
        assert!(!session.goes_on(at(8, 110), 3));
    }
}
