//! Another region's records on their way into this region's log.
//!
//! They keep their origin, their number there, their clock reading and so their version; here they get a number of this log,
//! so that one region has one order and one feed. What says how far the origin's log stands here goes into the same batch, so
//! that after a crash either all of it is there or none.

use crate::{
    commit::{Building, Durable, Sequencer},
    log_state::LogState,
};
use bytes::Bytes;
use littoral_model::{
    catalogue::{Catalogue, CatalogueChange},
    hlc::Hlc,
    lineage::Lineage,
    mutation::{Mutation, active},
    origin::Seen,
    position::{Incarnation, Lsn, Position},
    record::{ChainHash, Payload, Record},
    region::Region,
    view::ViewId,
    write::WriteError,
};
use littoral_protocol::frame::Resume;
use littoral_wire::records;
use std::{collections::BTreeMap, sync::Arc};

/// How other regions' records are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imports {
    /// The region that alone changes the catalogue; changes that another region has made are refused.
    pub catalogue_home: Option<Region>,
    /// The name of this region's log.
    pub log: Incarnation,
    /// How far ahead of this host's clock another region's may be, in milliseconds.
    pub clock_drift_ms_max: u64,
}

/// What a region's leader has said of its log's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Its lives.
    pub lives: Lineage,
    /// Where it forked from the log whose records are here: what is here past that is lost there.
    pub forked: Option<Resume>,
}

/// Records of another region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The region.
    pub region: Region,
    /// The newest life of its log.
    pub incarnation: Incarnation,
    /// The history of its log, where it is not known here as it is there.
    pub history: Option<Box<History>>,
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

impl Import {
    /// What says that nothing of a region's log is here: our log was put back to an older copy, and the region has what it lost.
    #[must_use]
    pub fn nothing_taken(region: Region, lives: Lineage) -> Self {
        let position = lives.position(Lsn::NONE);
        Self {
            region,
            incarnation: position.incarnation,
            history: Some(Box::new(History { lives, forked: Some(Resume { position, chain: ChainHash::GENESIS }) })),
            records: Bytes::new(),
            snapshot: false,
            seen: Vec::new(),
            through: None,
            after: Lsn::NONE,
        }
    }
}

fn is_content(record: &Record<'_>, origin: Region) -> bool {
    record.is_content() && record.origin == origin
}

/// Whether a region's changes of the catalogue are taken here: the home's, and anybody's at a home that has nothing, as after its
/// log was begun anew, or whose log was put back to an older copy and that asks for all that the region has. Then it gets back what
/// it had given to the others.
#[must_use]
pub fn gives_catalogue(region: Region, own: Region, home: Option<Region>, ours: &LogState) -> bool {
    home == Some(region) || (home == Some(own) && (ours.catalogue.is_blank() || ours.asks_for_all(region)))
}

impl Sequencer {
    /// Takes another region's records into the batch, all or none.
    ///
    /// # Errors
    /// [`WriteError::Invalid`], with what has to change before they can be taken.
    pub(crate) fn import(&mut self, building: &mut Building, import: &Import) -> Result<Durable, WriteError> {
        let (mark, first) = (building.batch.mark(), building.batch.next_lsn());
        let before = building.pending.known.clone();
        let pushed = self.push_import(building, import);
        if pushed.is_err() {
            building.batch.rewind(mark);
            building.pending.known = before;
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
        self.push_lives(building, import)?;
        let lives = building.pending.known.lives_of(region, incarnation);
        if import.after > Lsn::NONE && !building.pending.known.has(region, lives.position(import.after)) {
            return refuse(format!(
                "records of region '{region}' follow its record {}, which could not be taken; they are asked for again",
                import.after
            ));
        }
        let origin = building.pending.known.origins.get(region).cloned().unwrap_or_default();
        let mut through = Through { seen: origin.seen, changed: None, hlc: origin.hlc };
        if !import.seen.is_empty() {
            import.seen.iter().for_each(|seen| through.saw(*seen));
            let here = lives.lists(origin.position.incarnation).then_some((origin.position, origin.chain));
            let begin = (lives.position(Lsn::NONE), ChainHash::GENESIS);
            self.push_through(building, region, here.unwrap_or(begin), &through)?;
        }
        let home = self.imports.catalogue_home;
        let gives_catalogue = gives_catalogue(region, self.region, home, &building.pending.known);
        for record in records::iter(&import.records) {
            let record = record.map_err(|error| WriteError::Invalid(error.to_string()))?;
            if let Payload::Through { incarnation: life, .. } = record.payload {
                let at = Position { incarnation: life, lsn: record.origin_lsn };
                let own = building.pending.known.lives_of(self.region, self.imports.log);
                if record.origin == self.region && !own.has(at, Lsn(u64::MAX)) {
                    // Of a log that we had before, or of what ours has lost: its numbers are not ours.
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
            let here = building.pending.known.has(region, lives.position(record.origin_lsn));
            if !is_content(&record, region) || here {
                continue;
            }
            if let Some((lsn, chain)) = through.changed.take()
                && import.through.is_some()
            {
                // What follows was written in knowledge of it: conflicts are judged by that.
                self.push_through(building, region, (lives.position(lsn), chain), &through)?;
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
            Some((lsn, chain)) if !building.pending.known.has(region, lives.position(lsn)) => {
                self.push_through(building, region, (lives.position(lsn), chain), &through)
            }
            _ => Ok(()),
        }
    }

    /// Writes down what is new of the history of a region's log: where it forked from the one that was known, and where further
    /// lives of it begin.
    fn push_lives(&mut self, building: &mut Building, import: &Import) -> Result<(), WriteError> {
        let region = import.region;
        let Some(History { lives: theirs, forked }) = import.history.as_deref() else { return Ok(()) };
        let known = &building.pending.known;
        let (before, here) = (known.lives.get(region).cloned(), known.origins.get(region).cloned().unwrap_or_default());
        // What it had seen of others on the way that is lost, it has not seen.
        let nothing_seen = Through { seen: BTreeMap::new(), changed: None, hlc: here.hlc };
        let same_log = before.as_ref().is_some_and(|before| before.log() == theirs.log());
        let forgets = |fork: &Resume| fork.position.lsn == Lsn::NONE && active(Mutation::KeepWhatWasLost);
        let forked = forked.filter(|fork| same_log && here.position.lsn > fork.position.lsn && !forgets(fork));
        if let Some(fork) = forked {
            self.push_through(building, region, (fork.position, fork.chain), &nothing_seen)?;
        } else if !same_log && (before.is_some() || theirs.starts().len() > 1) {
            let begin = (Lineage::of(theirs.log()).position(Lsn::NONE), ChainHash::GENESIS);
            self.push_through(building, region, begin, &nothing_seen)?;
        }
        for start in theirs.starts() {
            let lives = Arc::make_mut(&mut building.pending.known.lives).entry(region, theirs.log());
            if lives.lists(start.life) {
                continue;
            }
            lives.begin(*start);
            let payload = Payload::Begin { life: start.life, after: start.after, shared: start.shared };
            let pushed = self.push_of(building, (region, start.first), here.hlc, payload);
            pushed.map_err(|error| WriteError::Invalid(error.to_string()))?;
        }
        Ok(())
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
            Payload::Row { view, body, .. } => fits(&building.pending.known.catalogue, *view, Some(body), region),
            Payload::Tombstone { view, .. } => fits(&building.pending.known.catalogue, *view, None, region),
            Payload::Catalogue(change) if gives_catalogue => {
                agrees(&building.pending.known.catalogue, change, region)?;
                Arc::make_mut(&mut building.pending.known.catalogue).apply(change);
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
        region: Region,
        (position, chain): (Position, ChainHash),
        through: &Through,
    ) -> Result<(), WriteError> {
        let seen: Vec<Seen> = through.seen.values().copied().collect();
        let known = &mut building.pending.known;
        let lost = known.through(region, position, &seen).is_some();
        Arc::make_mut(&mut known.origins).set(region, (position, chain), through.hlc, &seen, lost);
        let payload = Payload::Through { incarnation: position.incarnation, chain, seen };
        let pushed = self.push_of(building, (region, position.lsn), through.hlc, payload);
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

/// Checks that a change made elsewhere means the same view by its number as ours: a view's rows are known by that alone.
fn agrees(ours: &Catalogue, change: &CatalogueChange, region: Region) -> Result<(), WriteError> {
    let view = match change {
        CatalogueChange::PutView(view) => view,
        CatalogueChange::DefineView(defined) => &defined.view,
        _ => return Ok(()),
    };
    match ours.view_by_id(view.id).filter(|here| here.name != view.name) {
        None => Ok(()),
        Some(here) => Err(WriteError::Invalid(format!(
            "view number {} is '{}' in region '{region}' and '{}' here: their catalogues were made apart; give both the same \
             catalogue_home, and begin the log of one of them anew",
            view.id, view.name, here.name
        ))),
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
    use crate::{
        commit::{LogCommand, Owner},
        ingest::Limits,
        receipts::Receipts,
    };
    use littoral_model::{hlc::HlcClock, merge::MergePolicy, position::Epoch, view::FeatureView};
    use littoral_wire::batch::Bounds;

    const LIFE: Incarnation = Incarnation(7);

    fn committer() -> Sequencer {
        let owner = Owner { region: "here".parse().unwrap(), epoch: Epoch::FIRST };
        let limits = Limits { request_bytes_max: 1_000, row_bytes_max: 1_000, future_ms_max: 1_000 };
        Sequencer::new(owner, limits, HlcClock::default(), LogState::default())
    }

    /// What was taken up to a record of theirs, and goes on behind another.
    fn import(after: u64, through: u64) -> LogCommand {
        LogCommand::Import(Import {
            region: "there".parse().unwrap(),
            incarnation: LIFE,
            history: None,
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
        let (mut committer, mut receipts) = (committer(), Receipts::new(1, 1));
        let mut building = committer.begin(Vec::new(), &bounds(), 1_000, 1);
        committer.take(&mut building, import(0, 5), &mut receipts).unwrap();
        // In one batch with the one that it follows.
        committer.take(&mut building, import(5, 9), &mut receipts).unwrap();
        let (_, pending) = committer.finish(building, &mut receipts).unwrap();
        // Its fsync has failed.
        committer.failed(&pending, &mut receipts);
        let mut building = committer.begin(Vec::new(), &bounds(), 1_000, 1);
        let refused = committer.take(&mut building, import(9, 12), &mut receipts).unwrap_err();
        assert!(matches!(&refused, WriteError::Invalid(why) if why.contains("follow its record 9")), "{refused}");
        assert!(committer.finish(building, &mut receipts).unwrap().0.is_empty());
        // The stream begins again where the log stands.
        let mut building = committer.begin(Vec::new(), &bounds(), 1_000, 1);
        committer.take(&mut building, import(0, 9), &mut receipts).unwrap();
        let (_, pending) = committer.finish(building, &mut receipts).unwrap();
        committer.durable(pending);
        let mut building = committer.begin(Vec::new(), &bounds(), 1_000, 1);
        committer.take(&mut building, import(9, 12), &mut receipts).unwrap();
    }

    #[test]
    fn a_change_that_means_another_view_by_a_number_that_is_taken_is_refused() {
        let view = |name: &str| FeatureView {
            id: ViewId(1),
            name: name.to_owned(),
            join_keys: Vec::new(),
            features: Vec::new(),
            ttl_ms: None,
            merge: MergePolicy::default(),
        };
        let mut ours = Catalogue::default();
        ours.apply(&CatalogueChange::PutView(view("mine")));
        let there = "there".parse().unwrap();
        assert_eq!(agrees(&ours, &CatalogueChange::PutView(view("mine")), there), Ok(()));
        assert_eq!(agrees(&ours, &CatalogueChange::DropView("mine".to_owned()), there), Ok(()));
        let refused = agrees(&ours, &CatalogueChange::PutView(view("theirs")), there).unwrap_err();
        assert!(refused.to_string().contains("'theirs' in region 'there' and 'mine' here"), "{refused}");
    }
}
