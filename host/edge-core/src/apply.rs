//! Applies records to the replica.

use crate::{
    holdings::{Holding, Holdings},
    replica::{Replica, Route},
};
use littoral_model::{
    catalogue::{Catalogue, CatalogueChange},
    entity_key::KEY_LEN_MAX,
    event_time::EventTime,
    hlc::Hlc,
    lineage::{Lineage, RegionLineages},
    mutation::{Mutation, active},
    position::{Incarnation, Lsn, Position},
    record::{Payload, Record},
    region::Region,
    row::{Row, RowMeta},
    token::Watermark,
    view::ViewId,
};
use littoral_protocol::subscriber::{Block, BlockCheck, Violation};
use littoral_replica::Mode;
use littoral_wire::records;
use std::sync::Arc;

/// A block whose records were all read and checked. Only such a block can be applied.
pub(crate) struct Checked<'a> {
    records: Vec<Record<'a>>,
    /// The newest epoch in the block.
    pub(crate) epoch: littoral_model::position::Epoch,
}

impl Checked<'_> {
    /// Checks that records held beyond the followed log can still arrive, given the lineages after
    /// this block.
    ///
    /// # Errors
    /// [`Violation::Recreated`].
    pub(crate) fn check_beyond(&self, beyond: &Watermark, lineages: &RegionLineages) -> Result<(), Violation> {
        if beyond.is_empty() {
            return Ok(());
        }
        for record in &self.records {
            if let Payload::Through { incarnation: now, .. } = record.payload
                && let Some((held, lsn)) = beyond.get(record.origin)
                && is_lost(lineages, record.origin, Position { incarnation: held, lsn }, now)
            {
                return Err(Violation::Recreated { region: record.origin, held, now });
            }
        }
        Ok(())
    }

    /// Returns the lineages with the lives that begin in this block. Lives that begin up to the record `known` are
    /// included already, because the publisher's hello stated them.
    pub(crate) fn lineages(&self, lineages: &Arc<RegionLineages>, known: Lsn) -> Arc<RegionLineages> {
        let mut with = lineages.clone();
        for record in self.records.iter().filter(|record| record.lsn > known) {
            match record.payload {
                Payload::Begin { life, .. } => {
                    let begins = record.begins().into_iter();
                    begins.for_each(|start| Arc::make_mut(&mut with).entry(record.origin, life).begin(start));
                }
                Payload::Through { incarnation, .. }
                    if with.get(record.origin).is_none_or(|lineage| !lineage.lists(incarnation)) =>
                {
                    Arc::make_mut(&mut with).set(record.origin, Lineage::of(incarnation));
                }
                _ => {}
            }
        }
        with
    }
}

/// Returns whether a position of a region's log is lost, given that the log is in the life `now`.
pub(crate) fn is_lost(lineages: &RegionLineages, region: Region, held: Position, now: Incarnation) -> bool {
    match lineages.get(region) {
        Some(lineages) if lineages.lists(now) => !lineages.has(held, Lsn(u64::MAX)),
        // Only the two lives are known.
        _ => held.incarnation != now,
    }
}

/// The changes made by a block.
#[derive(Debug, Default)]
pub struct BlockChanges {
    /// The number of rows and tombstones applied.
    pub rows: u64,
    /// The number of rows and tombstones that were discarded because a residency rule keeps them out of the edge's
    /// region. A publisher does not send such a row.
    pub outside: u64,
    /// The number of tombstones collected.
    pub collected: usize,
    /// The catalogue, if it has changed.
    pub catalogue: Option<Arc<Catalogue>>,
    /// The positions up to which other regions' records are included now.
    pub through: Vec<(Region, Incarnation, Lsn)>,
    /// Whether rows arrived that no watermark covers.
    pub mixed: bool,
    /// The newest clock readings of other regions' rows that arrived before the record that covers
    /// those rows.
    pub unnamed: Vec<(Region, Hlc)>,
    /// The last record of each origin that other regions replicate.
    content: Vec<(Region, Lsn)>,
}

impl BlockChanges {
    /// Returns the last record of this region that other regions replicate.
    #[must_use]
    pub fn own_content(&self, own: Region) -> Option<Lsn> {
        self.content.iter().find(|(region, _)| *region == own).map(|(_, lsn)| *lsn)
    }

    fn count(&mut self, route: Route) {
        match route.holding {
            Holding::Outside => self.outside += 1,
            Holding::Full | Holding::Resident | Holding::Elsewhere => self.rows += 1,
        }
    }

    fn note_unnamed(&mut self, region: Region, hlc: Hlc) {
        match self.unnamed.iter_mut().find(|(of, _)| *of == region) {
            Some((_, newest)) => *newest = hlc.max(*newest),
            None => self.unnamed.push((region, hlc)),
        }
    }

    fn note_content(&mut self, region: Region, lsn: Lsn) {
        match self.content.iter_mut().find(|(of, _)| *of == region) {
            Some((_, last)) => *last = lsn,
            None => self.content.push((region, lsn)),
        }
    }
}

/// Reads and checks a whole block.
pub(crate) fn check(block: &Block) -> Result<Checked<'_>, Violation> {
    let mut check = BlockCheck::new(block);
    let mut records = Vec::new();
    for record in records::iter(&block.bytes) {
        let record = record.map_err(|error| Violation::Damaged(error.to_string()))?;
        check.record(&record)?;
        if let Payload::Row { key, .. } | Payload::Tombstone { key, .. } = &record.payload
            && key.len() > KEY_LEN_MAX
        {
            return Err(Violation::Damaged(format!("record {} has a key of {} bytes", record.lsn, key.len())));
        }
        records.push(record);
    }
    let epoch = check.finish()?;
    Ok(Checked { records, epoch })
}

/// Returns the block to publish to subscribers of a relay: rows that may not be held here are replaced by stubs, as the
/// publisher should have done.
pub(crate) fn without_outside_rows(
    replica: &Replica,
    block: Block,
    changes: &BlockChanges,
) -> Result<Block, Violation> {
    if changes.outside == 0 {
        return Ok(block);
    }
    let routes = replica.routes.load();
    let is_outside = |view| routes.get(&view).is_some_and(|route| route.holding == Holding::Outside);
    let bytes = records::withhold(&block.bytes, is_outside).map_err(|error| Violation::Damaged(error.to_string()))?;
    Ok(Block { bytes, ..block })
}

/// Applies a checked block. The caller advances the position afterwards.
pub(crate) fn apply(replica: &Replica, holdings: &Holdings, block: &Checked<'_>) -> BlockChanges {
    let point = replica.point.load_full();
    let own = point.region;
    let mut changes = BlockChanges { unnamed: point.unnamed.clone(), ..BlockChanges::default() };
    let mut routes = replica.routes.load_full();
    for record in &block.records {
        if record.is_content() {
            changes.note_content(record.origin, record.lsn);
            changes.mixed |= record.origin_lsn == Lsn::NONE;
            if record.origin != own {
                changes.note_unnamed(record.origin, record.hlc);
            }
        }
        match &record.payload {
            Payload::Row { view, event_time, key, body } => {
                if let Some(route) = routes.get(view) {
                    apply_row(replica, *route, record, (*view, *event_time), key, Some(body));
                    changes.count(*route);
                }
            }
            Payload::Tombstone { view, event_time, key } => {
                if let Some(route) = routes.get(view) {
                    apply_row(replica, *route, record, (*view, *event_time), key, None);
                    changes.count(*route);
                }
            }
            Payload::Catalogue(change) => {
                let catalogue = changes.catalogue.get_or_insert_with(|| replica.point.load().catalogue.clone());
                apply_change(replica, holdings, Arc::make_mut(catalogue), change);
                routes = replica.routes.load_full();
            }
            // Only a future leader needs receipts, and a replica that answers reads never leads.
            Payload::Receipt { .. } => {}
            // This node may not hold the row.
            Payload::Withheld => {}
            // The publisher's hello states its affiliation once it is reliable.
            Payload::BeginUnnamed | Payload::Begin { .. } | Payload::Belongs(_) => {}
            Payload::Through { incarnation, .. } => {
                changes.through.push((record.origin, *incarnation, record.origin_lsn));
                changes.unnamed.retain(|(region, newest)| *region != record.origin || *newest > record.hlc);
            }
            Payload::Collect { .. } if active(Mutation::EdgeCollectsNothing) => {}
            Payload::Collect { before } => {
                changes.collected += replica.table.collect_tombstones(*before);
            }
        }
    }
    changes
}

fn apply_row(
    replica: &Replica,
    route: Route,
    record: &Record<'_>,
    (view, event_time): (ViewId, EventTime),
    key: &[u8],
    body: Option<&[u8]>,
) {
    let mode = match route.holding {
        Holding::Full => Mode::InsertAll,
        Holding::Resident => Mode::UpdateHeld,
        Holding::Elsewhere | Holding::Outside => return,
    };
    let meta = RowMeta { view, event_time, version: record.version(), lsn: record.lsn };
    replica.table.apply(Row::new(meta, key, body), route.merge, mode);
}

fn apply_change(replica: &Replica, holdings: &Holdings, catalogue: &mut Catalogue, change: &CatalogueChange) {
    if let CatalogueChange::DropView(name) = change
        && let Some(view) = catalogue.view(name)
    {
        replica.drop_view(view.id);
    }
    catalogue.apply(change);
    if let Some(view) = change.defined_view() {
        replica.put_view(holdings, view, catalogue);
    }
}
