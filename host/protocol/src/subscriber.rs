//! The subscriber's side of a feed stream: which action each message requires, which messages are
//! rejected, and where the next stream resumes.

mod block;
mod epochs;
mod violation;

pub use block::BlockCheck;
pub use epochs::Epochs;
pub use violation::{Remedy, Violation};

use crate::eligibility::HeldLog;
use crate::frame::{Downstream, ErrorCode, Mode, PublisherHello, Resume, SubscriberHello, VERSION_MIN, Views};
use bytes::Bytes;
use littoral_model::{
    catalogue::Catalogue,
    digest::Checkpoint,
    format::ProtocolVersion,
    hlc::Hlc,
    lineage::{Lineage, RegionLineages},
    mutation::{Mutation, active},
    position::{Epoch, Incarnation, Lsn, Position},
    record::ChainHash,
    token::Watermark,
};
use std::{sync::Arc, time::Duration};

/// The action that a valid message requires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The publisher has answered the hello; [`PublisherHello::mode`] states what follows.
    Greeted(PublisherHello),
    /// Create an empty replica next to the one that serves.
    BeginSnapshot {
        /// The snapshot will include everything up to this position.
        as_of: Position,
        /// The hash of the record at `as_of`.
        chain: ChainHash,
        /// Like `as_of`, for every region.
        watermark: Watermark,
        /// The lineages of the regions' logs.
        lineages: RegionLineages,
        /// Whether there will be rows that the watermark does not cover.
        mixed: bool,
        /// Its catalogue.
        catalogue: Arc<Catalogue>,
        /// The approximate number of rows.
        rows_estimate: u64,
    },
    /// Put these rows into the new replica.
    AddRows {
        /// The expected number of rows.
        rows: u32,
        /// The rows.
        bytes: Bytes,
    },
    /// Serve from the new replica, which is complete.
    FinishSnapshot,
    /// Check these records with [`BlockCheck`], apply all of them, then call
    /// [`Subscriber::applied`].
    Apply(Block),
    /// Note a sign of life from the publisher.
    Heard {
        /// Its clock reading.
        clock: Hlc,
        /// Its last record.
        head: Position,
        /// The last ping that it had received by then.
        echo: u64,
        /// Upper bound of how far the publisher is behind the leader; `None` if it does not know.
        behind: Option<Duration>,
        /// Whether it is a relay that has lost its connection to the leader.
        leader_lost: bool,
    },
    /// Compare with these digests before anything else is applied. They are as of the applied
    /// record.
    Compare(Arc<Checkpoint>),
    /// The publisher has ended the stream. Connect again after a pause.
    End {
        /// The reason.
        code: ErrorCode,
        /// Its message.
        message: String,
    },
}

/// The next records in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The first record's LSN, which follows the last applied one.
    pub first: Lsn,
    /// The last record's LSN.
    pub last: Lsn,
    /// The hash of the record before `first`.
    pub chain_before: ChainHash,
    /// The hash of the record at `last`.
    pub chain_after: ChainHash,
    /// Whether the block contains every record that it covers.
    pub dense: bool,
    /// The minimum epoch of all records.
    pub epoch_min: Epoch,
    /// The records.
    pub bytes: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// The hello is sent, and the publisher's hello is awaited.
    Greeting,
    /// A snapshot is announced and has not begun.
    AwaitingSnapshot { head: Position },
    /// The rows of a snapshot are arriving.
    Snapshot { resume: Resume, rows: u64 },
    /// Records are arriving.
    Tail,
    /// The stream has ended; all further messages are rejected.
    Closed,
}

/// The subscriber of one stream. A new stream needs a new subscriber, created from the previous
/// one's final state.
#[derive(Clone, Debug)]
pub struct Subscriber {
    phase: Phase,
    /// The newest protocol version that it speaks; once greeted, the one on which both sides have agreed.
    version: ProtocolVersion,
    views: Views,
    /// The point up to which every record is applied; `None` if nothing is held.
    applied: Option<Resume>,
    /// The position in `applied` when the stream began.
    stood: Option<Position>,
    /// The newest record from which something is held, if it is past the applied one.
    holds: Option<Position>,
    /// The positions up to which every region's records are applied, if the subscriber may
    /// continue in another region's log.
    watermark: Watermark,
    /// The log whose rows are held, if the subscriber must not lose them to another log.
    held: Option<HeldLog>,
    /// The lineages of the regions' logs as known before the stream.
    known_lineages: RegionLineages,
    /// The lineage of the followed log, as its publisher states it.
    lineage: Lineage,
    /// The newest epochs seen before the stream.
    known: Epochs,
    /// The newest epoch of the followed log.
    epoch: Epoch,
    /// The epoch of the last record on this stream. Missing records may have older epochs than the
    /// leader that sends them.
    records_epoch: Epoch,
    head: Position,
}

impl Subscriber {
    /// Creates a subscriber that has applied everything up to `resume` and requests `views`.
    /// `known` are the newest epochs seen, including those of logs in which it does not resume.
    #[must_use]
    pub fn new(resume: Option<Resume>, known: impl Into<Epochs>, views: Views) -> Self {
        Self {
            phase: Phase::Greeting,
            version: ProtocolVersion::NEWEST,
            views,
            applied: resume,
            stood: resume.map(|resume| resume.position),
            holds: None,
            watermark: Watermark::default(),
            held: None,
            known_lineages: RegionLineages::default(),
            lineage: Lineage::of(Incarnation::default()),
            known: known.into(),
            epoch: Epoch(0),
            records_epoch: Epoch(0),
            head: Position::default(),
        }
    }

    /// Sets the newest protocol version that it speaks.
    #[must_use]
    pub fn speaking(self, version: ProtocolVersion) -> Self {
        Self { version, ..self }
    }

    /// Allows the subscriber to continue in another region's log, because it has every region's
    /// records up to this watermark.
    #[must_use]
    pub fn with_watermark(self, watermark: Watermark) -> Self {
        Self { watermark, ..self }
    }

    /// Sets the known lineages of the regions' logs.
    #[must_use]
    pub fn with_lineages(self, known_lineages: RegionLineages) -> Self {
        Self { known_lineages, ..self }
    }

    /// Sets the newest record from which something is held.
    #[must_use]
    pub fn with_rows_up_to(self, holds: Option<Position>) -> Self {
        Self { holds, ..self }
    }

    /// Sets the log whose rows are held. The subscriber then follows only that log, and logs known
    /// to replace it.
    #[must_use]
    pub fn holding(self, held: Option<HeldLog>) -> Self {
        Self { held, ..self }
    }

    /// Returns the protocol version on which both sides have agreed; before the publisher's hello, the newest one that
    /// the subscriber speaks.
    #[must_use]
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// Returns the lineage of the followed log.
    #[must_use]
    pub fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// Returns the first message to send.
    #[must_use]
    pub fn hello(&self, name: &str) -> SubscriberHello {
        SubscriberHello {
            version_min: VERSION_MIN,
            version_max: self.version.number(),
            subscriber: name.to_owned(),
            views: self.views.clone(),
            resume: self.applied,
            holds: self.holds.or(self.applied.map(|applied| applied.position)),
            ended: self.known.ended(),
            watermark: self.watermark.clone(),
            lineages: self.known_lineages.clone(),
            cluster: self.held.and_then(|held| held.cluster),
        }
    }

    /// Returns the point at which the next stream resumes.
    #[must_use]
    pub fn resume(&self) -> Option<Resume> {
        self.applied
    }

    /// Returns the newest epoch seen.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Checks a message and returns the required action.
    ///
    /// # Errors
    /// [`Violation`]; the caller closes the stream and follows the violation's remedy. Nothing of the
    /// message may be used, and all later messages are rejected.
    pub fn receive(&mut self, message: Downstream) -> Result<Action, Violation> {
        let action = self.check(message);
        if action.is_err() || matches!(action, Ok(Action::End { .. })) {
            self.phase = Phase::Closed;
        }
        action
    }

    /// Notes that a block was checked and applied whole. `epoch` is the result of its check.
    pub fn applied(&mut self, block: &Block, epoch: Epoch) {
        if let Some(resume) = &mut self.applied
            && block.first == resume.position.lsn.next()
            && !active(Mutation::ForgetApplied)
        {
            resume.position = self.lineage.position(block.last);
            resume.chain = block.chain_after;
            self.epoch = self.epoch.max(epoch);
            self.records_epoch = epoch;
        }
    }

    fn check(&mut self, message: Downstream) -> Result<Action, Violation> {
        match (&mut self.phase, message) {
            (Phase::Closed, message) => Err(Violation::Order { got: name(&message), expected: "nothing" }),
            (_, Downstream::Error { code, message }) => Ok(Action::End { code, message }),
            (Phase::Greeting, Downstream::Hello(hello)) => self.greeted(hello),
            (Phase::Greeting, message) => Err(Violation::Order { got: name(&message), expected: "hello" }),
            (_, Downstream::Heartbeat { clock, head, echo, behind_us, leader_lost }) => {
                self.check_incarnation(head)?;
                self.head.lsn = self.head.lsn.max(head.lsn);
                let behind = behind_us.map(Duration::from_micros);
                Ok(Action::Heard { clock, head, echo, behind, leader_lost })
            }
            (
                Phase::AwaitingSnapshot { head },
                Downstream::SnapshotBegin { as_of, chain, watermark, lineages, mixed, catalogue, rows_estimate },
            ) => {
                let head = *head;
                self.check_incarnation(as_of)?;
                // An older snapshot of the same log would undo what is served.
                if let Some(applied) = self.applied
                    && self.lineage.has(applied.position, head.lsn)
                    && as_of.lsn < applied.position.lsn
                {
                    return Err(Violation::SnapshotTooOld { as_of: as_of.lsn, applied: applied.position.lsn });
                }
                // Since its hello, a relay may have learned that the held records are not lost.
                let heard = lineages.with_life(as_of.incarnation).filter(|heard| **heard != self.lineage);
                if let Some(stood) = self.stood
                    && as_of.lsn < stood.lsn
                    && heard.is_some_and(|heard| heard.has(stood, Lsn(u64::MAX)))
                {
                    return Err(Violation::SnapshotTooOld { as_of: as_of.lsn, applied: stood.lsn });
                }
                self.phase = Phase::Snapshot { resume: Resume { position: as_of, chain }, rows: 0 };
                Ok(Action::BeginSnapshot { as_of, chain, watermark, lineages, mixed, catalogue, rows_estimate })
            }
            (Phase::Snapshot { rows: received, .. }, Downstream::SnapshotRows { rows, bytes }) => {
                *received += u64::from(rows);
                Ok(Action::AddRows { rows, bytes })
            }
            (Phase::Snapshot { resume, rows: received }, Downstream::SnapshotEnd { rows }) => {
                if *received != rows {
                    return Err(Violation::SnapshotRows { announced: rows, received: *received });
                }
                self.applied = Some(*resume);
                self.phase = Phase::Tail;
                Ok(Action::FinishSnapshot)
            }
            (Phase::Tail, Downstream::Records { first, last, chain_after, bytes }) => {
                let Some(applied) = self.applied else {
                    return Err(Violation::Order { got: "records", expected: "a snapshot" });
                };
                let expected = applied.position.lsn.next();
                if first != expected || last < first {
                    return Err(Violation::Gap { expected, first, last });
                }
                Ok(Action::Apply(Block {
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
                Some(applied) if applied.position.lsn == checkpoint.lsn => Ok(Action::Compare(checkpoint)),
                applied => Err(Violation::Checkpoint {
                    lsn: checkpoint.lsn,
                    applied: applied.map_or(Lsn::NONE, |applied| applied.position.lsn),
                }),
            },
            (Phase::AwaitingSnapshot { .. }, message) => {
                Err(Violation::Order { got: name(&message), expected: "the start of the snapshot" })
            }
            (Phase::Snapshot { .. }, message) => {
                Err(Violation::Order { got: name(&message), expected: "rows or the end of the snapshot" })
            }
            (Phase::Tail, message) => Err(Violation::Order { got: name(&message), expected: "records" }),
        }
    }

    fn greeted(&mut self, hello: PublisherHello) -> Result<Action, Violation> {
        let agreed = ProtocolVersion::try_from(hello.version).ok().filter(|agreed| *agreed <= self.version);
        self.version = agreed.ok_or(Violation::Version { theirs: hello.version })?;
        if let Some(held) = &self.held {
            held.check(&hello).map_err(|other| Violation::OtherLog(Box::new(other)))?;
        }
        let theirs = hello.lineages.get(hello.region);
        if let Some(theirs) = theirs
            && (self.known.continued_after(theirs)
                || self.known_lineages.iter().any(|(_, known)| theirs.is_past_of(known)))
            && !active(Mutation::FollowOldEpoch)
        {
            return Err(Violation::PastLife { life: theirs.current() });
        }
        let lineage = theirs.cloned().unwrap_or_else(|| Lineage::of(hello.head.incarnation));
        let known = self.known.newest(hello.head.incarnation).unwrap_or_default();
        if hello.epoch < known && !active(Mutation::FollowOldEpoch) {
            return Err(Violation::StaleEpoch { theirs: hello.epoch, known });
        }
        (self.head, self.lineage) = (hello.head, lineage);
        if let Some(fork) = hello.forked {
            // Applied records past the fork belong to an abandoned copy of the log.
            self.applied =
                self.applied.map(|applied| if fork.position.lsn < applied.position.lsn { fork } else { applied });
        }
        let belongs = self.applied.filter(|applied| self.lineage.has(applied.position, hello.head.lsn));
        match hello.mode {
            Mode::Snapshot => self.phase = Phase::AwaitingSnapshot { head: hello.head },
            Mode::Tail => match (belongs, hello.rehomed) {
                (_, Some(begins))
                    if !self.watermark.is_empty() && self.lineage.has(begins.position, hello.head.lsn) =>
                {
                    self.applied = Some(begins);
                    self.phase = Phase::Tail;
                }
                (Some(_), None) => self.phase = Phase::Tail,
                _ => return Err(Violation::CannotTail { head: hello.head, applied: self.applied.map(|a| a.position) }),
            },
        }
        // Another life of the log numbers its epochs independently.
        self.epoch = known.max(hello.epoch);
        Ok(Action::Greeted(hello))
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
        Downstream::SnapshotBegin { .. } => "the start of a snapshot",
        Downstream::SnapshotRows { .. } => "rows of a snapshot",
        Downstream::SnapshotEnd { .. } => "the end of a snapshot",
        Downstream::Records { .. } => "records",
        Downstream::Heartbeat { .. } => "a heartbeat",
        Downstream::Error { .. } => "an error",
        Downstream::Checkpoint(_) => "a checkpoint",
    }
}

#[cfg(test)]
mod tests;
