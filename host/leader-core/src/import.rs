//! Another region's records on their way into this region's log.
//!
//! They keep their origin, their number there, their clock reading and so their version; here they get a number of this log,
//! so that one region has one order and one feed. What says how far the origin's log stands here goes into the same batch, so
//! that after a crash either all of it is there or none.

use crate::commit::{Building, Committer, Durable};
use bytes::Bytes;
use littoral_model::{
    catalogue::Catalogue,
    hlc::Hlc,
    mutation::{Mutation, active},
    origin::Seen,
    position::{Incarnation, Lsn, Position},
    record::{ChainHash, Payload, Record},
    region::Region,
    view::ViewId,
    write::WriteError,
};
use littoral_wire::records;
use std::{collections::BTreeMap, sync::Arc};

/// How other regions' records are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imports {
    /// The region that alone changes the catalogue; changes that another region has made are refused.
    pub catalogue_home: Option<Region>,
    /// Which life of its log this region is in.
    pub incarnation: Incarnation,
    /// How far ahead of this host's clock another region's may be, in milliseconds.
    pub clock_drift_ms_max: u64,
}

/// Records of another region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The region.
    pub region: Region,
    /// Which life of its log.
    pub incarnation: Incarnation,
    /// Rows, deletions and changes of the catalogue that originated there, in its order, and what it had seen of others in
    /// between; each behind its length. Others are passed over.
    pub records: Bytes,
    /// Whether they are rows of a snapshot that are not here: of all regions, and our own, when our log was begun anew.
    pub snapshot: bool,
    /// What the region had seen of others before the first record, where that is known besides.
    pub seen: Vec<Seen>,
    /// Up to where of its log they go, and the hash there; `None` for a part of a snapshot that is not its last.
    pub through: Option<(Lsn, ChainHash)>,
    /// Up to where of its log everything must be here already: imports are submitted before those before them are durable, and
    /// one that failed must not leave a gap. [`Lsn::NONE`] where nothing must.
    pub after: Lsn,
}

fn is_content(record: &Record<'_>, origin: Region) -> bool {
    record.is_content() && record.origin == origin
}

/// Whether a region's changes of the catalogue are taken here: the home's, and anybody's at a home that has nothing, as after its
/// log was begun anew. Then it gets back what it had given to the others.
#[must_use]
pub fn gives_catalogue(region: Region, own: Region, home: Option<Region>, ours: &Catalogue) -> bool {
    home == Some(region) || (home == Some(own) && ours.is_blank())
}

impl Committer {
    /// Takes another region's records into the batch, all or none.
    ///
    /// # Errors
    /// [`WriteError::Invalid`], with what has to change before they can be taken.
    pub(crate) fn import(&mut self, building: &mut Building, import: &Import) -> Result<Durable, WriteError> {
        let (mark, first) = (building.batch.mark(), building.batch.next_lsn());
        let before = (building.pending.catalogue.clone(), building.pending.origins.clone());
        let pushed = self.push_import(building, import);
        if pushed.is_err() {
            building.batch.rewind(mark);
            (building.pending.catalogue, building.pending.origins) = before;
        }
        pushed?;
        let last = Lsn(building.batch.next_lsn().0 - 1);
        if last < first {
            return Ok(Durable::Before { first: last, last, duplicate: true });
        }
        Ok(Durable::Import { records: Bytes::copy_from_slice(building.batch.since(mark)), first, last })
    }

    fn push_import(&mut self, building: &mut Building, import: &Import) -> Result<(), WriteError> {
        let Import { region, incarnation, .. } = *import;
        let refuse = |reason: String| Err(WriteError::Invalid(reason));
        if region == self.region {
            return refuse(format!(
                "records of region '{region}' come from elsewhere; two leaders have one region's name"
            ));
        }
        let origin = building.pending.origins.get(region).cloned().unwrap_or_default();
        if import.after > Lsn::NONE && !building.pending.origins.has(region, incarnation, import.after) {
            return refuse(format!(
                "records of region '{region}' follow its record {}, which could not be taken; they are asked for again",
                import.after
            ));
        }
        let mut through = Through { seen: origin.seen, changed: None, hlc: origin.hlc };
        if !import.seen.is_empty() {
            import.seen.iter().for_each(|seen| through.saw(*seen));
            let here = (origin.position.incarnation == incarnation).then_some((origin.position.lsn, origin.chain));
            self.push_through(building, import, here.unwrap_or_default(), &through)?;
        }
        let home = self.imports.catalogue_home;
        let gives_catalogue = gives_catalogue(region, self.region, home, &building.pending.catalogue);
        for record in records::iter(&import.records) {
            let record = record.map_err(|error| WriteError::Invalid(error.to_string()))?;
            if let Payload::Through { incarnation: life, .. } = record.payload {
                if record.origin == self.region && life != self.imports.incarnation {
                    // Of a log that we had before: its numbers are not ours.
                    continue;
                }
                through.saw(Seen { region: record.origin, lsn: record.origin_lsn, hlc: record.hlc });
                through.changed = Some((record.lsn, record.chain));
                continue;
            }
            let foreign = import.snapshot || record.origin_lsn == Lsn::NONE;
            if foreign && record.is_content() && record.origin != region {
                self.take_foreign(building, region, record, gives_catalogue)?;
                continue;
            }
            let here = building.pending.origins.has(region, incarnation, record.origin_lsn);
            if !is_content(&record, region) || here {
                continue;
            }
            if let Some((lsn, chain)) = through.changed.take()
                && import.through.is_some()
            {
                // What follows was written in knowledge of it: conflicts are judged by that.
                self.push_through(building, import, (lsn, chain), &through)?;
            }
            let (now_ms, drift_max) = (building.now_ms, self.imports.clock_drift_ms_max);
            if let Err(drift) = self.clock.observe(record.hlc, now_ms, drift_max) {
                return refuse(format!("region '{region}': {drift}"));
            }
            through.hlc = through.hlc.max(record.hlc);
            let lost = active(Mutation::ImportLosesRecord) && record.origin_lsn.0.is_multiple_of(5);
            if self.take_content(building, region, &record, gives_catalogue)? && !lost {
                let of = (region, record.origin_lsn);
                self.push_of(building, of, record.hlc, record.payload)
                    .map_err(|error| WriteError::Invalid(error.to_string()))?;
            }
        }
        match import.through {
            Some((lsn, chain)) if !building.pending.origins.has(region, incarnation, lsn) => {
                self.push_through(building, import, (lsn, chain), &through)
            }
            _ => Ok(()),
        }
    }

    /// Takes a row that another region than the one it comes from wrote: a third, or we ourselves before our log was begun anew.
    fn take_foreign(
        &mut self,
        building: &mut Building,
        from: Region,
        record: Record<'_>,
        gives_catalogue: bool,
    ) -> Result<(), WriteError> {
        let origin = record.origin;
        if !self.take_content(building, from, &record, gives_catalogue)? {
            return Ok(());
        }
        let invalid = |error: String| WriteError::Invalid(error);
        let drift = self.clock.observe(record.hlc, building.now_ms, self.imports.clock_drift_ms_max);
        drift.map_err(|drift| invalid(format!("region '{from}': {drift}")))?;
        // Of a third region's log it is not known where it stands there.
        let number = if origin == self.region { building.batch.next_lsn() } else { Lsn::NONE };
        let pushed = self.push_of(building, (origin, number), record.hlc, record.payload);
        pushed.map(drop).map_err(|error| invalid(error.to_string()))
    }

    /// Checks a record against the catalogue, which it may change. False when it concerns nobody any more.
    fn take_content(
        &self,
        building: &mut Building,
        region: Region,
        record: &Record<'_>,
        gives_catalogue: bool,
    ) -> Result<bool, WriteError> {
        match &record.payload {
            Payload::Row { view, body, .. } => fits(&building.pending.catalogue, *view, Some(body), region),
            Payload::Tombstone { view, .. } => fits(&building.pending.catalogue, *view, None, region),
            Payload::Catalogue(change) if gives_catalogue => {
                Arc::make_mut(&mut building.pending.catalogue).apply(change);
                Ok(true)
            }
            Payload::Catalogue(_) => {
                let home = self.imports.catalogue_home.unwrap_or(self.region);
                Err(WriteError::Invalid(format!(
                    "region '{region}' has changed the catalogue by itself (its record {}), and '{home}' is the catalogue's home; \
                     give all regions the same catalogue_home, and begin the log of '{region}' anew",
                    record.origin_lsn
                )))
            }
            _ => Ok(false),
        }
    }

    fn push_through(
        &self,
        building: &mut Building,
        import: &Import,
        (lsn, chain): (Lsn, ChainHash),
        through: &Through,
    ) -> Result<(), WriteError> {
        let Import { region, incarnation, .. } = *import;
        let seen: Vec<Seen> = through.seen.values().copied().collect();
        let position = Position { incarnation, lsn };
        Arc::make_mut(&mut building.pending.origins).set(region, position, chain, through.hlc, &seen);
        let payload = Payload::Through { incarnation, chain, seen };
        let pushed = self.push_of(building, (region, lsn), through.hlc, payload);
        pushed.map(drop).map_err(|error| WriteError::Invalid(error.to_string()))
    }
}

/// What is known of the origin at the record that is looked at.
struct Through {
    seen: BTreeMap<Region, Seen>,
    /// It has changed since it was last said here, by this record there.
    changed: Option<(Lsn, ChainHash)>,
    hlc: Hlc,
}

impl Through {
    /// The newest counts. A log that was begun anew counts from the beginning, and its clock goes on.
    fn saw(&mut self, seen: Seen) {
        let newest = self.seen.entry(seen.region).or_insert(seen);
        *newest = Seen { hlc: newest.hlc.max(seen.hlc), ..seen };
    }
}

/// Whether a row can be taken: false for one of a view that was dropped.
fn fits(catalogue: &Catalogue, view: ViewId, body: Option<&[u8]>, region: Region) -> Result<bool, WriteError> {
    let Some(found) = catalogue.view_by_id(view) else {
        if catalogue.has_numbered(view) {
            return Ok(false);
        }
        return Err(WriteError::Invalid(format!(
            "region '{region}' writes to view number {view}, which has not come here from the catalogue's home yet"
        )));
    };
    match body.map(|body| found.check_body(body)) {
        Some(Err(error)) => Err(WriteError::Invalid(format!(
            "a row of view '{}' from region '{region}' does not fit the view as it is known here yet: {error}",
            found.name
        ))),
        _ => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{commit::Work, ingest::Limits, receipts::Receipts};
    use littoral_log::Bounds;
    use littoral_model::{hlc::HlcClock, origin::Origins, position::Epoch};
    use parking_lot::Mutex;

    const LIFE: Incarnation = Incarnation(7);

    fn committer() -> Committer {
        let owner = ("here".parse().unwrap(), Epoch::FIRST);
        let known = (Arc::<Catalogue>::default(), Arc::<Origins>::default());
        let receipts = Arc::new(Mutex::new(Receipts::new(1, 1)));
        let limits = Limits { request_bytes_max: 1_000, row_bytes_max: 1_000, future_ms_max: 1_000 };
        Committer::new(owner, limits, HlcClock::default(), known, receipts)
    }

    /// What was taken up to a record of theirs, and goes on behind another.
    fn import(after: u64, through: u64) -> Work {
        Work::Import(Import {
            region: "there".parse().unwrap(),
            incarnation: LIFE,
            records: Bytes::new(),
            snapshot: false,
            seen: Vec::new(),
            through: Some((Lsn(through), ChainHash(u128::from(through)))),
            after: Lsn(after),
        })
    }

    fn bounds() -> Bounds {
        Bounds { oldest: Lsn(1), tail: Lsn::NONE, chain: ChainHash::GENESIS, epoch: Epoch::FIRST, hlc: Hlc::default() }
    }

    #[test]
    fn what_follows_a_failed_import_is_refused_and_leaves_no_gap() {
        let mut committer = committer();
        let mut building = committer.begin(Vec::new(), &bounds(), 1_000, 1);
        committer.take(&mut building, import(0, 5)).unwrap();
        // In one batch with the one that it follows.
        committer.take(&mut building, import(5, 9)).unwrap();
        let (_, pending) = committer.finish(building).unwrap();
        // Its fsync has failed.
        committer.failed(&pending);
        let mut building = committer.begin(Vec::new(), &bounds(), 1_000, 1);
        let refused = committer.take(&mut building, import(9, 12)).unwrap_err();
        assert!(matches!(&refused, WriteError::Invalid(why) if why.contains("follow its record 9")), "{refused}");
        assert!(committer.finish(building).unwrap().0.is_empty());
        // The stream begins again where the log stands.
        let mut building = committer.begin(Vec::new(), &bounds(), 1_000, 1);
        committer.take(&mut building, import(0, 9)).unwrap();
        let (_, pending) = committer.finish(building).unwrap();
        committer.durable(pending);
        let mut building = committer.begin(Vec::new(), &bounds(), 1_000, 1);
        committer.take(&mut building, import(9, 12)).unwrap();
    }
}
