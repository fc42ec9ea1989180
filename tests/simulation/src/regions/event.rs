//! The events of the world of regions.

use super::name;
use crate::{
    event::mode_number,
    timeline::{Hash, Timeline, TimelineEvent},
};
use littoral_model::{
    position::{Lsn, Position},
    record::{Payload, Record},
    region::Region,
    token::Watermark,
};
use littoral_protocol::frame::Mode;
use littoral_wire::records;
use std::{fmt, time::Duration};

/// One event. `at`, `to` and `from` are the numbers of regions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A leader acknowledged a record.
    Written {
        /// Where.
        at: usize,
        /// The record.
        lsn: Lsn,
        /// Its content.
        content: Content,
        /// Its event time.
        event_time: i64,
    },
    /// A leader received another leader's hello.
    Greeted {
        /// Which leader.
        to: usize,
        /// Whose hello.
        from: usize,
        /// The publisher's last record.
        head: Position,
        /// What follows.
        mode: Mode,
        /// The subscriber's position.
        resume: Option<Position>,
        /// The newest record of that log that it holds anything of.
        holds: Option<Position>,
        /// The last record that both copies of the log have in common.
        forked: Option<Position>,
    },
    /// A leader ended another leader's stream.
    StreamEnded {
        /// Which leader.
        to: usize,
        /// Whose stream.
        from: usize,
        /// The product's error.
        fault: String,
    },
    /// A leader imported records of another region.
    Imported {
        /// Which leader.
        to: usize,
        /// From where.
        from: usize,
        /// The last record of its own log before that.
        head: Lsn,
        /// The records.
        records: Vec<RecordSummary>,
        /// Whether they are rows of a snapshot.
        snapshot: bool,
        /// The last record of the other log that the import reaches.
        through: Option<Lsn>,
        /// How many positions of third regions were imported with them.
        seen: usize,
    },
    /// A leader rejected what another region sent.
    ImportRejected {
        /// Which leader.
        to: usize,
        /// From where.
        from: usize,
        /// The product's error.
        reason: String,
    },
    /// The edge received a hello.
    EdgeGreeted {
        /// The publisher's region.
        region: Region,
        /// What follows.
        mode: Mode,
        /// The publisher's last record.
        head: Position,
    },
    /// The edge moved to another region's log.
    EdgeRehomed {
        /// Which region.
        region: Region,
        /// Where in that log it resumes.
        at: Position,
        /// Where that log ends.
        head: Position,
        /// The positions that other regions replicate.
        portable: Watermark,
        /// The positions that the edge holds and the log does not have yet.
        beyond: Watermark,
    },
    /// The edge serves a snapshot.
    EdgeServes {
        /// Its position.
        at: Position,
        /// From which record on its rows equal the leader's.
        exact: Lsn,
    },
    /// The edge applied records.
    EdgeApplied {
        /// The first of them.
        first: Lsn,
        /// Its position now.
        position: Position,
        /// Whether the log now has all that the edge holds.
        level: bool,
    },
    /// The edge ended the stream.
    EdgeEndedStream {
        /// The product's error.
        violation: String,
    },
    /// A subscriber's hello proved to a leader that its log was rolled back.
    RollbackDetected {
        /// Which leader.
        at: usize,
    },
    /// A leader's disk was restored to an older copy.
    RolledBack {
        /// Which leader.
        at: usize,
        /// Whether a new life of the log starts, as its process restarts.
        begins_life: bool,
    },
    /// A leader restarted.
    Restarted {
        /// Which.
        at: usize,
        /// Where its log ended.
        before: Position,
        /// Where its log ends now.
        after: Position,
    },
}

/// What a record of a row holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// The view.
    pub view: u32,
    /// The first byte of the key.
    pub key: u8,
    /// The version's clock.
    pub hlc: u64,
}

/// A record of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordSummary {
    lsn: Lsn,
    origin: Region,
    origin_lsn: Lsn,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Row(Content),
    Tombstone(Content),
    Through,
    Other,
}

/// Lists the records of a block.
pub(super) fn summaries(block: &[u8]) -> Vec<RecordSummary> {
    let list = |record: Record<'_>| {
        let content =
            |view: u32, key: &[u8]| Content { view, key: key.first().copied().unwrap_or_default(), hlc: record.hlc.0 };
        let kind = match &record.payload {
            Payload::Row { view, key, .. } => Kind::Row(content(view.0, key)),
            Payload::Tombstone { view, key, .. } => Kind::Tombstone(content(view.0, key)),
            Payload::Through { .. } => Kind::Through,
            _ => Kind::Other,
        };
        RecordSummary { lsn: record.lsn, origin: record.origin, origin_lsn: record.origin_lsn, kind }
    };
    records::iter(block).flatten().map(list).collect()
}

/// The events of a world, if they are recorded.
#[derive(Default)]
pub(super) struct EventLog(Option<Timeline<Event>>);

impl EventLog {
    /// Creates a timeline that keeps its events.
    pub(super) fn kept() -> Self {
        Self(Some(Timeline::default()))
    }

    /// Records an event.
    pub(super) fn note(&mut self, now: Duration, event: impl FnOnce() -> Event) {
        if let Some(events) = &mut self.0 {
            events.push(now, event());
        }
    }

    /// Returns the events.
    pub(super) fn all(self) -> Timeline<Event> {
        self.0.unwrap_or_default()
    }
}

/// Returns a region's number, from one on; zero for any other region.
fn number(region: Region) -> u64 {
    (0..super::COUNT).position(|at| name(at) == region).map_or(0, |at| at as u64 + 1)
}

fn fold_position(hash: &mut Hash, position: Option<Position>) {
    hash.optional(position.map(|position| position.incarnation.0));
    hash.optional(position.map(|position| position.lsn.0));
}

fn fold_watermark(hash: &mut Hash, watermark: &Watermark) {
    hash.numbers([watermark.iter().count() as u64]);
    for (region, incarnation, lsn) in watermark.iter() {
        hash.numbers([number(region), incarnation.0, lsn.0]);
    }
}

impl Content {
    fn fold(self, hash: &mut Hash) {
        hash.numbers([self.view.into(), self.key.into(), self.hlc]);
    }
}

impl RecordSummary {
    fn fold(&self, hash: &mut Hash) {
        hash.numbers([self.lsn.0, number(self.origin), self.origin_lsn.0]);
        match &self.kind {
            Kind::Row(content) => {
                hash.numbers([1]);
                content.fold(hash);
            }
            Kind::Tombstone(content) => {
                hash.numbers([2]);
                content.fold(hash);
            }
            Kind::Through => hash.numbers([3]),
            Kind::Other => hash.numbers([4]),
        }
    }
}

impl TimelineEvent for Event {
    fn fold(&self, hash: &mut Hash) {
        match self {
            Self::Written { at, lsn, content, event_time } => {
                hash.numbers([1, *at as u64, lsn.0, event_time.cast_unsigned()]);
                content.fold(hash);
            }
            Self::Greeted { to, from, head, mode, resume, holds, forked } => {
                hash.numbers([2, *to as u64, *from as u64, head.incarnation.0, head.lsn.0, mode_number(*mode)]);
                [resume, holds, forked].into_iter().for_each(|position| fold_position(hash, *position));
            }
            Self::StreamEnded { to, from, fault: _ } => hash.numbers([3, *to as u64, *from as u64]),
            Self::Imported { to, from, head, records, snapshot, through, seen } => {
                hash.numbers([4, *to as u64, *from as u64, head.0, (*snapshot).into(), *seen as u64]);
                hash.optional(through.map(|lsn| lsn.0));
                hash.numbers([records.len() as u64]);
                records.iter().for_each(|record| record.fold(hash));
            }
            Self::ImportRejected { to, from, reason: _ } => hash.numbers([5, *to as u64, *from as u64]),
            Self::EdgeGreeted { region, mode, head } => {
                hash.numbers([6, number(*region), mode_number(*mode), head.incarnation.0, head.lsn.0]);
            }
            Self::EdgeRehomed { region, at, head, portable, beyond } => {
                hash.numbers([7, number(*region), at.incarnation.0, at.lsn.0, head.incarnation.0, head.lsn.0]);
                fold_watermark(hash, portable);
                fold_watermark(hash, beyond);
            }
            Self::EdgeServes { at, exact } => hash.numbers([8, at.incarnation.0, at.lsn.0, exact.0]),
            Self::EdgeApplied { first, position, level } => {
                hash.numbers([9, first.0, position.incarnation.0, position.lsn.0, (*level).into()]);
            }
            Self::EdgeEndedStream { violation: _ } => hash.numbers([10]),
            Self::RollbackDetected { at } => hash.numbers([11, *at as u64]),
            Self::RolledBack { at, begins_life } => hash.numbers([12, *at as u64, (*begins_life).into()]),
            Self::Restarted { at, before, after } => {
                hash.numbers([13, *at as u64, before.incarnation.0, before.lsn.0, after.incarnation.0, after.lsn.0]);
            }
        }
    }
}

/// A position that may be missing, for display.
struct Maybe(Option<Position>);

impl fmt::Display for Maybe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(position) => position.fmt(f),
            None => f.write_str("nothing"),
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "view {} key {} clock {}", self.view, self.key, self.hlc)
    }
}

impl fmt::Display for RecordSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}.{} ", self.lsn, self.origin, self.origin_lsn)?;
        match &self.kind {
            Kind::Row(content) => content.fmt(f),
            Kind::Tombstone(content) => write!(f, "{content} deleted"),
            Kind::Through => f.write_str("through"),
            Kind::Other => f.write_str("other"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Written { at, lsn, content, event_time } => {
                write!(f, "{} writes {lsn}: {content}, event {event_time}", name(*at))
            }
            Self::Greeted { to, from, head, mode, resume, holds, forked } => {
                let (to, from) = (name(*to), name(*from));
                let [resume, holds, forked] = [*resume, *holds, *forked].map(Maybe);
                write!(f, "{to} is greeted by {from} at {head}: {mode:?} from {resume}, holds {holds}, forked {forked}")
            }
            Self::StreamEnded { to, from, fault } => {
                write!(f, "{} ends the stream of {}: {fault}", name(*to), name(*from))
            }
            Self::Imported { to, from, head, records, snapshot, through, seen } => {
                write!(f, "{} at {head} imports from {}: ", name(*to), name(*from))?;
                records.iter().try_for_each(|record| write!(f, "{record}; "))?;
                write!(f, "snapshot {snapshot}, ")?;
                through.iter().try_for_each(|through| write!(f, "through {through}, "))?;
                write!(f, "seen {seen}")
            }
            Self::ImportRejected { to, from, reason } => {
                write!(f, "{} rejects what {} sent: {reason}", name(*to), name(*from))
            }
            Self::EdgeGreeted { region, mode, head } => {
                write!(f, "the edge is greeted by {region}: {mode:?} at {head}")
            }
            Self::EdgeRehomed { region, at, head, portable, beyond } => {
                write!(f, "the edge resumes in {region} after {at} of {head}: {portable}, beyond {beyond}")
            }
            Self::EdgeServes { at, exact } => write!(f, "the edge serves a snapshot as of {at}, exact from {exact}"),
            Self::EdgeApplied { first, position, level } => {
                write!(f, "the edge applied {first} to {position}, level {level}")
            }
            Self::EdgeEndedStream { violation } => write!(f, "the edge ends the stream: {violation}"),
            Self::RollbackDetected { at } => write!(f, "{} finds that its log was rolled back", name(*at)),
            Self::RolledBack { at, begins_life } => {
                write!(f, "{} is rolled back to an older copy, begins another life: {begins_life}", name(*at))
            }
            Self::Restarted { at, before, after } => {
                write!(f, "{} was at {before} and restarts at {after}", name(*at))
            }
        }
    }
}
