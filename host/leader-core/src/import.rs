//! Importing another region's records into this region's log.
//!
//! The records keep their origin, their LSN there, and their clock reading, and so their version. In addition they get
//! an LSN of this log, so that one region has one order and one feed. The new position in the origin's log is written
//! in the same batch, so that after a crash both are there or neither.

use crate::{
    commit::{Building, CommandEffect, Sequencer},
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

/// The settings for imports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imports {
    /// The only region that may change the catalogue; changes by other regions are rejected.
    pub catalogue_home: Option<Region>,
    /// The name of this region's log.
    pub log: Incarnation,
    /// How far another region's clock may be ahead of this host's, in milliseconds.
    pub clock_drift_ms_max: u64,
}

/// The history of a region's log, as reported by its leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The lineage.
    pub lineage: Lineage,
    /// The record at which it forked from the log whose records are applied here: later ones are lost there.
    pub forked: Option<Resume>,
    /// Whether the region will request the records that its log has lost. Otherwise this region requests them.
    pub requests: bool,
}

/// Records of another region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The region.
    pub region: Region,
    /// The newest life of its log.
    pub incarnation: Incarnation,
    /// The history of its log, if it differs from what is known here.
    pub history: Option<Box<History>>,
    /// Rows, deletions and catalogue changes that originated there, in its order, interspersed with `Through` records
    /// that state what it had seen of other regions. Each is preceded by its length. Other records are skipped.
    pub records: Bytes,
    /// Whether the records are rows of a snapshot, and only those that are not stored here. They may come from any
    /// region, including this one if its log was recreated.
    pub snapshot: bool,
    /// What the region had seen of other regions before the first record, if known.
    pub seen: Vec<Seen>,
    /// The position in its log up to which the records reach, and the chain hash there; `None` if more of a snapshot
    /// follows.
    pub through: Option<(Lsn, ChainHash)>,
    /// The record of its log up to which everything must already be in this log; [`Lsn::NONE`] for no requirement. An
    /// import is submitted before earlier ones are durable, and an earlier one that failed must not leave a gap.
    pub after: Lsn,
}

impl Import {
    /// Creates an import that records that nothing of a region's log counts as stored here. It follows a rollback of
    /// this log, whose lost records the region has.
    #[must_use]
    pub fn nothing_taken(region: Region, lineage: Lineage) -> Self {
        let position = lineage.position(Lsn::NONE);
        Self {
            region,
            incarnation: position.incarnation,
            history: Some(Box::new(History {
                lineage,
                forked: Some(Resume { position, chain: ChainHash::GENESIS }),
                requests: false,
            })),
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

/// Returns whether a record of another region's log requests everything that region `own` holds
/// ([`Import::nothing_taken`]).
pub(crate) fn is_request(record: &Record<'_>, own: Region) -> bool {
    matches!(record.payload, Payload::Through { .. }) && record.origin == own && record.origin_lsn == Lsn::NONE
}

/// Returns whether a region's catalogue changes are accepted here. The home's always are. The home itself accepts any
/// region's if its own catalogue is empty, for example because its log was recreated, or if its log was rolled back and
/// it has requested the region's complete snapshot. It then receives back its own catalogue.
#[must_use]
pub fn gives_catalogue(region: Region, own: Region, home: Option<Region>, ours: &LogState) -> bool {
    home == Some(region) || (home == Some(own) && (ours.catalogue.is_blank() || ours.asks_for_all(region)))
}

impl Sequencer {
    /// Adds another region's records to the batch, all or none.
    ///
    /// # Errors
    /// [`WriteError::Invalid`], with what must change before they can be accepted.
    pub(crate) fn import(&mut self, building: &mut Building, import: &Import) -> Result<CommandEffect, WriteError> {
        let (mark, first) = (building.batch.mark(), building.batch.next_lsn());
        let before = building.effects.known.clone();
        let pushed = self.push_import(building, import);
        if pushed.is_err() {
            building.batch.rewind(mark);
            building.effects.known = before;
        }
        pushed?;
        let last = Lsn(building.batch.next_lsn().0 - 1);
        if last < first {
            return Ok(CommandEffect::Before { first: last, last, duplicate: true });
        }
        Ok(CommandEffect::Import { records: Bytes::copy_from_slice(building.batch.since(mark)), first, last })
    }

    fn push_import(&mut self, building: &mut Building, import: &Import) -> Result<(), WriteError> {
        let region = import.region;
        if region == self.region {
            return Err(WriteError::Invalid(format!(
                "records of this region, '{region}', arrive from another leader; two regions have the same name: rename one of them"
            )));
        }
        self.push_lineage(building, import)?;
        let lineage = building.effects.known.lineage_of(region, import.incarnation);
        if import.after > Lsn::NONE && !building.effects.known.has(region, lineage.position(import.after)) {
            return Err(WriteError::Invalid(format!(
                "records of region '{region}' follow its record {}, which could not be imported; requesting them again",
                import.after
            )));
        }
        let mut through = self.push_seen(building, import, &lineage)?;
        let home = self.imports.catalogue_home;
        let gives_catalogue = gives_catalogue(region, self.region, home, &building.effects.known);
        let source = ImportSource { import, lineage, gives_catalogue };
        for record in records::iter(&import.records) {
            let record = record.map_err(|error| WriteError::Invalid(error.to_string()))?;
            if let Payload::Through { incarnation: life, .. } = record.payload {
                self.note_through(building, &source, &record, life, &mut through);
            } else {
                self.push_content(building, &source, record, &mut through)?;
            }
        }
        if import.snapshot {
            // The region had requested everything before this snapshot was requested, so its request is no longer
            // awaited.
            through.seen.remove(&Region::NONE);
        }
        match import.through {
            Some((lsn, chain)) if !building.effects.known.has(region, source.lineage.position(lsn)) => {
                self.push_through(building, region, (source.lineage.position(lsn), chain), &through)
            }
            _ => Ok(()),
        }
    }

    /// Writes what the region has seen of other regions' logs before the first record, if the import states it. Returns
    /// the state of the region's log there.
    fn push_seen(&self, building: &mut Building, import: &Import, lineage: &Lineage) -> Result<Through, WriteError> {
        let origin = building.effects.known.origins.get(import.region).cloned().unwrap_or_default();
        let mut through = Through { seen: origin.seen, changed: None, hlc: origin.hlc };
        if !import.seen.is_empty() {
            import.seen.iter().for_each(|seen| through.saw(*seen));
            let here = lineage.lists(origin.position.incarnation).then_some((origin.position, origin.chain));
            let begin = (lineage.position(Lsn::NONE), ChainHash::GENESIS);
            self.push_through(building, import.region, here.unwrap_or(begin), &through)?;
        }
        Ok(through)
    }

    /// Notes what a record states that the region has seen of another region's log: everything up to the record
    /// `record.origin_lsn` of the life `life`.
    fn note_through(
        &self,
        building: &Building,
        source: &ImportSource<'_>,
        record: &Record<'_>,
        life: Incarnation,
        through: &mut Through,
    ) {
        let begun = source.lineage.starts().last().map_or(Lsn::NONE, |start| start.first);
        if is_request(record, self.region) && record.lsn >= begun {
            through.seen.remove(&Region::NONE);
            through.changed = Some((record.lsn, record.chain));
        }
        let at = Position { incarnation: life, lsn: record.origin_lsn };
        let own = building.effects.known.lineage_of(self.region, self.imports.log);
        if record.origin == self.region && !own.has(at, Lsn(u64::MAX)) {
            // The LSN belongs to a former log of this region, or to records that this log has lost.
            return;
        }
        through.saw(Seen { region: record.origin, lsn: record.origin_lsn, hlc: record.hlc });
        through.changed = Some((record.lsn, record.chain));
    }

    /// Adds a record that is not held yet, unless it is obsolete.
    fn push_content(
        &mut self,
        building: &mut Building,
        source: &ImportSource<'_>,
        record: Record<'_>,
        through: &mut Through,
    ) -> Result<(), WriteError> {
        let ImportSource { import, lineage, gives_catalogue } = source;
        let region = import.region;
        let foreign = import.snapshot || record.origin_lsn == Lsn::NONE;
        if foreign && record.is_content() && record.origin != region {
            return self.take_foreign(building, region, record, *gives_catalogue);
        }
        let here = building.effects.known.has(region, lineage.position(record.origin_lsn));
        if !is_content(&record, region) || here {
            return Ok(());
        }
        if let Some((lsn, chain)) = through.changed.take()
            && import.through.is_some()
        {
            // The record was written with knowledge of what `through` names. That decides what counts as a conflict, so
            // it is written first.
            self.push_through(building, region, (lineage.position(lsn), chain), through)?;
        }
        let (now_ms, drift_max) = (building.now_ms, self.imports.clock_drift_ms_max);
        if let Err(drift) = self.clock.observe(record.hlc, now_ms, drift_max) {
            return Err(WriteError::Invalid(format!("region '{region}': {drift}")));
        }
        through.hlc = through.hlc.max(record.hlc);
        let lost = active(Mutation::ImportLosesRecord) && record.origin_lsn.0.is_multiple_of(5);
        if self.take_content(building, region, &record, *gives_catalogue)? && !lost {
            let of = (region, record.origin_lsn);
            let pushed = self.push_of(building, of, record.hlc, record.payload);
            pushed.map_err(|error| WriteError::Invalid(error.to_string()))?;
        }
        Ok(())
    }

    /// Writes what is new about a region's log: the record at which it forked from the known log, and where further
    /// lives begin.
    fn push_lineage(&mut self, building: &mut Building, import: &Import) -> Result<(), WriteError> {
        let region = import.region;
        let Some(History { lineage: theirs, forked, requests }) = import.history.as_deref() else { return Ok(()) };
        let known = &building.effects.known;
        let (before, here) =
            (known.lineages.get(region).cloned(), known.origins.get(region).cloned().unwrap_or_default());
        // Nothing counts as seen by the region any more: the records that stated it may be lost.
        let nothing_seen = Through { seen: BTreeMap::new(), changed: None, hlc: here.hlc };
        let same_log = before.as_ref().is_some_and(|before| before.log() == theirs.log());
        let forgets = |fork: &Resume| fork.position.lsn == Lsn::NONE && active(Mutation::KeepWhatWasLost);
        if let Some(fork) = forked.filter(|fork| same_log && !forgets(fork)) {
            let lost = here.position.lsn > fork.position.lsn;
            if lost {
                self.push_through(building, region, (fork.position, fork.chain), &nothing_seen)?;
            }
            if *requests && (lost || !here.awaits_request()) && !active(Mutation::ForgetUnrequested) {
                self.await_request(building, region, theirs, fork.position.lsn)?;
            }
        } else if !same_log && (before.is_some() || theirs.starts().len() > 1) {
            let begin = (Lineage::of(theirs.log()).position(Lsn::NONE), ChainHash::GENESIS);
            self.push_through(building, region, begin, &nothing_seen)?;
        }
        for start in theirs.starts() {
            let lineage = Arc::make_mut(&mut building.effects.known.lineages).entry(region, theirs.log());
            if lineage.lists(start.life) {
                continue;
            }
            lineage.begin(*start);
            let payload = Payload::Begin { life: start.life, after: start.after, shared: start.shared };
            let pushed = self.push_of(building, (region, start.first), here.hlc, payload);
            pushed.map_err(|error| WriteError::Invalid(error.to_string()))?;
        }
        Ok(())
    }

    /// Records that a region's log has lost what is stored here past `kept`, and has not requested it yet.
    fn await_request(
        &self,
        building: &mut Building,
        region: Region,
        lineage: &Lineage,
        kept: Lsn,
    ) -> Result<(), WriteError> {
        let origin = building.effects.known.origins.get(region).cloned().unwrap_or_default();
        let mut through = Through { seen: origin.seen, changed: None, hlc: origin.hlc };
        through.saw(Seen { region: Region::NONE, lsn: kept, hlc: Hlc::default() });
        let here = (origin.position != Position::default()).then_some((origin.position, origin.chain));
        let begin = (lineage.position(Lsn::NONE), ChainHash::GENESIS);
        self.push_through(building, region, here.unwrap_or(begin), &through)
    }

    /// Adds a row that its sender did not write: it comes from a third region, or from this region before its log was
    /// recreated.
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
        // The position in a third region's log is unknown.
        let number = if origin == self.region { building.batch.next_lsn() } else { Lsn::NONE };
        let pushed = self.push_of(building, (origin, number), record.hlc, record.payload);
        pushed.map(drop).map_err(|error| invalid(error.to_string()))
    }

    /// Checks a record against the catalogue, and applies catalogue changes to it. Returns false if the record is
    /// obsolete.
    fn take_content(
        &self,
        building: &mut Building,
        region: Region,
        record: &Record<'_>,
        gives_catalogue: bool,
    ) -> Result<bool, WriteError> {
        match &record.payload {
            // A publisher does not send such a row. One that does, as a node from before projects existed, is not
            // believed: the row is not stored.
            Payload::Row { view, .. } | Payload::Tombstone { view, .. }
                if !building.effects.known.catalogue.may_hold(*view, self.region) =>
            {
                Ok(false)
            }
            Payload::Row { view, body, .. } => fits(&building.effects.known.catalogue, *view, Some(body), region),
            Payload::Tombstone { view, .. } => fits(&building.effects.known.catalogue, *view, None, region),
            Payload::Catalogue(change) if gives_catalogue => {
                agrees(&building.effects.known.catalogue, change, region)?;
                Arc::make_mut(&mut building.effects.known.catalogue).apply(change);
                Ok(true)
            }
            Payload::Catalogue(_) => {
                let home = self.imports.catalogue_home.unwrap_or(self.region);
                Err(WriteError::Invalid(format!(
                    "region '{region}' has changed the catalogue (its record {}), but '{home}' is the catalogue home; \
                     give all regions the same catalogue_home, and recreate the log of '{region}'",
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
        let known = &mut building.effects.known;
        let lost = known.through(region, position, &seen).is_some();
        Arc::make_mut(&mut known.origins).set(region, (position, chain), through.hlc, &seen, lost);
        let payload = Payload::Through { incarnation: position.incarnation, chain, seen };
        let pushed = self.push_of(building, (region, position.lsn), through.hlc, payload);
        pushed.map(drop).map_err(|error| WriteError::Invalid(error.to_string()))
    }
}

/// Where the records of an import come from.
struct ImportSource<'a> {
    import: &'a Import,
    /// The lives of the region's log.
    lineage: Lineage,
    /// Whether the region's catalogue changes are accepted.
    gives_catalogue: bool,
}

/// The state of the origin's log at the current record.
struct Through {
    seen: BTreeMap<Region, Seen>,
    /// The record of the origin's log at which `seen` has changed since it was last written here.
    changed: Option<(Lsn, ChainHash)>,
    hlc: Hlc,
}

impl Through {
    /// Notes what was seen; the newest counts. A recreated log numbers from the beginning, but its clock continues.
    fn saw(&mut self, seen: Seen) {
        let newest = self.seen.entry(seen.region).or_insert(seen);
        *newest = Seen { hlc: newest.hlc.max(seen.hlc), ..seen };
    }
}

/// Checks that another region's catalogue change uses a view ID for the same view, because rows name their view only by
/// ID.
fn agrees(ours: &Catalogue, change: &CatalogueChange, region: Region) -> Result<(), WriteError> {
    let view = match change {
        CatalogueChange::PutView(view) => view,
        CatalogueChange::DefineView(defined) => &defined.view,
        _ => return Ok(()),
    };
    match ours.view_by_id(view.id).filter(|here| here.name != view.name) {
        None => Ok(()),
        Some(here) => Err(WriteError::Invalid(format!(
            "view number {} is '{}' in region '{region}' and '{}' here: their catalogues were created separately; give both the same \
             catalogue_home, and recreate the log of one of them",
            view.id, view.name, here.name
        ))),
    }
}

/// Checks that a row fits its view. Returns false if the view was dropped.
fn fits(catalogue: &Catalogue, view: ViewId, body: Option<&[u8]>, region: Region) -> Result<bool, WriteError> {
    let Some(found) = catalogue.view_by_id(view) else {
        if catalogue.has_numbered(view) {
            return Ok(false);
        }
        return Err(WriteError::Invalid(format!(
            "region '{region}' writes to view number {view}, which has not arrived from the catalogue home yet; this is retried"
        )));
    };
    match body.map(|body| found.check_body(body)) {
        Some(Err(error)) => Err(WriteError::Invalid(format!(
            "a row of view '{}' from region '{region}' does not fit this region's definition of the view, which may be older: {error}",
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
    use littoral_model::{hlc::HlcClock, lineage::Start, merge::MergePolicy, position::Epoch, view::FeatureView};
    use littoral_protocol::frame::UNREQUESTED;
    use littoral_wire::batch::Bounds;

    const LIFE: Incarnation = Incarnation(7);

    fn sequencer() -> Sequencer {
        let owner = Owner { region: "here".parse().unwrap(), epoch: Epoch::FIRST };
        let limits =
            Limits { request_bytes_max: 1_000, row_bytes_max: 1_000, rows_bytes_max: u64::MAX, future_ms_max: 1_000 };
        Sequencer::new(owner, limits, HlcClock::default(), LogState::default())
    }

    /// Creates an import of records up to `through` that follows record `after`.
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

    /// An import of the history of their log, which began a life at record 41, and forked from ours at record 40.
    fn forked(requests: bool) -> LogCommand {
        let mut lineage = Lineage::of(LIFE);
        lineage.begin(Start { life: Incarnation(8), first: Lsn(41), after: LIFE, shared: Lsn(40) });
        let fork = Resume { position: lineage.position(Lsn(40)), chain: ChainHash(40) };
        let LogCommand::Import(import) = import(0, 0) else { unreachable!("`import` creates an import") };
        let history = Some(Box::new(History { lineage, forked: Some(fork), requests }));
        LogCommand::Import(Import { history, through: None, ..import })
    }

    /// An import of their record `lsn`, which states that they hold our records up to `holds`.
    fn holding(lsn: u64, holds: u64) -> LogCommand {
        let payload = Payload::Through { incarnation: Incarnation(5), chain: ChainHash::GENESIS, seen: Vec::new() };
        let (origin, origin_lsn) = ("here".parse().unwrap(), Lsn(holds));
        let (lsn, epoch, hlc, chain) = (Lsn(lsn), Epoch::FIRST, Hlc(1), ChainHash(lsn.into()));
        let mut records = Vec::new();
        records::push(&mut records, &Record { lsn, epoch, origin, origin_lsn, hlc, chain, payload }).unwrap();
        let LogCommand::Import(import) = import(0, lsn.0) else { unreachable!("`import` creates an import") };
        LogCommand::Import(Import { incarnation: Incarnation(8), records: records.into(), ..import })
    }

    #[test]
    fn a_region_that_holds_what_another_lost_waits_until_that_region_has_requested_it() {
        let (mut sequencer, mut receipts) = (sequencer(), Receipts::new(1, 1));
        let there = "there".parse().unwrap();
        let mut waits = |works: Vec<LogCommand>| {
            let mut building = sequencer.begin(Vec::new(), &bounds(), 1_000, 1);
            for work in works {
                sequencer.take(&mut building, work, &mut receipts).unwrap();
            }
            let (_, effects) = building.finish();
            sequencer.durable(effects);
            (sequencer.known().awaits_request(there), sequencer.known().holds_past(there))
        };
        assert_eq!(waits(vec![import(0, 60)]), (false, None));
        assert_eq!(waits(vec![forked(true)]), (true, Some(UNREQUESTED)));
        assert!(waits(vec![holding(45, 30)]).0, "that is not a request");
        assert!(!waits(vec![holding(50, 0)]).0, "they hold nothing of our log, and so request everything");
        assert!(!waits(vec![holding(55, 30)]).0);
        assert!(waits(vec![forked(true)]).0);
        assert!(waits(vec![holding(40, 0)]).0, "that is an earlier life's request");
        assert!(!waits(vec![forked(false), holding(60, 0)]).0);
        assert!(!waits(vec![forked(false)]).0, "this region requests what it lost itself");
    }

    #[test]
    fn an_import_after_a_failed_one_is_rejected_and_leaves_no_gap() {
        let (mut sequencer, mut receipts) = (sequencer(), Receipts::new(1, 1));
        let mut building = sequencer.begin(Vec::new(), &bounds(), 1_000, 1);
        sequencer.take(&mut building, import(0, 5), &mut receipts).unwrap();
        // In the same batch as the one that it follows.
        sequencer.take(&mut building, import(5, 9), &mut receipts).unwrap();
        let (_, effects) = building.finish();
        // The fsync of the batch has failed.
        effects.undo(&mut receipts);
        let mut building = sequencer.begin(Vec::new(), &bounds(), 1_000, 1);
        let refused = sequencer.take(&mut building, import(9, 12), &mut receipts).unwrap_err();
        assert!(matches!(&refused, WriteError::Invalid(why) if why.contains("follow its record 9")), "{refused}");
        assert!(building.finish().0.is_empty());
        // The stream resumes from the position in the log.
        let mut building = sequencer.begin(Vec::new(), &bounds(), 1_000, 1);
        sequencer.take(&mut building, import(0, 9), &mut receipts).unwrap();
        let (_, effects) = building.finish();
        sequencer.durable(effects);
        let mut building = sequencer.begin(Vec::new(), &bounds(), 1_000, 1);
        sequencer.take(&mut building, import(9, 12), &mut receipts).unwrap();
    }

    #[test]
    fn a_change_that_uses_the_number_of_another_view_is_rejected() {
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
