//! Comparing and importing another region's whole catalogue, which arrives with a snapshot.

use super::region_feed::Fault;
use crate::import::Import;
use littoral_model::{
    catalogue::{Catalogue, CatalogueChange},
    hlc::Hlc,
    position::{Epoch, Lsn, Position},
    record::{ChainHash, Payload, Record},
    region::Region,
    view::FeatureView,
};
use littoral_wire::records;

/// Returns the changes that make this catalogue equal to the home's, as records of the home. `goes_on` states that the
/// home's log is the one from which this catalogue comes, and has lost nothing.
///
/// # Errors
/// Why the changes are not made, and what to do.
pub(super) fn changes(
    ours: &Catalogue,
    theirs: &Catalogue,
    (home, as_of): (Region, Position),
    goes_on: bool,
) -> Result<Import, Fault> {
    let all = ours.changes_to(theirs);
    let drops = |change: &CatalogueChange| matches!(change, CatalogueChange::DropView(_));
    let differs = ours.views().any(|view| theirs.view_by_id(view.id).is_some_and(|there| there.name != view.name));
    // Dropping a view deletes its rows. That is allowed only if the home's log has continued, because the drop would
    // otherwise have arrived as a record.
    if !goes_on && (differs || all.iter().any(drops)) {
        return Err(Fault::Apart(format!(
            "the catalogue home '{home}' lacks views of this region: its log was recreated or restored from an older copy, or \
             the catalogues were created separately; stop the leader of '{home}', move its data directory away and start it: it then copies the \
             catalogue and all rows from this region, while a restored copy would lack them"
        )));
    }
    import(all, (home, as_of))
}

/// Returns what this catalogue lacks of a region's catalogue that was copied from it and has changed since: this log
/// was rolled back. Drops nothing.
///
/// # Errors
/// Why the changes are not accepted, and what to do.
pub(super) fn additions(
    ours: &Catalogue,
    theirs: &Catalogue,
    (region, as_of): (Region, Position),
) -> Result<Import, Fault> {
    let other_name = |view: &&FeatureView| theirs.view_by_id(view.id).is_some_and(|there| there.name != view.name);
    if let Some(view) = ours.views().find(other_name) {
        return Err(Fault::Apart(format!(
            "view number {} is '{}' here and another in region '{region}': this log was restored from an older copy, and views were created since; \
             stop this leader, move its data directory away and start it: it then copies everything from region '{region}'",
            view.id, view.name
        )));
    }
    let mut all = ours.changes_to(theirs);
    all.retain(|change| {
        use CatalogueChange::{DropModule, DropProject, DropPushSource, DropService, DropView};
        !matches!(change, DropView(_) | DropModule(_) | DropService(_) | DropPushSource(_) | DropProject(_))
    });
    import(all, (region, as_of))
}

/// Encodes changes as records of a region.
fn import(all: Vec<CatalogueChange>, (home, as_of): (Region, Position)) -> Result<Import, Fault> {
    let mut block = Vec::new();
    for change in all {
        let record = Record {
            lsn: as_of.lsn,
            epoch: Epoch::FIRST,
            origin: home,
            origin_lsn: as_of.lsn,
            hlc: Hlc::default(),
            chain: ChainHash::GENESIS,
            payload: Payload::Catalogue(Box::new(change)),
        };
        records::push(&mut block, &record)?;
    }
    Ok(Import {
        region: home,
        incarnation: as_of.incarnation,
        history: None,
        records: block.into(),
        snapshot: false,
        seen: Vec::new(),
        through: None,
        after: Lsn::NONE,
    })
}

/// Checks that both catalogues use the same IDs for the same views.
///
/// # Errors
/// What differs, and what to do.
pub(super) fn check_same(ours: &Catalogue, theirs: &Catalogue, region: Region) -> Result<(), String> {
    for view in theirs.views() {
        match ours.view_by_id(view.id) {
            Some(here) if here.name != view.name => {
                return Err(format!(
                    "view number {} is '{}' in region '{region}' and '{}' here: their catalogues were created separately; give both the \
                     same catalogue_home, and recreate the log of one of them",
                    view.id, view.name, here.name
                ));
            }
            None if !ours.has_numbered(view.id) => {
                return Err(format!(
                    "view '{}' of region '{region}' has not arrived from the catalogue home yet; this is retried",
                    view.name
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Encodes a row of a snapshot as a record of its origin.
pub(super) fn row_record<'a>(row: &littoral_wire::rows::RowRef<'a>) -> Record<'a> {
    let (view, event_time, key) = (row.view, row.event_time, row.key);
    let payload = match row.body {
        Some(body) => Payload::Row { view, event_time, key, body },
        None => Payload::Tombstone { view, event_time, key },
    };
    Record {
        lsn: row.lsn,
        epoch: Epoch::FIRST,
        origin: row.version.region,
        origin_lsn: Lsn(row.lsn.0),
        hlc: row.version.hlc,
        chain: ChainHash::GENESIS,
        payload,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use littoral_model::{merge::MergePolicy, position::Incarnation, view::ViewId};

    /// Returns how a region's snapshot at record `lsn` changes our catalogue.
    fn changed(ours: &Catalogue, theirs: &Catalogue, lsn: u64) -> Vec<CatalogueChange> {
        let as_of = Position { incarnation: Incarnation(7), lsn: Lsn(lsn) };
        let import = changes(ours, theirs, ("there".parse().unwrap(), as_of), true).unwrap();
        let change = |record: Record<'_>| match record.payload {
            Payload::Catalogue(change) => *change,
            other => panic!("{other:?} is no catalogue change"),
        };
        records::iter(&import.records).map(|record| change(record.unwrap())).collect()
    }

    #[test]
    fn a_snapshot_that_changes_nothing_adds_no_record() {
        let blank = Catalogue::default();
        // It would have LSN 0 in their log. Edges take such a record for one that no position covers, and then need a
        // snapshot to rehome.
        assert_eq!(changed(&blank, &blank, 0), [], "both regions are empty, as when a cluster is founded");
        let view = FeatureView {
            id: ViewId(1),
            name: "clicks".to_owned(),
            join_keys: Vec::new(),
            features: Vec::new(),
            ttl_ms: None,
            merge: MergePolicy::default(),
        };
        let mut theirs = Catalogue::default();
        theirs.apply(&CatalogueChange::PutView(view));
        assert_eq!(changed(&theirs, &theirs, 5), []);
        theirs.apply(&CatalogueChange::DropView("clicks".to_owned()));
        assert_eq!(changed(&blank, &theirs, 6), [CatalogueChange::NumberedBelow(2)], "the dropped view had an ID");
    }
}
