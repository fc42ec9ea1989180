//! Following a publisher: what each message leads to, what is left behind when a stream ends, and how the next begins.

use crate::{
    apply::{self, Brought},
    bootstrap::Bootstrap,
    budget::{self, Outgrown},
    holdings::Holdings,
    replica::{Point, Replica},
};
use littoral_model::{
    cluster::Belonging,
    digest::Checkpoint,
    hlc::Hlc,
    lives::{Lives, RegionLives},
    mutation::{Mutation, active},
    position::{Incarnation, Lsn, Position},
    region::Region,
    token::Watermark,
};
use littoral_protocol::{
    frame::{Downstream, ErrorCode, Mode, PublisherHello, Resume, SubscriberHello, Upstream},
    kinship::Held,
    staleness::Staleness,
    subscriber::{Block, Effect as Judged, Epochs, Remedy, Subscriber, Violation},
};
use std::{sync::Arc, time::Duration};

/// Streams that may be at fault at one position before a snapshot is taken instead of the tail.
pub const SAME_FAULT_MAX: u32 = 3;
/// Adding up what full views take costs more than applying a record.
const BUDGET_LOOK_EVERY: Duration = Duration::from_millis(200);

/// Why a publisher is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The network, or the publisher is gone.
    Lost,
    /// It did what it may not.
    Violation(Violation),
    /// It ended the stream itself.
    Ended(ErrorCode),
    /// Rows here could not be made the leader's bucket by bucket.
    GivenUp,
}

/// What a message has led to, for the driver to carry on.
#[derive(Debug)]
pub enum Effect {
    /// The publisher has answered.
    Greeted(PublisherHello),
    /// The publisher has answered: the tail of another region's log comes, behind what is held.
    Rehomed {
        /// Its answer.
        hello: PublisherHello,
        /// Serve this from now on: the same rows, at a point of that log.
        replica: Arc<Replica>,
    },
    /// A snapshot begins.
    SnapshotBegun,
    /// So many of its rows were taken.
    RowsTaken(u32),
    /// Serve this replica from now on.
    Serve {
        /// The replica.
        replica: Arc<Replica>,
        /// What was served before was of another history: nothing that was known of its freshness holds.
        replaced: bool,
        /// Views that did not fit.
        outgrown: Vec<Outgrown>,
    },
    /// Records are applied and the replica's point has moved on.
    Applied {
        /// Them.
        block: Block,
        /// Where the replica stands now.
        position: Position,
        /// What they brought.
        brought: Brought,
        /// With them the log has everything that is held here: the rows can be compared with it from now on.
        level: bool,
    },
    /// The publisher lives.
    Heard {
        /// Its clock.
        clock: Hlc,
        /// Its last record.
        head: Position,
        /// Whether it is a relay that has lost its way to the leader.
        leader_lost: bool,
    },
    /// The replica stands at this checkpoint's record: compare before anything else is taken.
    Compare(Arc<Checkpoint>),
    /// Nothing is to be done.
    Nothing,
    /// The publisher ends the stream.
    End {
        /// Why.
        code: ErrorCode,
        /// Its words.
        message: String,
    },
}

/// One stream's state.
#[derive(Debug)]
struct Stream {
    subscriber: Subscriber,
    greeted: bool,
    region: Region,
    bootstrap: Option<Bootstrap>,
    /// Where the publisher's log belongs.
    belongs: Option<Belonging>,
    /// The publisher's last record when it answered: the lives that began up to there are known.
    head: Lsn,
    told: Lsn,
    looked_at: Duration,
    /// Whether records were applied since then.
    grown: bool,
}

/// An edge that follows, over any number of streams. It alone changes the replica.
#[derive(Debug)]
pub struct Follower {
    name: String,
    holdings: Arc<Holdings>,
    serving: Option<Arc<Replica>>,
    staleness: Staleness,
    /// The newest epochs that were seen.
    epochs: Epochs,
    /// The histories of the regions' logs, as the last publisher that was followed has told of them.
    lives: Arc<RegionLives>,
    /// What we hold may not be the leader's history: take a snapshot.
    needs_snapshot: bool,
    /// A log that an operator has had adopted in the place of the one that is held.
    adopted: Option<Incarnation>,
    /// Whether the stream has got as far as records.
    tailed: bool,
    /// The address that is tried first, and the one that answered last.
    first_address: usize,
    address: usize,
    /// Where the last streams were at fault, and how often there.
    stuck: (Option<Resume>, u32),
    stream: Option<Stream>,
}

impl Follower {
    /// An edge of this name that serves `serving`, if anything.
    #[must_use]
    pub fn new(name: String, holdings: Arc<Holdings>, serving: Option<Arc<Replica>>) -> Self {
        let point = serving.as_ref().map(|replica| replica.point.load_full());
        Self {
            name,
            holdings,
            serving,
            lives: point.as_ref().map(|point| point.lives.clone()).unwrap_or_default(),
            staleness: Staleness::default(),
            epochs: point.map(|point| (point.resume.position.incarnation, point.epoch)).into(),
            needs_snapshot: false,
            adopted: None,
            tailed: false,
            first_address: 0,
            address: 0,
            stuck: (None, 0),
            stream: None,
        }
    }

    /// Which of the configured addresses to try first; one may be past the last and then means the first.
    #[must_use]
    pub fn first_address(&self) -> usize {
        self.first_address
    }

    /// What is served.
    #[must_use]
    pub fn serving(&self) -> Option<&Arc<Replica>> {
        self.serving.as_ref()
    }

    /// Whether the publisher may be asked for rows: once it has been taken for one to follow. Another may be of a history that
    /// is gone, and answer with what is older than what is held.
    #[must_use]
    pub fn may_ask(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.greeted || active(Mutation::AskBeforeGreeted))
    }

    /// Whether the stream has got as far as records.
    #[must_use]
    pub fn has_tailed(&self) -> bool {
        self.tailed
    }

    /// A stream is open to this address. Returns what to send.
    pub fn connected(&mut self, address: usize, now: Duration) -> SubscriberHello {
        self.address = address;
        let replica = self.serving.as_ref().filter(|_| !self.needs_snapshot);
        let resume = replica.map(|replica| replica.point.load().resume);
        let watermark = replica.map(|replica| replica.homing()).unwrap_or_default();
        let subscriber = Subscriber::new(resume, self.epochs.clone(), self.holdings.wanted());
        let subscriber = subscriber.with_watermark(watermark).with_lives(RegionLives::clone(&self.lives));
        let subscriber = subscriber.holding(self.held());
        let subscriber = subscriber.with_rows_up_to(self.serving.as_ref().map(|replica| replica.holds_up_to()));
        let hello = subscriber.hello(&self.name);
        if let Some(resume) = resume {
            self.staleness.applied(resume.position.lsn);
        }
        let told = resume.map_or(Lsn::NONE, |resume| resume.position.lsn);
        self.stream = Some(Stream {
            subscriber,
            greeted: false,
            region: Region::NONE,
            bootstrap: None,
            belongs: None,
            head: Lsn::NONE,
            told,
            looked_at: now,
            grown: false,
        });
        hello
    }

    /// An operator has this log adopted in the place of the one that is held.
    pub fn adopt(&mut self, log: Incarnation) {
        self.adopted = Some(log);
    }

    /// What rows are held of.
    fn held(&self) -> Option<Held> {
        let point = self.serving.as_ref()?.point.load_full();
        let cluster = point.lives.belongs().map(|belongs| belongs.cluster);
        Some(Held { region: point.region, log: point.log(), cluster, adopted: self.adopted })
    }

    /// It is time to ping. Returns what to send, and views that have outgrown their memory.
    pub fn tick(&mut self, now: Duration) -> (Vec<Upstream>, Vec<Outgrown>) {
        let mut messages = Vec::new();
        let Some(stream) = &mut self.stream else { return (messages, Vec::new()) };
        messages.extend(self.staleness.ping(now).map(|seq| Upstream::Ping { seq }));
        let applied = stream.subscriber.resume().map_or(Lsn::NONE, |resume| resume.position.lsn);
        if self.tailed && applied != stream.told {
            stream.told = applied;
            messages.push(Upstream::Applied { lsn: applied });
        }
        // At most every so often, and also after the last record of a burst.
        if !stream.grown || now.saturating_sub(stream.looked_at) < BUDGET_LOOK_EVERY {
            return (messages, Vec::new());
        }
        (stream.grown, stream.looked_at) = (false, now);
        let outgrown = self.serving.as_ref().map(|replica| budget::enforce(replica, &self.holdings));
        (messages, outgrown.unwrap_or_default())
    }

    /// A message has come.
    ///
    /// # Errors
    /// [`Violation`]: end the stream, with [`Fault::Violation`].
    pub fn take(&mut self, message: Downstream) -> Result<Effect, Violation> {
        let Some(stream) = &mut self.stream else { return Ok(Effect::Nothing) };
        let judged = stream.subscriber.receive(message).inspect_err(|violation| self.epochs.refused(violation))?;
        Ok(match judged {
            Judged::Greeted(hello) => {
                (stream.region, stream.greeted, stream.head) = (hello.region, true, hello.head.lsn);
                stream.belongs = belongs(&hello);
                self.tailed = hello.mode == Mode::Tail;
                self.epochs.seen(hello.head.incarnation, stream.subscriber.epoch());
                self.epochs.followed(stream.subscriber.lives());
                self.lives = newest_lives(&self.lives, &hello);
                if let (Some(begins), Some(replica)) = (hello.rehomed, self.serving.clone()) {
                    return Ok(self.rehome(hello, begins, &replica));
                }
                match (hello.mode, &self.serving) {
                    (Mode::Snapshot, _) => self.staleness.awaits_snapshot(),
                    // Rows of a snapshot may be newer than its position: they too must be of this history.
                    (Mode::Tail, Some(replica)) if replica.holds_beyond(hello.head.lsn) => {
                        return Err(Violation::CutBack { head: hello.head.lsn, holds: replica.exact_from() });
                    }
                    (Mode::Tail, Some(replica)) => replica.seen(stream.subscriber.epoch(), &hello)?,
                    (Mode::Tail, None) => {}
                }
                Effect::Greeted(hello)
            }
            Judged::BeginSnapshot { as_of, chain, watermark, mut lives, mixed, catalogue, rows_estimate } => {
                lives.set_belongs(stream.belongs);
                let resume = Resume { position: as_of, chain };
                let epoch = stream.subscriber.epoch();
                let whose = (stream.region, Arc::new(lives));
                let point = Point { mixed, ..Point::new(resume, epoch, whose, watermark, catalogue) };
                stream.bootstrap = Some(Bootstrap::begin(&self.holdings, point, rows_estimate));
                Effect::SnapshotBegun
            }
            Judged::TakeRows { rows, bytes } => {
                if let Some(bootstrap) = &mut stream.bootstrap {
                    bootstrap.take(&self.holdings, rows, &bytes)?;
                }
                Effect::RowsTaken(rows)
            }
            Judged::FinishSnapshot => match stream.bootstrap.take() {
                Some(bootstrap) => self.serve(bootstrap),
                None => Effect::Nothing,
            },
            Judged::Apply(block) => return self.apply(block),
            Judged::Heard { clock, head, echo, behind, leader_lost } => {
                self.staleness.echo(echo, head.lsn, behind);
                Effect::Heard { clock, head, leader_lost }
            }
            Judged::Compare(checkpoint) => Effect::Compare(checkpoint),
            Judged::End { code, message } => Effect::End { code, message },
        })
    }

    /// The tail comes from another region's log, which goes on with what is held.
    fn rehome(&mut self, hello: PublisherHello, begins: Resume, replica: &Replica) -> Effect {
        let before = replica.point.load_full();
        let epoch = self.stream.as_ref().map_or(hello.epoch, |stream| stream.subscriber.epoch());
        let lives = newest_lives(&before.lives, &hello);
        let mut beyond = lives.beyond(&before.told, &hello.watermark);
        if active(Mutation::ForgetBeyond) {
            beyond = Watermark::default();
        }
        let (told, catalogue) = (before.told.clone(), before.catalogue.clone());
        let point = Point::new(begins, epoch, (hello.region, lives), told, catalogue).beyond(beyond);
        let replica = Arc::new(Replica::rehomed(replica, point, hello.head.lsn));
        self.tailed = true;
        self.staleness.forget();
        self.staleness.applied(begins.position.lsn);
        self.serving = Some(replica.clone());
        Effect::Rehomed { hello, replica }
    }

    fn serve(&mut self, bootstrap: Bootstrap) -> Effect {
        let (replica, outgrown) = bootstrap.finish(&self.holdings);
        let position = replica.position();
        let before = self.serving.as_ref().map(|replica| replica.position());
        let lives = replica.point.load().lives.clone();
        let belongs =
            |before| lives.with_life(position.incarnation).is_some_and(|lives| lives.has(before, position.lsn));
        let replaced = before.is_some_and(|before| !belongs(before)) || self.needs_snapshot;
        if replaced {
            self.staleness.forget();
        }
        self.needs_snapshot = false;
        self.tailed = true;
        self.staleness.applied(position.lsn);
        self.serving = Some(replica.clone());
        Effect::Serve { replica, replaced, outgrown }
    }

    fn apply(&mut self, block: Block) -> Result<Effect, Violation> {
        let (Some(replica), Some(stream)) = (&self.serving, &mut self.stream) else { return Ok(Effect::Nothing) };
        let checked = apply::check(&block)?;
        let before = replica.point.load_full();
        let lives = checked.lives(&before.lives, stream.head);
        if !active(Mutation::KeepWhatIsLost) {
            checked.can_bring(&before.beyond, &lives)?;
        }
        // Before a row of another life is applied: what is held may be of records that the log has lost.
        if !Arc::ptr_eq(&lives, &before.lives) {
            replica.go_on(Point { lives: lives.clone(), ..Point::clone(&before) })?;
        }
        let brought = apply::apply(replica, &self.holdings, &checked);
        stream.subscriber.applied(&block, checked.epoch);
        let epoch = stream.subscriber.epoch();
        self.epochs.seen(replica.position().incarnation, epoch);

        let resume = stream.subscriber.resume().unwrap_or(before.resume);
        let catalogue = brought.catalogue.clone().unwrap_or_else(|| before.catalogue.clone());
        let mut told = before.told.clone();
        // Of a part of the views it is not known what of the rest others take.
        let own = if block.dense { brought.own_content(before.region) } else { Some(block.last) };
        let followed = stream.subscriber.lives();
        own.into_iter().for_each(|lsn| lives.raise(&mut told, before.region, followed.position(lsn)));
        let (mut beyond, mut mixed) = (before.beyond.clone(), before.mixed || brought.mixed);
        for (region, incarnation, lsn) in &brought.through {
            let held = told.get(*region).map(|(incarnation, lsn)| Position { incarnation, lsn });
            if held.is_some_and(|held| apply::is_lost(&lives, *region, held, *incarnation)) {
                mixed = true;
                told.set(*region, *incarnation, *lsn);
            }
            lives.raise(&mut told, *region, Position { incarnation: *incarnation, lsn: *lsn });
            beyond = lives.beyond(&beyond, &Watermark::at(*region, *incarnation, *lsn));
        }
        let unnamed = brought.unnamed.clone();
        self.lives = lives.clone();
        let point = Point {
            mixed,
            unnamed,
            ..Point::new(resume, epoch, (before.region, lives), told, catalogue).beyond(beyond)
        };
        let level = !before.beyond.is_empty() && point.beyond.is_empty();
        replica.point.store(Arc::new(point));
        if level {
            replica.level_at(block.last);
        }
        self.staleness.applied(block.last);
        stream.grown = true;
        Ok(Effect::Applied { position: resume.position, brought, block, level })
    }

    /// The time up to which everything is in what is served, to be published after every message; `None` inside when
    /// nothing is known. While a snapshot is on its way echoes speak of what is not served yet, and nothing is published.
    #[must_use]
    pub fn freshness(&self) -> Option<Option<Duration>> {
        let settled = self.tailed && self.stream.as_ref().is_some_and(|stream| stream.bootstrap.is_none());
        settled.then(|| self.staleness.fresh_at())
    }

    /// The stream has ended, or could not be opened.
    pub fn disconnected(&mut self, fault: &Fault) {
        self.stream = None;
        self.tailed = false;
        self.staleness.disconnected();
        // A relay that does not have what is wanted still answers, as does a leader of another log: the next address may have it.
        // Else the order counts.
        let not_here = matches!(fault, Fault::Ended(ErrorCode::Behind) | Fault::Violation(Violation::OtherLog(_)));
        self.first_address = if not_here { self.address + 1 } else { 0 };
        match fault {
            Fault::Lost | Fault::Ended(_) => {}
            Fault::GivenUp => self.needs_snapshot = true,
            Fault::Violation(violation) => match violation.remedy() {
                Remedy::Resume => {}
                Remedy::ResumeOrSnapshot => {
                    let at = self.serving.as_ref().map(|replica| replica.point.load().resume);
                    let times = if self.stuck.0 == at { self.stuck.1 + 1 } else { 1 };
                    self.stuck = (at, times);
                    self.needs_snapshot |= times >= SAME_FAULT_MAX;
                }
                Remedy::Snapshot => self.needs_snapshot = true,
            },
        }
    }
}

/// Where a publisher's log belongs, as far as it says.
fn belongs(hello: &PublisherHello) -> Option<Belonging> {
    let PublisherHello { cluster, succeeds, .. } = *hello;
    cluster.map(|cluster| Belonging { cluster, succeeds, healed: true })
}

/// What was known of the regions' logs, and what their new publisher knows: of its own log and of those that are not further here.
pub(crate) fn newest_lives(before: &RegionLives, hello: &PublisherHello) -> Arc<RegionLives> {
    let mut lives = before.clone();
    for (region, theirs) in hello.lives.iter() {
        let is_further = before.get(region).is_some_and(|ours| region != hello.region && theirs.is_past_of(ours));
        if !is_further {
            lives.set(region, theirs.clone());
        }
    }
    lives.set_belongs(belongs(hello).or(before.belongs()));
    if hello.lives.get(hello.region).is_none() {
        // A publisher that knows no lives.
        lives.set(hello.region, Lives::of(hello.head.incarnation));
    }
    Arc::new(lives)
}

#[cfg(test)]
mod tests {
    use super::*;
    use littoral_model::{position::Epoch, record::ChainHash};
    use littoral_protocol::frame::VERSION_MAX;

    const LOG: Incarnation = Incarnation(7);

    fn at(lsn: u64) -> Position {
        Position { incarnation: LOG, lsn: Lsn(lsn) }
    }

    /// An edge whose snapshot as of record 25 held a row of record 46.
    fn follower() -> Follower {
        let holdings = Arc::new(Holdings { shards: 1, ..Holdings::default() });
        let resume = Resume { position: at(25), chain: ChainHash(25) };
        let region = "east".parse().expect("a region");
        let replica = Replica::new(
            &holdings,
            Point::new(resume, Epoch(1), (region, Arc::default()), Watermark::default(), Arc::default()),
        );
        replica.holds(Lsn(46));
        let mut follower = Follower::new("edge".to_owned(), holdings, Some(Arc::new(replica)));
        follower.connected(0, Duration::ZERO);
        follower
    }

    fn tail(head: u64, epoch: u64) -> Downstream {
        Downstream::Hello(PublisherHello {
            version: VERSION_MAX,
            region: "east".parse().expect("a region"),
            epoch: Epoch(epoch),
            head: at(head),
            mode: Mode::Tail,
            rehomed: None,
            watermark: Watermark::default(),
            heartbeat_ms: 100,
            lives: RegionLives::default(),
            forked: None,
            cluster: None,
            succeeds: None,
            configured: Vec::new(),
        })
    }

    #[test]
    fn a_log_that_ends_before_what_is_held_is_not_followed_on() {
        let mut follower = follower();
        let violation = follower.take(tail(34, 1)).expect_err("record 46 is not in that log");
        assert_eq!(violation, Violation::CutBack { head: Lsn(34), holds: Lsn(46) });
        follower.disconnected(&Fault::Violation(violation));
        assert_eq!(follower.connected(0, Duration::ZERO).resume, None, "a snapshot replaces what is held");
        let mut other = self::follower();
        assert!(matches!(other.take(tail(46, 1)), Ok(Effect::Greeted(_))));
    }

    #[test]
    fn a_newer_epoch_counts_before_its_first_record() {
        let mut follower = follower();
        follower.take(tail(50, 3)).expect("a sound greeting");
        let epoch = follower.serving().map(|replica| replica.point.load().epoch);
        assert_eq!(epoch, Some(Epoch(3)), "those who follow this edge are told");
        follower.disconnected(&Fault::Lost);
        follower.connected(0, Duration::ZERO);
        let stale = follower.take(tail(50, 2)).expect_err("it was replaced");
        assert_eq!(stale, Violation::StaleEpoch { theirs: Epoch(2), known: Epoch(3) });
    }
}
