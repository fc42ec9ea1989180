//! A subscriber of the feed: what each message means, which are refused, and where to go on afterwards.

mod block;
mod epochs;
mod violation;

pub use block::BlockCheck;
pub use epochs::Epochs;
pub use violation::{Remedy, Violation};

use crate::frame::{
    Downstream, ErrorCode, Mode, PublisherHello, Resume, SubscriberHello, VERSION_MAX, VERSION_MIN, Views,
};
use crate::kinship::Held;
use bytes::Bytes;
use littoral_model::{
    catalogue::Catalogue,
    digest::Checkpoint,
    hlc::Hlc,
    lives::{Lives, RegionLives},
    mutation::{Mutation, active},
    position::{Epoch, Incarnation, Lsn, Position},
    record::ChainHash,
    token::Watermark,
};
use std::{sync::Arc, time::Duration};

/// What to do with a message that was found in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The publisher has answered; what follows is in [`PublisherHello::mode`].
    Greeted(PublisherHello),
    /// Make an empty replica beside the one that serves.
    BeginSnapshot {
        /// Everything up to here will be in it.
        as_of: Position,
        /// The hash of the record at `as_of`.
        chain: ChainHash,
        /// How far every region's records will be in it.
        watermark: Watermark,
        /// The histories of the regions' logs.
        lives: RegionLives,
        /// Whether there will be rows that the watermark does not name.
        mixed: bool,
        /// Its catalogue.
        catalogue: Arc<Catalogue>,
        /// About how many rows will come.
        rows_estimate: u64,
    },
    /// Put these rows into the replica in the making.
    TakeRows {
        /// How many there must be.
        rows: u32,
        /// The rows.
        bytes: Bytes,
    },
    /// The replica in the making is complete: serve from it.
    FinishSnapshot,
    /// Check these records with the block's check, apply them all, then call [`Subscriber::applied`].
    Apply(Block),
    /// The publisher lives.
    Heard {
        /// Its clock.
        clock: Hlc,
        /// Its last record.
        head: Position,
        /// The last ping that it had seen by then.
        echo: u64,
        /// How far it may itself be behind the leader; `None` when it cannot tell.
        behind: Option<Duration>,
        /// Whether it is a relay that has lost its way to the leader.
        leader_lost: bool,
    },
    /// Compare with these digests now, before anything else is applied: they are as of the record that is applied.
    Compare(Arc<Checkpoint>),
    /// The publisher ends the stream. Connect again, after a pause.
    End {
        /// Why.
        code: ErrorCode,
        /// Its words.
        message: String,
    },
}

/// Records that are next in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The first record's number: the one after what is applied.
    pub first: Lsn,
    /// The last record's number.
    pub last: Lsn,
    /// The hash of the record before `first`.
    pub chain_before: ChainHash,
    /// The hash of the record at `last`.
    pub chain_after: ChainHash,
    /// Whether the block holds every record that it covers.
    pub dense: bool,
    /// The epoch that no record may be older than.
    pub epoch_min: Epoch,
    /// The records.
    pub bytes: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// Our hello is sent.
    Greeting,
    /// A snapshot is promised and has not begun.
    AwaitingSnapshot { head: Position },
    /// Rows arrive.
    Snapshot { resume: Resume, rows: u64 },
    /// Records arrive.
    Tail,
    /// The stream is over; nothing more is taken from it.
    Closed,
}

/// One stream's subscriber. A new stream needs a new one, made from what the last left behind.
#[derive(Clone, Debug)]
pub struct Subscriber {
    phase: Phase,
    views: Views,
    applied: Option<Resume>,
    /// Where that was when the stream began.
    stood: Option<Position>,
    /// The newest record that something held comes from, where that is past what is applied.
    holds: Option<Position>,
    /// How far every region's records are applied, when that may be gone on from in another region's log.
    watermark: Watermark,
    /// What rows are held of, by whoever must not lose them to another log.
    held: Option<Held>,
    /// The histories of the regions' logs as they were known before.
    known_lives: RegionLives,
    /// The history of the log that is followed, as its publisher says.
    lives: Lives,
    /// The newest epochs that were seen before.
    known: Epochs,
    /// The newest of the log that is followed.
    epoch: Epoch,
    /// That of the last record on this stream. Records that we lack may be of older epochs than the leader that sends them.
    records_epoch: Epoch,
    head: Position,
}

impl Subscriber {
    /// A subscriber that has applied everything up to `resume` and wants `views`. `known` are the newest epochs that were
    /// seen, also of logs of which nothing is to be gone on from.
    #[must_use]
    pub fn new(resume: Option<Resume>, known: impl Into<Epochs>, views: Views) -> Self {
        Self {
            phase: Phase::Greeting,
            views,
            applied: resume,
            stood: resume.map(|resume| resume.position),
            holds: None,
            watermark: Watermark::default(),
            held: None,
            known_lives: RegionLives::default(),
            lives: Lives::of(Incarnation::default()),
            known: known.into(),
            epoch: Epoch(0),
            records_epoch: Epoch(0),
            head: Position::default(),
        }
    }

    /// The same, which may also go on in another region's log, as it has every region's records as far as this says.
    #[must_use]
    pub fn with_watermark(self, watermark: Watermark) -> Self {
        Self { watermark, ..self }
    }

    /// The same, which knows these histories of the regions' logs.
    #[must_use]
    pub fn with_lives(self, known_lives: RegionLives) -> Self {
        Self { known_lives, ..self }
    }

    /// The same, which holds something of records up to this one.
    #[must_use]
    pub fn with_rows_up_to(self, holds: Option<Position>) -> Self {
        Self { holds, ..self }
    }

    /// The same, which holds rows and follows no log that is not theirs or known to stand in its place.
    #[must_use]
    pub fn holding(self, held: Option<Held>) -> Self {
        Self { held, ..self }
    }

    /// The history of the log that is followed.
    #[must_use]
    pub fn lives(&self) -> &Lives {
        &self.lives
    }

    /// The first message to send.
    #[must_use]
    pub fn hello(&self, name: &str) -> SubscriberHello {
        SubscriberHello {
            version_min: VERSION_MIN,
            version_max: VERSION_MAX,
            subscriber: name.to_owned(),
            views: self.views.clone(),
            resume: self.applied,
            holds: self.holds.or(self.applied.map(|applied| applied.position)),
            ended: self.known.ended(),
            watermark: self.watermark.clone(),
            lives: self.known_lives.clone(),
            cluster: self.held.and_then(|held| held.cluster),
        }
    }

    /// Where the next stream goes on.
    #[must_use]
    pub fn resume(&self) -> Option<Resume> {
        self.applied
    }

    /// The newest epoch that was seen.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Judges a message.
    ///
    /// # Errors
    /// [`Violation`]: close the stream, and do as its remedy says. Nothing of the message may be used; no later message
    /// is taken.
    pub fn receive(&mut self, message: Downstream) -> Result<Effect, Violation> {
        let judged = self.judge(message);
        if judged.is_err() || matches!(judged, Ok(Effect::End { .. })) {
            self.phase = Phase::Closed;
        }
        judged
    }

    /// The block that was handed out has been checked and applied whole. `epoch` is what its check found.
    pub fn applied(&mut self, block: &Block, epoch: Epoch) {
        if let Some(resume) = &mut self.applied
            && block.first == resume.position.lsn.next()
            && !active(Mutation::ForgetApplied)
        {
            resume.position = self.lives.position(block.last);
            resume.chain = block.chain_after;
            self.epoch = self.epoch.max(epoch);
            self.records_epoch = epoch;
        }
    }

    fn judge(&mut self, message: Downstream) -> Result<Effect, Violation> {
        match (&mut self.phase, message) {
            (Phase::Closed, message) => Err(Violation::Order { got: name(&message), expected: "nothing" }),
            (_, Downstream::Error { code, message }) => Ok(Effect::End { code, message }),
            (Phase::Greeting, Downstream::Hello(hello)) => self.greeted(hello),
            (Phase::Greeting, message) => Err(Violation::Order { got: name(&message), expected: "hello" }),
            (_, Downstream::Heartbeat { clock, head, echo, behind_us, leader_lost }) => {
                self.check_incarnation(head)?;
                self.head.lsn = self.head.lsn.max(head.lsn);
                let behind = behind_us.map(Duration::from_micros);
                Ok(Effect::Heard { clock, head, echo, behind, leader_lost })
            }
            (
                Phase::AwaitingSnapshot { head },
                Downstream::SnapshotBegin { as_of, chain, watermark, lives, mixed, catalogue, rows_estimate },
            ) => {
                let head = *head;
                self.check_incarnation(as_of)?;
                // An older snapshot in the same log would take back what is served.
                if let Some(applied) = self.applied
                    && self.lives.has(applied.position, head.lsn)
                    && as_of.lsn < applied.position.lsn
                {
                    return Err(Violation::SnapshotTooOld { as_of: as_of.lsn, applied: applied.position.lsn });
                }
                // A relay may have heard since it answered that what is held is not lost.
                let heard = lives.with_life(as_of.incarnation).filter(|heard| **heard != self.lives);
                if let Some(stood) = self.stood
                    && as_of.lsn < stood.lsn
                    && heard.is_some_and(|heard| heard.has(stood, Lsn(u64::MAX)))
                {
                    return Err(Violation::SnapshotTooOld { as_of: as_of.lsn, applied: stood.lsn });
                }
                self.phase = Phase::Snapshot { resume: Resume { position: as_of, chain }, rows: 0 };
                Ok(Effect::BeginSnapshot { as_of, chain, watermark, lives, mixed, catalogue, rows_estimate })
            }
            (Phase::Snapshot { rows: taken, .. }, Downstream::SnapshotRows { rows, bytes }) => {
                *taken += u64::from(rows);
                Ok(Effect::TakeRows { rows, bytes })
            }
            (Phase::Snapshot { resume, rows: taken }, Downstream::SnapshotEnd { rows }) => {
                if *taken != rows {
                    return Err(Violation::SnapshotRows { announced: rows, received: *taken });
                }
                self.applied = Some(*resume);
                self.phase = Phase::Tail;
                Ok(Effect::FinishSnapshot)
            }
            (Phase::Tail, Downstream::Records { first, last, chain_after, bytes }) => {
                let Some(applied) = self.applied else {
                    return Err(Violation::Order { got: "records", expected: "a snapshot" });
                };
                let expected = applied.position.lsn.next();
                if first != expected || last < first {
                    return Err(Violation::Gap { expected, first, last });
                }
                Ok(Effect::Apply(Block {
                    first,
                    last,
                    chain_before: applied.chain,
                    chain_after,
                    dense: self.views == Views::All,
                    epoch_min: self.records_epoch,
                    bytes,
                }))
            }
            (Phase::Tail, Downstream::Checkpoint(checkpoint)) => match self.applied {
                Some(applied) if applied.position.lsn == checkpoint.lsn => Ok(Effect::Compare(checkpoint)),
                applied => Err(Violation::Checkpoint {
                    lsn: checkpoint.lsn,
                    applied: applied.map_or(Lsn::NONE, |applied| applied.position.lsn),
                }),
            },
            (Phase::AwaitingSnapshot { .. }, message) => {
                Err(Violation::Order { got: name(&message), expected: "the snapshot's begin" })
            }
            (Phase::Snapshot { .. }, message) => {
                Err(Violation::Order { got: name(&message), expected: "rows or the snapshot's end" })
            }
            (Phase::Tail, message) => Err(Violation::Order { got: name(&message), expected: "records" }),
        }
    }

    fn greeted(&mut self, hello: PublisherHello) -> Result<Effect, Violation> {
        if !(VERSION_MIN..=VERSION_MAX).contains(&hello.version) {
            return Err(Violation::Version { theirs: hello.version });
        }
        if let Some(held) = &self.held {
            held.check(&hello).map_err(|other| Violation::OtherLog(Box::new(other)))?;
        }
        let theirs = hello.lives.get(hello.region);
        if let Some(theirs) = theirs
            && (self.known.went_on_after(theirs) || self.known_lives.iter().any(|(_, known)| theirs.is_past_of(known)))
            && !active(Mutation::FollowOldEpoch)
        {
            return Err(Violation::PastLife { life: theirs.current() });
        }
        let lives = theirs.cloned().unwrap_or_else(|| Lives::of(hello.head.incarnation));
        let known = self.known.newest(hello.head.incarnation).unwrap_or_default();
        if hello.epoch < known && !active(Mutation::FollowOldEpoch) {
            return Err(Violation::StaleEpoch { theirs: hello.epoch, known });
        }
        (self.head, self.lives) = (hello.head, lives);
        if let Some(fork) = hello.forked {
            // What is applied past it is of no log any more that goes on.
            self.applied =
                self.applied.map(|applied| if fork.position.lsn < applied.position.lsn { fork } else { applied });
        }
        let belongs = self.applied.filter(|applied| self.lives.has(applied.position, hello.head.lsn));
        match hello.mode {
            Mode::Snapshot => self.phase = Phase::AwaitingSnapshot { head: hello.head },
            Mode::Tail => match (belongs, hello.rehomed) {
                (_, Some(begins)) if !self.watermark.is_empty() && self.lives.has(begins.position, hello.head.lsn) => {
                    self.applied = Some(begins);
                    self.phase = Phase::Tail;
                }
                (Some(_), None) => self.phase = Phase::Tail,
                _ => return Err(Violation::CannotTail { head: hello.head, applied: self.applied.map(|a| a.position) }),
            },
        }
        // Another life of the log counts its epochs anew.
        self.epoch = known.max(hello.epoch);
        Ok(Effect::Greeted(hello))
    }

    fn check_incarnation(&self, position: Position) -> Result<(), Violation> {
        if position.incarnation == self.head.incarnation {
            Ok(())
        } else {
            Err(Violation::Incarnation { got: position.incarnation, stream: self.head.incarnation })
        }
    }
}

fn name(message: &Downstream) -> &'static str {
    match message {
        Downstream::Hello(_) => "hello",
        Downstream::SnapshotBegin { .. } => "the snapshot's begin",
        Downstream::SnapshotRows { .. } => "rows of a snapshot",
        Downstream::SnapshotEnd { .. } => "the snapshot's end",
        Downstream::Records { .. } => "records",
        Downstream::Heartbeat { .. } => "a heartbeat",
        Downstream::Error { .. } => "an error",
        Downstream::Checkpoint(_) => "a checkpoint",
    }
}

#[cfg(test)]
mod tests;
