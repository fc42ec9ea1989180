//! A publisher's session with one subscriber: how it starts, what is sent next, and which messages
//! the subscriber may send.

use crate::frame::{Mode, PublisherHello, Resume, SubscriberHello, UNREQUESTED, Upstream, VERSION_MIN, Views};
use littoral_model::{
    cluster::Affiliation,
    format::ProtocolVersion,
    lineage::{Lineage, RegionLineages},
    mutation::{Mutation, active},
    position::{Epoch, Incarnation, Lsn, Position},
    record::ChainHash,
    region::Region,
    token::Watermark,
};

/// The state of a publisher when a subscriber connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publisher {
    /// The newest protocol version that it speaks.
    pub version: ProtocolVersion,
    /// Its region.
    pub region: Region,
    /// The epoch in which it appends.
    pub epoch: Epoch,
    /// Its last record.
    pub head: Position,
    /// The positions up to which every region's records are in its log.
    pub watermark: Watermark,
    /// The lineages of the regions' logs, including its own.
    pub lineages: RegionLineages,
    /// The affiliation of its log; `None` if unknown.
    pub belongs: Option<Affiliation>,
    /// The maximum interval between its heartbeats, in milliseconds.
    pub heartbeat_ms: u32,
    /// A number that changes whenever the served data is replaced as a whole, as when a relay
    /// installs a snapshot.
    pub generation: u64,
    /// Whether it relays another node's log. If so, having less than a subscriber only means being
    /// behind.
    pub relay: bool,
}

/// Why a subscriber is rejected or disconnected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The two sides support no common version.
    #[error(
        "the subscriber speaks protocol versions {min} to {max}, but this node speaks versions {VERSION_MIN} to {ours}; upgrade the \
         older one, or remove protocol_version from the configuration of the one that is held"
    )]
    Version {
        /// The subscriber's oldest version.
        min: u16,
        /// The subscriber's newest version.
        max: u16,
        /// The publisher's newest version.
        ours: ProtocolVersion,
    },
    /// A relay that is behind the subscriber would undo records that the subscriber has.
    #[error(
        "this relay has the log up to {head}, but the subscriber has it up to {applied}; retry shortly, or use another publisher"
    )]
    Behind {
        /// The relay's last record.
        head: Lsn,
        /// The subscriber's last record.
        applied: Lsn,
    },
    /// The subscriber has records that this log should have but lacks. Either the log was rolled
    /// back while its process ran, or this node was replaced and does not know it.
    #[error(
        "this log ends at {head}, but the subscriber has it up to {applied}: the log was rolled back, or another node leads; retry \
         shortly"
    )]
    RolledBack {
        /// The publisher's last record.
        head: Position,
        /// The subscriber's position.
        applied: Position,
    },
    /// The subscriber sent a second hello.
    #[error("the subscriber sent a second hello")]
    SecondHello,
    /// The subscriber's pings do not ascend.
    #[error("ping {got} arrived after ping {last}")]
    PingOrder {
        /// The ping received.
        got: u64,
        /// The ping received before it.
        last: u64,
    },
    /// The subscriber reports as applied records that were never sent, or fewer than before.
    #[error(
        "the subscriber reports record {got} as applied, but the last record sent is {sent}, and it reported {applied} before"
    )]
    Applied {
        /// The record reported.
        got: Lsn,
        /// The last record sent.
        sent: Lsn,
        /// The record reported before.
        applied: Lsn,
    },
}

/// A session with one subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    version: ProtocolVersion,
    /// The publisher's last record when it was last checked.
    head: Position,
    generation: u64,
    sent: Lsn,
    applied: Lsn,
    ping: u64,
    answered: u64,
}

impl Publisher {
    /// Returns the lineage of its log.
    #[must_use]
    pub fn own_lineage(&self) -> Lineage {
        self.lineages.get(self.region).cloned().unwrap_or_else(|| Lineage::of(self.head.incarnation))
    }

    /// Returns whether the subscriber's position is in this log, or in a copy of it that continued
    /// separately.
    #[must_use]
    pub fn is_same_log(&self, hello: &SubscriberHello) -> bool {
        let ours = self.own_lineage();
        let of = |life| hello.lineages.with_life(life).is_some_and(|theirs| theirs.log() == ours.log());
        hello.resume.is_some_and(|Resume { position, .. }| ours.lists(position.incarnation) || of(position.incarnation))
    }

    /// Returns the common record of this log and the subscriber's copy of it, if the subscriber
    /// holds something past that record. For another region's leader it is also returned if the
    /// leader knows a life that this log has lost, or waits for this log's request for the records
    /// that it lost ([`UNREQUESTED`]): the log may have been rolled back again, and may have lost
    /// its request for everything.
    #[must_use]
    pub fn fork(&self, hello: &SubscriberHello) -> Option<Position> {
        let ours = self.own_lineage();
        let for_region = matches!(hello.views, Views::ForRegion(_));
        if for_region && hello.holds == Some(UNREQUESTED) {
            let theirs = hello.lineages.get(self.region).filter(|theirs| theirs.log() == ours.log())?;
            let lsn = hello.resume.map_or(Lsn::NONE, |resume| resume.position.lsn);
            return ours.common(self.head.lsn, theirs, lsn);
        }
        let position = furthest(hello)?;
        let theirs = hello.lineages.with_life(position.incarnation).cloned();
        let lost_life = theirs.as_ref().is_some_and(|theirs| for_region && !ours.lists(theirs.current()));
        if ours.has(position, self.head.lsn) && !lost_life {
            return None;
        }
        ours.common(self.head.lsn, &theirs.unwrap_or_else(|| Lineage::of(position.incarnation)), position.lsn)
    }

    /// Answers a hello. `chain_at` returns the hash of a record that the log still holds and from
    /// which it can continue, so that a subscriber with other records is detected.
    ///
    /// A tail is sent in three cases. The subscriber's position belongs to this log
    /// ([`Lineage::has`]) and the record there is the same. Or the subscriber comes from another
    /// region's log and lacks nothing before `rehomed`. Or it is another region's leader whose
    /// copy of this log continued separately; the tail then starts after the common record.
    /// Everything else needs a snapshot.
    ///
    /// # Errors
    /// [`Rejection::Version`], [`Rejection::Behind`], [`Rejection::RolledBack`].
    pub fn greet(
        &self,
        hello: &SubscriberHello,
        chain_at: impl Fn(Lsn) -> Option<ChainHash>,
        rehomed: Option<Resume>,
    ) -> Result<(PublisherHello, Session), Rejection> {
        let (min, max, ours) = (hello.version_min, hello.version_max, self.version);
        let version = ours.agree(min, max).ok_or(Rejection::Version { min, max, ours })?;
        let chain = hello.resume.and_then(|resume| chain_at(resume.position.lsn));
        self.check_is_ahead(hello, chain)?;
        let forked = self.fork_by_hash(hello, chain).map(|position| (position, chain_at(position.lsn)));
        let tail_from = self.tail_from(hello, chain, forked);
        let forked = forked.map(|(position, chain)| Resume { position, chain: chain.unwrap_or_default() });
        let (mode, sent, rehomed) = match (tail_from, rehomed) {
            (Some(resume), _) if active(Mutation::ResumeTooLate) => (Mode::Tail, resume.position.lsn.next(), None),
            (Some(resume), _) => (Mode::Tail, resume.position.lsn, None),
            (None, Some(rehomed)) => (Mode::Tail, rehomed.position.lsn, Some(rehomed)),
            (None, None) => (Mode::Snapshot, Lsn::NONE, None),
        };
        // A subscriber that holds rows may not follow a log that does not hold what the other
        // regions have.
        let belongs = self.belongs.filter(|belongs| belongs.healed);
        let answer = PublisherHello {
            version: version.number(),
            region: self.region,
            epoch: self.epoch,
            head: self.head,
            mode,
            rehomed,
            watermark: self.watermark.clone(),
            heartbeat_ms: self.heartbeat_ms,
            lineages: self.lineages.clone(),
            forked,
            cluster: belongs.map(|belongs| belongs.cluster),
            succeeds: belongs.and_then(|belongs| belongs.succeeds),
            configured: Vec::new(),
        };
        let (head, generation) = (self.head, self.generation);
        Ok((answer, Session { version, head, generation, sent, applied: sent, ping: 0, answered: 0 }))
    }

    /// Checks that this log has every record that the subscriber has of it. `chain` is the hash of this log's record at
    /// the subscriber's position.
    fn check_is_ahead(&self, hello: &SubscriberHello, chain: Option<ChainHash>) -> Result<(), Rejection> {
        if active(Mutation::RollbackUnnoticed) {
            return Ok(());
        }
        let ours = self.own_lineage();
        let went_on =
            hello.ended == Some(ours.current()) || hello.lineages.iter().any(|(_, theirs)| ours.is_past_of(theirs));
        if went_on {
            let applied = hello.resume.map_or_else(Position::default, |resume| resume.position);
            return Err(Rejection::RolledBack { head: self.head, applied });
        }
        // A record of the current life that differs from ours: this log was rolled back while it
        // ran.
        let differs = hello.resume.filter(|resume| {
            let known = resume.position.incarnation == ours.current() && resume.position.lsn <= self.head.lsn;
            known && chain.is_some_and(|chain| chain != resume.chain)
        });
        // A record past our head. At a relay, its life may be one that the relay knows without
        // having a record of it yet.
        let ahead = furthest(hello).filter(|held| held.lsn > self.head.lsn && ours.has(*held, Lsn(u64::MAX)));
        match ahead.or(differs.map(|resume| resume.position)) {
            None => Ok(()),
            Some(applied) if self.relay && ahead.is_some() => {
                Err(Rejection::Behind { head: self.head.lsn, applied: applied.lsn })
            }
            Some(applied) => Err(Rejection::RolledBack { head: self.head, applied }),
        }
    }

    /// Returns the subscriber's position if it belongs to this log.
    fn belongs(&self, hello: &SubscriberHello) -> Option<Resume> {
        hello.resume.filter(|resume| self.own_lineage().has(resume.position, self.head.lsn))
    }

    /// Like [`Self::fork`], but also detects a fork by the hash `chain` of this log's record at the subscriber's
    /// position.
    fn fork_by_hash(&self, hello: &SubscriberHello, chain: Option<ChainHash>) -> Option<Position> {
        if let Some(position) = self.fork(hello) {
            return Some(position);
        }
        // An earlier life was rolled back while it ran: only its first record is known to be
        // shared.
        let resume = self.belongs(hello).filter(|resume| chain.is_some_and(|chain| chain != resume.chain))?;
        let ours = self.own_lineage();
        let start = ours.starts().iter().find(|start| start.life == resume.position.incarnation)?;
        Some(Position { lsn: start.first, ..resume.position })
    }

    /// Returns the record of this log after which the subscriber can continue, if there is one. `chain` is the hash of
    /// this log's record at the subscriber's position; `forked` is the common record, with its hash.
    fn tail_from(
        &self,
        hello: &SubscriberHello,
        chain: Option<ChainHash>,
        forked: Option<(Position, Option<ChainHash>)>,
    ) -> Option<Resume> {
        let for_region = matches!(hello.views, Views::ForRegion(_));
        // Rows that the log has lost are replaced by a snapshot. Another region keeps them,
        // because the log replicates them back.
        let same = self.belongs(hello).filter(|resume| chain == Some(resume.chain) && (for_region || forked.is_none()));
        let from_fork =
            forked.filter(|_| for_region).and_then(|(position, chain)| Some(Resume { position, chain: chain? }));
        let goes_on = |fork: &Resume| hello.resume.is_some() && fork.position.lsn > Lsn::NONE;
        same.or(from_fork.filter(goes_on))
    }
}

/// Returns the newest record of the log from which the subscriber holds something.
fn furthest(hello: &SubscriberHello) -> Option<Position> {
    hello.holds.or(hello.resume.map(|resume| resume.position))
}

impl Session {
    /// Returns the protocol version on which both sides have agreed.
    #[must_use]
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// Returns the current life of the log.
    #[must_use]
    pub fn life(&self) -> Incarnation {
        self.head.incarnation
    }

    /// Notes that a snapshot as of this record was sent.
    pub fn snapshot_sent(&mut self, as_of: Lsn) {
        self.sent = as_of;
        self.applied = Lsn::NONE;
    }

    /// Updates the publisher's last record and generation. Returns false if the new head may
    /// belong to another lineage: another life of the log, a log that was cut back (as at a relay
    /// whose leader was restored from a backup), or a replacement of a replica that had more
    /// records. The stream must then end, so that the subscriber sends a new hello. Otherwise it
    /// might wait forever for records after those it has, or keep rows that no record will
    /// correct.
    #[must_use]
    pub fn continues(&mut self, head: Position, generation: u64) -> bool {
        let same = generation == self.generation && head.lsn >= self.head.lsn;
        let continues = head.incarnation == self.head.incarnation && (same || active(Mutation::StayWithReplaced));
        self.head = head;
        continues
    }

    /// Returns the record to read and send next when the log's head is `head`; `None` if all are
    /// sent.
    #[must_use]
    pub fn next(&self, head: Lsn) -> Option<Lsn> {
        (head > self.sent).then(|| self.sent.next())
    }

    /// Returns the last record sent. A checkpoint can be sent only at this record.
    #[must_use]
    pub fn sent(&self) -> Lsn {
        self.sent
    }

    /// Notes that records up to this one were sent.
    pub fn records_sent(&mut self, last: Lsn) {
        self.sent = self.sent.max(last);
    }

    /// Returns the last ping received, for a heartbeat to echo. The caller must read the
    /// heartbeat's head after this call.
    pub fn echo(&mut self) -> u64 {
        self.answered = self.ping;
        self.ping
    }

    /// Returns whether a ping awaits its echo.
    #[must_use]
    pub fn owes_echo(&self) -> bool {
        self.ping > self.answered
    }

    /// Returns the last record that the subscriber has reported as applied.
    #[must_use]
    pub fn applied(&self) -> Lsn {
        self.applied
    }

    /// Handles a message from the subscriber after its hello.
    ///
    /// # Errors
    /// [`Rejection`]; the caller sends it to the subscriber and closes the stream.
    pub fn receive(&mut self, message: &Upstream) -> Result<(), Rejection> {
        match message {
            Upstream::Hello(_) => Err(Rejection::SecondHello),
            Upstream::Ping { seq } if *seq > self.ping => {
                self.ping = *seq;
                Ok(())
            }
            Upstream::Ping { seq } => Err(Rejection::PingOrder { got: *seq, last: self.ping }),
            Upstream::Applied { lsn } if *lsn >= self.applied && *lsn <= self.sent => {
                self.applied = *lsn;
                Ok(())
            }
            Upstream::Applied { lsn } => Err(Rejection::Applied { got: *lsn, sent: self.sent, applied: self.applied }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use littoral_model::lineage::Start;

    fn at(incarnation: u64, lsn: u64) -> Position {
        Position { incarnation: Incarnation(incarnation), lsn: Lsn(lsn) }
    }

    fn publisher() -> Publisher {
        let region = "east".parse().expect("region");
        Publisher {
            version: ProtocolVersion::NEWEST,
            region,
            epoch: Epoch(2),
            head: at(7, 100),
            watermark: Watermark::default(),
            lineages: RegionLineages::default(),
            belongs: None,
            heartbeat_ms: 100,
            generation: 3,
            relay: false,
        }
    }

    fn hello(resume: Option<Resume>) -> SubscriberHello {
        SubscriberHello {
            version_min: VERSION_MIN,
            version_max: ProtocolVersion::NEWEST.number() + 3,
            subscriber: "edge".into(),
            views: Views::All,
            resume,
            holds: None,
            ended: None,
            watermark: Watermark::default(),
            lineages: RegionLineages::default(),
            cluster: None,
        }
    }

    fn mode_for(resume: Option<Resume>) -> Mode {
        let hello = hello(resume);
        // The log holds records 50 to 100; the hash of each is its LSN.
        let chain_at = |lsn: Lsn| (50..=100).contains(&lsn.0).then_some(ChainHash(u128::from(lsn.0)));
        publisher().greet(&hello, chain_at, None).expect("greets").0.mode
    }

    #[test]
    fn a_tail_is_sent_only_to_subscribers_of_the_same_lineage() {
        let resume = |position: Position, chain| Some(Resume { position, chain: ChainHash(chain) });
        assert_eq!(mode_for(resume(at(7, 60), 60)), Mode::Tail);
        assert_eq!(mode_for(resume(at(7, 100), 100)), Mode::Tail);
        assert_eq!(mode_for(None), Mode::Snapshot);
        assert_eq!(mode_for(resume(at(8, 60), 60)), Mode::Snapshot, "another life of the log");
        assert_eq!(mode_for(resume(at(7, 49), 49)), Mode::Snapshot, "trimmed");
    }

    /// Life 7 until the record before `first`, then life `second`.
    fn lineages(second: u64, first: u64) -> RegionLineages {
        let mut lineages = RegionLineages::default();
        let (life, after) = (Incarnation(second), Incarnation(7));
        let start = Start { life, first: Lsn(first), after, shared: Lsn(first - 1) };
        lineages.entry(publisher().region, Incarnation(7)).begin(start);
        lineages
    }

    #[test]
    fn a_subscriber_with_records_that_the_log_lacks_reveals_a_rollback() {
        let greet = |position, chain, lineages: RegionLineages| {
            let hello = SubscriberHello { lineages, ..hello(Some(Resume { position, chain: ChainHash(chain) })) };
            publisher().greet(&hello, |lsn| (lsn.0 <= 100).then_some(ChainHash(u128::from(lsn.0))), None)
        };
        let none = RegionLineages::default();
        for (position, chain, lineages) in
            [(at(7, 101), 101, &none), (at(7, 60), 61, &none), (at(9, 80), 80, &lineages(9, 80))]
        {
            let refused = greet(position, chain, lineages.clone()).unwrap_err();
            assert_eq!(refused, Rejection::RolledBack { head: at(7, 100), applied: position });
        }
    }

    #[test]
    fn a_subscriber_past_a_fork_receives_the_common_record() {
        let publisher = Publisher { head: at(9, 100), lineages: lineages(9, 80), ..publisher() };
        let greet = |views, position, theirs: &RegionLineages| {
            let resume = Some(Resume { position, chain: ChainHash(1_000) });
            let hello = SubscriberHello { views, lineages: theirs.clone(), ..hello(resume) };
            let (answer, session) = publisher.greet(&hello, |lsn| Some(ChainHash(u128::from(lsn.0))), None).unwrap();
            (answer.mode, answer.forked.map(|fork| (fork.position, fork.chain.0)), session.sent())
        };
        let for_region = || Views::ForRegion("west".parse().unwrap());
        let fork = Some((at(7, 79), 79));
        let unknown = RegionLineages::default();
        assert_eq!(greet(for_region(), at(7, 90), &unknown), (Mode::Tail, fork, Lsn(79)));
        assert_eq!(greet(Views::All, at(7, 90), &unknown), (Mode::Snapshot, fork, Lsn::NONE));
        assert_eq!(
            greet(for_region(), at(8, 95), &lineages(8, 85)),
            (Mode::Tail, fork, Lsn(79)),
            "a life that is not in our log"
        );
        assert_eq!(greet(for_region(), at(8, 95), &lineages(8, 60)), (Mode::Tail, Some((at(7, 59), 59)), Lsn(59)));
        assert_eq!(greet(for_region(), at(77, 5), &unknown), (Mode::Snapshot, None, Lsn::NONE), "another log");
    }

    #[test]
    fn a_region_that_waits_for_a_request_receives_the_common_record_again() {
        let publisher = Publisher { head: at(9, 100), lineages: lineages(9, 80), ..publisher() };
        let greet = |position: Option<Position>, holds| {
            let resume = position.map(|position| Resume { position, chain: ChainHash(position.lsn.0.into()) });
            let views = Views::ForRegion("west".parse().unwrap());
            let hello = SubscriberHello { views, holds, lineages: lineages(9, 80), ..hello(resume) };
            let (answer, session) = publisher.greet(&hello, |lsn| Some(ChainHash(lsn.0.into())), None).unwrap();
            (answer.mode, answer.forked.map(|fork| fork.position.lsn), session.sent())
        };
        let waits = Some(UNREQUESTED);
        assert_eq!(greet(Some(at(7, 79)), Some(at(7, 79))), (Mode::Tail, None, Lsn(79)));
        assert_eq!(greet(Some(at(7, 79)), waits), (Mode::Tail, Some(Lsn(79)), Lsn(79)));
        assert_eq!(greet(Some(at(9, 90)), waits), (Mode::Tail, Some(Lsn(90)), Lsn(90)));
        assert_eq!(greet(None, waits), (Mode::Snapshot, Some(Lsn::NONE), Lsn::NONE), "it kept nothing of this log");
    }

    #[test]
    fn a_relay_behind_its_subscriber_rejects_it() {
        let resume = |position: Position| Some(Resume { position, chain: ChainHash(1) });
        let relay = Publisher { relay: true, ..publisher() };
        let mode = |resume| relay.greet(&hello(resume), |_| Some(ChainHash(1)), None).map(|(answer, _)| answer.mode);
        assert_eq!(mode(resume(at(7, 101))), Err(Rejection::Behind { head: Lsn(100), applied: Lsn(101) }));
        assert_eq!(mode(resume(at(7, 100))), Ok(Mode::Tail));
        assert_eq!(mode(resume(at(8, 101))), Ok(Mode::Snapshot), "another life of the log has other LSNs");
    }

    #[test]
    fn a_hello_without_a_common_version_is_rejected() {
        let newest = ProtocolVersion::NEWEST.number();
        for (version_min, version_max) in [(newest + 1, newest + 2), (VERSION_MIN - 2, VERSION_MIN - 1)] {
            let hello = SubscriberHello { version_min, version_max, ..hello(None) };
            assert!(matches!(publisher().greet(&hello, |_| None, None), Err(Rejection::Version { .. })));
        }
    }

    #[test]
    fn publisher_and_session_have_the_newest_version_that_both_speak() {
        let agreed = |publisher: ProtocolVersion, subscriber: ProtocolVersion| {
            let hello = SubscriberHello { version_max: subscriber.number(), ..hello(None) };
            let publisher = Publisher { version: publisher, ..super::tests::publisher() };
            let (answer, session) = publisher.greet(&hello, |_| None, None).expect("they share a version");
            assert_eq!(answer.version, session.version().number());
            session.version()
        };
        let (previous, newest) = (ProtocolVersion::PREVIOUS, ProtocolVersion::NEWEST);
        assert_eq!(agreed(newest, newest), newest);
        assert_eq!(agreed(newest, previous), previous);
        assert_eq!(agreed(previous, newest), previous);
    }

    #[test]
    fn a_session_sends_each_record_once_and_echoes_the_last_ping() {
        let (_, mut session) = publisher().greet(&hello(None), |_| None, None).expect("a sound hello");
        (session.sent, session.applied) = (Lsn(10), Lsn(10));
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
    fn a_stream_ends_when_its_log_is_recreated_cut_back_or_replaced() {
        let (_, mut session) = publisher().greet(&hello(None), |_| None, None).expect("a sound hello");
        assert!(session.continues(at(7, 100), 3) && session.continues(at(7, 120), 3));
        assert!(!session.continues(at(7, 120), 4), "a relay that has installed a snapshot");
        assert!(!session.continues(at(7, 110), 3), "a relay whose leader was restored from a backup");
        assert!(!session.continues(at(8, 110), 3));
    }
}
