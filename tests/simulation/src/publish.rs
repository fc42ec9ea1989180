//! What a publisher sends: a hello, a snapshot in chunks, records, checkpoints, and heartbeats in between.

use crate::{
    edge::Edge,
    leader::{Leader, RESTRICTED, region},
};
use bytes::Bytes;
use littoral_edge_core::relay;
use littoral_leader_core::rehoming::{self, OwnLog, Replica};
use littoral_log::Log as _;
use littoral_model::{
    catalogue::Catalogue,
    cluster::Affiliation,
    digest::{Checkpoint, Checkpoints},
    format::ProtocolVersion,
    hlc::Hlc,
    lineage::RegionLineages,
    ports::{FeedReadError, RecordBlock, SnapshotSource},
    position::{Epoch, Lsn, Position},
    project::Receiver,
    record::{ChainHash, Payload},
    region::Region,
    row::Row,
    token::Watermark,
};
use littoral_protocol::{
    frame::{Downstream, ErrorCode, Mode, Resume, SubscriberHello},
    publisher::{Publisher, Rejection, Session},
};
use littoral_wire::{
    records::{self, ViewFilter},
    rows,
};
use std::{sync::Arc, time::Duration};

/// Bytes of records in one message.
const RECORDS_BYTES: usize = 600;
/// Rows in one chunk of a snapshot.
const ROWS_PER_CHUNK: usize = 3;

/// The node that publishes a feed.
pub(crate) trait Source {
    fn epoch(&self) -> Epoch;
    fn head(&self) -> Position;
    fn chain_at(&self, lsn: Lsn) -> Option<ChainHash>;
    fn records(&self, from: Lsn) -> Result<RecordBlock, FeedReadError>;
    fn snapshot(&self) -> Result<SnapshotSource, FeedReadError>;
    fn checkpoints(&self) -> &Checkpoints;
    /// The most that it is behind the leader.
    fn behind(&self, now: Duration) -> Option<Duration>;
    fn relays(&self) -> bool;
    /// As in `FeedLog::applied_catalogue`.
    fn catalogue(&self) -> Option<Arc<Catalogue>>;
    /// As in `Node::held_in`.
    fn held_in(&self) -> Receiver;
    /// As in `FeedLog::generation`.
    fn generation(&self) -> u64 {
        0
    }
    fn region(&self) -> Region {
        region()
    }
    /// As in `RegionPeer::resume_point`.
    fn resume_point(&self, _: &SubscriberHello) -> Option<Lsn> {
        None
    }
    /// As in `RegionPeer::lineages`.
    fn lineages(&self) -> RegionLineages;
    fn portable_watermark(&self) -> Watermark {
        Watermark::default()
    }
    /// As in `RegionPeer::belongs`.
    fn belongs(&self) -> Option<Affiliation> {
        self.lineages().belongs()
    }
}

impl Source for Leader {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn head(&self) -> Position {
        self.published.position
    }

    fn chain_at(&self, lsn: Lsn) -> Option<ChainHash> {
        self.log.chain_at(lsn).ok().flatten()
    }

    fn records(&self, from: Lsn) -> Result<RecordBlock, FeedReadError> {
        let oldest = self.log.bounds().oldest;
        if from < oldest {
            return Err(FeedReadError::Trimmed { from, oldest });
        }
        Self::records(self, from, RECORDS_BYTES).map_err(FeedReadError::Io)
    }

    fn snapshot(&self) -> Result<SnapshotSource, FeedReadError> {
        Ok(SnapshotSource {
            as_of: self.published.position,
            chain: self.published.chain,
            watermark: self.published.portable_watermark.clone(),
            lineages: RegionLineages::clone(&self.published.lineages),
            mixed: self.published.origins.is_mixed(),
            catalogue: self.published.catalogue.clone(),
            rows_estimate: self.table.len() as u64,
            chunks: Box::new(self.table.chunks(ROWS_PER_CHUNK)),
        })
    }

    fn checkpoints(&self) -> &Checkpoints {
        &self.checkpoints
    }

    fn region(&self) -> Region {
        self.log.identity().region
    }

    fn resume_point(&self, hello: &SubscriberHello) -> Option<Lsn> {
        let log = OwnLog {
            region: self.log.identity().region,
            head: self.published.position,
            origins: &self.published.origins,
            lineages: &self.published.lineages,
        };
        let replica = Replica { watermark: &hello.watermark, lineages: &hello.lineages };
        rehoming::resume_point(log, replica, &self.rehoming)
    }

    fn lineages(&self) -> RegionLineages {
        RegionLineages::clone(&self.published.lineages)
    }

    fn portable_watermark(&self) -> Watermark {
        self.published.portable_watermark.clone()
    }

    fn belongs(&self) -> Option<Affiliation> {
        Some(self.affiliation)
    }

    fn behind(&self, _: Duration) -> Option<Duration> {
        (!self.deposed).then_some(Duration::ZERO)
    }

    fn relays(&self) -> bool {
        false
    }

    fn catalogue(&self) -> Option<Arc<Catalogue>> {
        Some(self.published.catalogue.clone())
    }

    fn held_in(&self) -> Receiver {
        Receiver::In(self.log.identity().region)
    }
}

impl Source for Edge {
    fn epoch(&self) -> Epoch {
        self.replica().map_or(Epoch(0), |replica| replica.point.load().epoch)
    }

    fn head(&self) -> Position {
        self.replica().map_or_else(Position::default, |replica| replica.position())
    }

    fn chain_at(&self, lsn: Lsn) -> Option<ChainHash> {
        self.relay.chain_at(lsn)
    }

    fn records(&self, from: Lsn) -> Result<RecordBlock, FeedReadError> {
        self.relay.records(from, RECORDS_BYTES)
    }

    fn snapshot(&self) -> Result<SnapshotSource, FeedReadError> {
        let replica = self.replica().ok_or_else(|| FeedReadError::NotHeld("this node has no data yet".to_owned()))?;
        relay::snapshot(replica, ROWS_PER_CHUNK)
    }

    fn checkpoints(&self) -> &Checkpoints {
        &self.checkpoints
    }

    fn lineages(&self) -> RegionLineages {
        self.replica().map(|replica| RegionLineages::clone(&replica.point.load().lineages)).unwrap_or_default()
    }

    fn behind(&self, now: Duration) -> Option<Duration> {
        self.fresh_at.map(|at| self.now(now).saturating_sub(at))
    }

    fn relays(&self) -> bool {
        true
    }

    fn catalogue(&self) -> Option<Arc<Catalogue>> {
        self.replica().map(|replica| replica.point.load().catalogue.clone())
    }

    fn held_in(&self) -> Receiver {
        let log = self.replica().map(|replica| replica.point.load().region);
        self.region.map_or(Receiver::Unknown, |region| Receiver::new(None, Some(region), log))
    }

    fn generation(&self) -> u64 {
        self.replica().map_or(0, |replica| replica.feed_generation())
    }
}

/// The publisher's side of a stream.
pub(crate) struct Publishing {
    pub(crate) session: Session,
    /// What the subscriber requests and may receive.
    filter: ViewFilter,
    snapshot: Option<(SnapshotSource, u64)>,
    pending_mode: Option<Mode>,
    compared: u64,
}

/// Returns what a source states of itself in its hello.
fn publisher(source: &dyn Source) -> Publisher {
    Publisher {
        version: ProtocolVersion::NEWEST,
        region: source.region(),
        epoch: source.epoch(),
        head: source.head(),
        watermark: source.portable_watermark(),
        lineages: source.lineages(),
        belongs: source.belongs(),
        heartbeat_ms: 100,
        generation: source.generation(),
        relay: source.relays(),
    }
}

/// Returns whether this hello proves to a source that its log was rolled back while it ran.
pub(crate) fn is_rolled_back(source: &dyn Source, hello: &SubscriberHello) -> bool {
    let head = source.head().lsn;
    let greeted = publisher(source).greet(hello, |lsn| chain_before_tail(source, lsn, head), None);
    matches!(greeted, Err(Rejection::RolledBack { .. }))
}

/// Greets a subscriber, which counts as this receiver for residency rules; `trimmed`: as if the log had been trimmed to
/// its end.
pub(crate) fn greet(
    source: &dyn Source,
    hello: &SubscriberHello,
    receiver: Receiver,
    trimmed: bool,
) -> (Downstream, Option<Publishing>) {
    let error = |code, message: String| (Downstream::Error { code, message }, None);
    let head = source.head();
    let Some(catalogue) = source.catalogue().filter(|_| head != Position::default()) else {
        return error(ErrorCode::Behind, "this node has no data yet".to_owned());
    };
    let mut filter = ViewFilter::new(&hello.views, &catalogue, source.region()).receiver(receiver);
    if let Err(message) = adopt(&mut filter, source, &catalogue) {
        return error(ErrorCode::Behind, message);
    }
    let publisher = publisher(source);
    let other_log = hello.resume.is_some() && !publisher.is_same_log(hello);
    let may_rehome = other_log && !trimmed && !filter.lacks_rows(hello, &catalogue);
    let rehomed = source.resume_point(hello).filter(|_| may_rehome).and_then(|lsn| {
        let chain = chain_before_tail(source, lsn, head.lsn)?;
        Some(Resume { position: publisher.own_lineage().position(lsn), chain })
    });
    let answered = publisher.greet(hello, |lsn| chain_before_tail(source, lsn, head.lsn).filter(|_| !trimmed), rehomed);
    let (answer, session) = match answered {
        Ok(greeted) => greeted,
        Err(refusal) => return error(ErrorCode::Behind, refusal.to_string()),
    };
    let pending_mode = Some(answer.mode);
    (Downstream::Hello(answer), Some(Publishing { session, filter, snapshot: None, pending_mode, compared: 0 }))
}

/// Updates the filter to the rules of this catalogue, and rejects a subscriber that may hold rows which the source may
/// not.
fn adopt(filter: &mut ViewFilter, source: &dyn Source, catalogue: &Arc<Catalogue>) -> Result<(), String> {
    if filter.update(catalogue)
        && source.relays()
        && let Some(view) = filter.missing_at(source.held_in(), catalogue)
    {
        return Err(format!("this relay may not hold rows of view '{}', which the subscriber may hold", view.name));
    }
    Ok(())
}

/// Returns whether a message contains a row of [`RESTRICTED`].
pub(crate) fn has_restricted_row(message: &Downstream) -> bool {
    match message {
        Downstream::Records { bytes, .. } => has_restricted_record(bytes),
        Downstream::SnapshotRows { bytes, .. } => {
            rows::iter(bytes).flatten().flatten().any(|row| row.view == RESTRICTED)
        }
        _ => false,
    }
}

/// Returns whether a block of records contains a row of [`RESTRICTED`].
pub(crate) fn has_restricted_record(block: &[u8]) -> bool {
    records::iter(block).flatten().any(|record| match record.payload {
        Payload::Row { view, .. } | Payload::Tombstone { view, .. } => view == RESTRICTED,
        _ => false,
    })
}

/// Returns the hash of the record at `lsn`, if the log can continue after it.
fn chain_before_tail(source: &dyn Source, lsn: Lsn, head: Lsn) -> Option<ChainHash> {
    let chain = if lsn == Lsn::NONE { Some(ChainHash::GENESIS) } else { source.chain_at(lsn) };
    chain.filter(|_| lsn >= head || source.records(lsn.next()).is_ok())
}

impl Publishing {
    /// Returns a heartbeat. The echo is taken before the log's end.
    pub(crate) fn heartbeat(&mut self, source: &dyn Source, now: Duration) -> Downstream {
        let echo = self.session.echo();
        let clock = Hlc::new(now.as_millis() as u64, 0);
        let behind_us = source.behind(now).map(|behind| behind.as_nanos().div_ceil(1_000) as u64);
        Downstream::Heartbeat { clock, head: source.head(), echo, behind_us, leader_lost: false }
    }

    fn check(&mut self, source: &dyn Source) -> Result<(), String> {
        if self.session.continues(source.head(), source.generation()) {
            return Ok(());
        }
        Err("the log was recreated, truncated or replaced".to_owned())
    }

    /// Updates the filter to the rules as of the last record that is applied.
    fn update(&mut self, source: &dyn Source) -> Result<(), String> {
        let catalogue = source.catalogue().ok_or("this node has no data yet")?;
        adopt(&mut self.filter, source, &catalogue)
    }

    /// Returns the next message: a chunk of the snapshot, a checkpoint, or records.
    ///
    /// # Errors
    /// Why the stream ends.
    pub(crate) fn next(&mut self, source: &dyn Source) -> Result<Option<Downstream>, String> {
        if self.pending_mode.take_if(|mode| *mode == Mode::Snapshot).is_some() {
            let snapshot = source.snapshot().map_err(|error| error.to_string())?;
            adopt(&mut self.filter, source, &snapshot.catalogue)?;
            let begin = Downstream::SnapshotBegin {
                as_of: snapshot.as_of,
                chain: snapshot.chain,
                watermark: snapshot.watermark.clone(),
                lineages: snapshot.lineages.clone(),
                mixed: snapshot.mixed,
                catalogue: snapshot.catalogue.clone(),
                rows_estimate: snapshot.rows_estimate,
            };
            self.snapshot = Some((snapshot, 0));
            return Ok(Some(begin));
        }
        if let Some((snapshot, rows)) = &mut self.snapshot {
            if let Some(mut chunk) = snapshot.chunks.next() {
                chunk.retain(|row| self.filter.wants_row(row));
                *rows += chunk.len() as u64;
                return Ok(Some(Downstream::SnapshotRows { rows: chunk.len() as u32, bytes: block(&chunk)? }));
            }
            let (as_of, rows) = (snapshot.as_of.lsn, *rows);
            self.check(source)?;
            self.snapshot = None;
            self.session.snapshot_sent(as_of);
            return Ok(Some(Downstream::SnapshotEnd { rows }));
        }
        self.check(source)?;
        let sent = self.session.sent();
        if let Some((number, checkpoint)) = source.checkpoints().due(self.compared, sent)
            && checkpoint.lsn == sent
        {
            self.compared = number;
            self.update(source)?;
            let views = checkpoint.views.iter().filter(|view| self.filter.wants(view.view)).cloned().collect();
            return Ok(Some(Downstream::Checkpoint(Arc::new(Checkpoint { views, ..*checkpoint }))));
        }
        let Some(next) = self.session.next(source.head().lsn) else { return Ok(None) };
        let RecordBlock { first, mut last, mut bytes } = source.records(next).map_err(|error| error.to_string())?;
        if let Some((_, checkpoint)) = source.checkpoints().due(self.compared, next)
            && checkpoint.lsn < last
        {
            last = checkpoint.lsn;
            bytes = records::through(&bytes, first, last).map_err(|error| error.to_string())?;
        }
        let chain_after = records::last_chain(&bytes)
            .map_err(|error| error.to_string())?
            .ok_or("the log has no record where one is due")?;
        self.update(source)?;
        let bytes = self.filter.apply(&bytes).map_err(|error| error.to_string())?;
        self.session.records_sent(last);
        Ok(Some(Downstream::Records { first, last, chain_after, bytes }))
    }
}

fn block(chunk: &[Row]) -> Result<Bytes, String> {
    let mut block = Vec::new();
    for row in chunk {
        rows::push(&mut block, Some(row)).map_err(|error| error.to_string())?;
    }
    Ok(Bytes::from(block))
}
