//! Changes the served replica: applies records, switches to a snapshot, or continues with another log.

use super::{Effect, FeedFollower, newest_lineages};
use crate::{
    apply,
    bootstrap::Bootstrap,
    replica::{AppliedPoint, Replica},
};
use littoral_model::{
    mutation::{Mutation, active},
    position::Position,
    token::Watermark,
};
use littoral_protocol::{
    frame::{PublisherHello, Resume},
    subscriber::{Block, Violation},
};
use std::sync::Arc;

impl FeedFollower {
    /// Continues with the tail of another region's log.
    pub(super) fn rehome(&mut self, hello: PublisherHello, begins: Resume, replica: &Replica) -> Effect {
        let before = replica.point.load_full();
        let epoch = self.stream.as_ref().map_or(hello.epoch, |stream| stream.subscriber.epoch());
        let lineages = newest_lineages(&before.lineages, &hello);
        let mut beyond = lineages.beyond(&before.portable_watermark, &hello.watermark);
        if active(Mutation::ForgetBeyond) {
            beyond = Watermark::default();
        }
        let (portable_watermark, catalogue) = (before.portable_watermark.clone(), before.catalogue.clone());
        let point =
            AppliedPoint::new(begins, epoch, (hello.region, lineages), portable_watermark, catalogue).beyond(beyond);
        let replica = Arc::new(Replica::rehomed(replica, point, hello.head.lsn));
        self.tailed = true;
        self.staleness.forget();
        self.staleness.applied(begins.position.lsn);
        self.serving = Some(replica.clone());
        Effect::Rehomed { hello, replica }
    }

    /// Switches to the replica that a snapshot has completed.
    pub(super) fn serve(&mut self, bootstrap: Bootstrap) -> Effect {
        let (replica, outgrown) = bootstrap.finish(&self.holdings);
        let point = replica.point.load_full();
        let position = point.resume.position;
        let before = self.serving.as_ref().map(|replica| replica.point.load_full());
        let belongs = |before: &AppliedPoint| {
            let lineage = point.lineages.with_life(position.incarnation);
            lineage.is_some_and(|lineage| lineage.has(before.resume.position, position.lsn))
        };
        let replaced = before.as_ref().is_some_and(|before| !belongs(before)) || self.needs_snapshot;
        let lacks_life = |before: Arc<AppliedPoint>| {
            before.lacks_life(point.region, &point.lineages) && !active(Mutation::FreshAcrossLives)
        };
        let freshness_void = replaced || before.is_some_and(lacks_life);
        if freshness_void {
            self.staleness.forget();
        }
        self.needs_snapshot = false;
        self.tailed = true;
        self.staleness.applied(position.lsn);
        self.serving = Some(replica.clone());
        Effect::Serve { replica, replaced, freshness_void, outgrown }
    }

    /// Applies a block of records to the served replica, and advances its position.
    pub(super) fn apply(&mut self, block: Block) -> Result<Effect, Violation> {
        let (Some(replica), Some(stream)) = (&self.serving, &mut self.stream) else { return Ok(Effect::Nothing) };
        let checked = apply::check(&block)?;
        let before = replica.point.load_full();
        let lineages = checked.lineages(&before.lineages, stream.head);
        if !active(Mutation::KeepWhatIsLost) {
            checked.check_beyond(&before.beyond, &lineages)?;
        }
        // Check before a row of another life is applied: held rows may come from records that the
        // log lost.
        if !Arc::ptr_eq(&lineages, &before.lineages) {
            replica.advance(AppliedPoint { lineages: lineages.clone(), ..AppliedPoint::clone(&before) })?;
            if before.lacks_life(before.region, &lineages) && !active(Mutation::FreshAcrossTails) {
                self.staleness.forget();
            }
        }
        let changes = apply::apply(replica, &self.holdings, &checked);
        let epoch_of_block = checked.epoch;
        let block = apply::without_outside_rows(replica, block, &changes)?;
        stream.subscriber.applied(&block, epoch_of_block);
        let epoch = stream.subscriber.epoch();
        self.epochs.note_seen(replica.position().incarnation, epoch);

        let resume = stream.subscriber.resume().unwrap_or(before.resume);
        let catalogue = changes.catalogue.clone().unwrap_or_else(|| before.catalogue.clone());
        let mut portable_watermark = before.portable_watermark.clone();
        // If the block omits some views, it is unknown which omitted records other regions
        // replicate.
        let own = if block.dense { changes.own_content(before.region) } else { Some(block.last) };
        let followed = stream.subscriber.lineage();
        own.into_iter().for_each(|lsn| lineages.raise(&mut portable_watermark, before.region, followed.position(lsn)));
        let (mut beyond, mut mixed) = (before.beyond.clone(), before.mixed || changes.mixed);
        for (region, incarnation, lsn) in &changes.through {
            let held = portable_watermark.get(*region).map(|(incarnation, lsn)| Position { incarnation, lsn });
            if held.is_some_and(|held| apply::is_lost(&lineages, *region, held, *incarnation)) {
                mixed = true;
                portable_watermark.set(*region, *incarnation, *lsn);
            }
            lineages.raise(&mut portable_watermark, *region, Position { incarnation: *incarnation, lsn: *lsn });
            beyond = lineages.beyond(&beyond, &Watermark::at(*region, *incarnation, *lsn));
        }
        let unnamed = changes.unnamed.clone();
        self.lineages = lineages.clone();
        let point = AppliedPoint {
            mixed,
            unnamed,
            ..AppliedPoint::new(resume, epoch, (before.region, lineages), portable_watermark, catalogue).beyond(beyond)
        };
        let level = !before.beyond.is_empty() && point.beyond.is_empty();
        replica.point.store(Arc::new(point));
        if level {
            replica.level_at(block.last);
        }
        self.staleness.applied(block.last);
        stream.grown = true;
        Ok(Effect::Applied { position: resume.position, changes, block, level })
    }
}
