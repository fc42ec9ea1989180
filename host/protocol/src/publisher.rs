//! A leader's session with one subscriber: how it begins, what is sent next, what the subscriber may send.

use crate::frame::{Mode, PublisherHello, Resume, SubscriberHello, Upstream, VERSION_MAX, Views};
use littoral_model::{
    cluster::Belonging,
    lives::{Lives, RegionLives},
    mutation::{Mutation, active},
    position::{Epoch, Incarnation, Lsn, Position},
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
    /// The histories of the regions' logs, its own among them.
    pub lives: RegionLives,
    /// Where its log belongs; `None` while that is not known.
    pub belongs: Option<Belonging>,
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
    #[error("feed protocol versions {min} to {max} are not spoken here, version {VERSION_MAX} is")]
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
    /// The subscriber has what this log must have and does not: it was put back to an older copy while its process ran, or it was
    /// replaced and does not know it.
    #[error(
        "this log ends with {head} and the subscriber has {applied} of it: it was put back to an older copy, or another node leads; try \
         again in a moment"
    )]
    PutBack {
        /// The publisher's last record.
        head: Position,
        /// The subscriber's.
        applied: Position,
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
    /// The history of its log.
    #[must_use]
    pub fn own_lives(&self) -> Lives {
        self.lives.get(self.region).cloned().unwrap_or_else(|| Lives::of(self.head.incarnation))
    }

    /// Whether the subscriber stands in this log, or in a copy of it that went on apart.
    #[must_use]
    pub fn is_same_log(&self, hello: &SubscriberHello) -> bool {
        let ours = self.own_lives();
        let of = |life| hello.lives.with_life(life).is_some_and(|theirs| theirs.log() == ours.log());
        hello.resume.is_some_and(|Resume { position, .. }| ours.lists(position.incarnation) || of(position.incarnation))
    }

    /// The last record that the subscriber's copy of this log has in common with it, when the subscriber holds something past that.
    /// Another region's leader may hold it though it stands before that: when it has heard of a life that this log has lost, and
    /// this log may have lost with it that it had asked for everything.
    #[must_use]
    pub fn fork(&self, hello: &SubscriberHello) -> Option<Position> {
        let (ours, position) = (self.own_lives(), furthest(hello)?);
        let theirs = hello.lives.with_life(position.incarnation).cloned();
        let for_region = matches!(hello.views, Views::ForRegion(_));
        let lost_life = theirs.as_ref().is_some_and(|theirs| for_region && !ours.lists(theirs.current()));
        if ours.has(position, self.head.lsn) && !lost_life {
            return None;
        }
        ours.common(self.head.lsn, &theirs.unwrap_or_else(|| Lives::of(position.incarnation)), position.lsn)
    }

    /// Answers a hello. `chain_at` gives the hash of a record that the log still holds and goes on behind, so that a subscriber of
    /// another history is noticed. The tail is chosen when the subscriber's position belongs to this log ([`Lives::has`]) and it
    /// holds the same record there, or comes from another region's log and lacks nothing before `rehomed`. Another region's leader
    /// whose copy of this log went on apart goes on behind the fork; everything else needs a snapshot.
    ///
    /// # Errors
    /// [`Refusal::Version`], [`Refusal::Behind`], [`Refusal::PutBack`].
    pub fn greet(
        &self,
        hello: &SubscriberHello,
        chain_at: impl Fn(Lsn) -> Option<ChainHash>,
        rehomed: Option<Resume>,
    ) -> Result<(PublisherHello, Session), Refusal> {
        let version = hello.version_max.min(VERSION_MAX);
        if version < hello.version_min.max(VERSION_MAX) {
            return Err(Refusal::Version { min: hello.version_min, max: hello.version_max });
        }
        let ours = self.own_lives();
        let chain = hello.resume.and_then(|resume| chain_at(resume.position.lsn));
        let belongs = hello.resume.filter(|resume| ours.has(resume.position, self.head.lsn));
        let went_on =
            hello.ended == Some(ours.current()) || hello.lives.iter().any(|(_, theirs)| ours.is_past_of(theirs));
        if went_on && !active(Mutation::PutBackUnnoticed) {
            let applied = hello.resume.map_or_else(Position::default, |resume| resume.position);
            return Err(Refusal::PutBack { head: self.head, applied });
        }
        // Of the current life, another record than ours; or one past our head.
        let differs = hello.resume.filter(|resume| {
            let known = resume.position.incarnation == ours.current() && resume.position.lsn <= self.head.lsn;
            known && chain.is_some_and(|chain| chain != resume.chain)
        });
        // A relay knows of lives of which it has no record yet.
        let ahead = furthest(hello).filter(|held| held.lsn > self.head.lsn && ours.has(*held, Lsn(u64::MAX)));
        if let Some(applied) = ahead.or(differs.map(|resume| resume.position))
            && !active(Mutation::PutBackUnnoticed)
        {
            return Err(match self.relay && ahead.is_some() {
                true => Refusal::Behind { head: self.head.lsn, applied: applied.lsn },
                false => Refusal::PutBack { head: self.head, applied },
            });
        }
        let forked = match (self.fork(hello), belongs) {
            (Some(position), _) => Some(position),
            // Of an earlier life that was put back while it ran: only its first record is known to be the same.
            (None, Some(resume)) if chain.is_some_and(|chain| chain != resume.chain) => {
                let starts = ours.starts().iter();
                let first =
                    starts.filter(|start| start.life == resume.position.incarnation).map(|start| start.first).next();
                first.map(|lsn| Position { lsn, ..resume.position })
            }
            _ => None,
        };
        let forked = forked.map(|position| (position, chain_at(position.lsn)));
        let for_region = matches!(hello.views, Views::ForRegion(_));
        // Rows that the log has lost give way to a snapshot; another region keeps them, as the log takes them back.
        let tail_from = belongs.filter(|resume| chain == Some(resume.chain) && (for_region || forked.is_none()));
        let from_fork =
            forked.filter(|_| for_region).and_then(|(position, chain)| Some(Resume { position, chain: chain? }));
        let goes_on = |fork: &Resume| hello.resume.is_some() && fork.position.lsn > Lsn::NONE;
        let tail_from = tail_from.or(from_fork.filter(goes_on));
        let forked = forked.map(|(position, chain)| Resume { position, chain: chain.unwrap_or_default() });
        let (mode, sent, rehomed) = match (tail_from, rehomed) {
            (Some(resume), _) if active(Mutation::ResumeTooLate) => (Mode::Tail, resume.position.lsn.next(), None),
            (Some(resume), _) => (Mode::Tail, resume.position.lsn, None),
            (None, Some(rehomed)) => (Mode::Tail, rehomed.position.lsn, Some(rehomed)),
            (None, None) => (Mode::Snapshot, Lsn::NONE, None),
        };
        // What does not hold yet what the other regions have is nothing to follow for who holds rows.
        let belongs = self.belongs.filter(|belongs| belongs.healed);
        let answer = PublisherHello {
            version,
            region: self.region,
            epoch: self.epoch,
            head: self.head,
            mode,
            rehomed,
            watermark: self.watermark.clone(),
            heartbeat_ms: self.heartbeat_ms,
            lives: self.lives.clone(),
            forked,
            cluster: belongs.map(|belongs| belongs.cluster),
            succeeds: belongs.and_then(|belongs| belongs.succeeds),
            configured: Vec::new(),
        };
        let (head, generation) = (self.head, self.generation);
        Ok((answer, Session { head, generation, sent, applied: sent, ping: 0, answered: 0 }))
    }
}

/// The newest record of the log that the subscriber holds something of.
fn furthest(hello: &SubscriberHello) -> Option<Position> {
    hello.holds.or(hello.resume.map(|resume| resume.position))
}

impl Session {
    /// The life that the log is in.
    #[must_use]
    pub fn life(&self) -> Incarnation {
        self.head.incarnation
    }

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

    use littoral_model::lives::Start;

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
            lives: RegionLives::default(),
            belongs: None,
            heartbeat_ms: 100,
            generation: 3,
            relay: false,
        }
    }

    fn hello(resume: Option<Resume>) -> SubscriberHello {
        SubscriberHello {
            version_min: 3,
            version_max: VERSION_MAX + 3,
            subscriber: "edge".into(),
            views: Views::All,
            resume,
            holds: None,
            ended: None,
            watermark: Watermark::default(),
            lives: RegionLives::default(),
            cluster: None,
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
    }

    /// The life 7 until record 79, then the life 9.
    fn lives(second: u64, first: u64) -> RegionLives {
        let mut lives = RegionLives::default();
        let (life, after) = (Incarnation(second), Incarnation(7));
        let start = Start { life, first: Lsn(first), after, shared: Lsn(first - 1) };
        lives.entry(publisher().region, Incarnation(7)).begin(start);
        lives
    }

    #[test]
    fn what_this_log_must_have_and_does_not_shows_that_it_was_put_back() {
        let greet = |position, chain, lives: RegionLives| {
            let hello = SubscriberHello { lives, ..hello(Some(Resume { position, chain: ChainHash(chain) })) };
            publisher().greet(&hello, |lsn| (lsn.0 <= 100).then_some(ChainHash(u128::from(lsn.0))), None)
        };
        let none = RegionLives::default();
        for (position, chain, lives) in
            [(at(7, 101), 101, &none), (at(7, 60), 61, &none), (at(9, 80), 80, &lives(9, 80))]
        {
            let refused = greet(position, chain, lives.clone()).unwrap_err();
            assert_eq!(refused, Refusal::PutBack { head: at(7, 100), applied: position });
        }
    }

    #[test]
    fn who_stands_past_a_fork_is_told_where_it_is() {
        let publisher = Publisher { head: at(9, 100), lives: lives(9, 80), ..publisher() };
        let greet = |views, position, theirs: &RegionLives| {
            let resume = Some(Resume { position, chain: ChainHash(1_000) });
            let hello = SubscriberHello { views, lives: theirs.clone(), ..hello(resume) };
            let (answer, session) = publisher.greet(&hello, |lsn| Some(ChainHash(u128::from(lsn.0))), None).unwrap();
            (answer.mode, answer.forked.map(|fork| (fork.position, fork.chain.0)), session.sent())
        };
        let for_region = || Views::ForRegion("west".parse().unwrap());
        let fork = Some((at(7, 79), 79));
        let unknown = RegionLives::default();
        assert_eq!(greet(for_region(), at(7, 90), &unknown), (Mode::Tail, fork, Lsn(79)));
        assert_eq!(greet(Views::All, at(7, 90), &unknown), (Mode::Snapshot, fork, Lsn::NONE));
        assert_eq!(
            greet(for_region(), at(8, 95), &lives(8, 85)),
            (Mode::Tail, fork, Lsn(79)),
            "a life that is not ours"
        );
        assert_eq!(greet(for_region(), at(8, 95), &lives(8, 60)), (Mode::Tail, Some((at(7, 59), 59)), Lsn(59)));
        assert_eq!(greet(for_region(), at(77, 5), &unknown), (Mode::Snapshot, None, Lsn::NONE), "another log");
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
            holds: None,
            ended: None,
            watermark: Watermark::default(),
            lives: RegionLives::default(),
            cluster: None,
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
