//! A whole catalogue of another region, as it comes with a snapshot.

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

/// The changes that make ours what the home's is, as records of the home. `goes_on` says that the home's log is the one that ours
/// comes from, and has lost nothing.
///
/// # Errors
/// Why they are not made, and what to do.
pub(super) fn changes(
    ours: &Catalogue,
    theirs: &Catalogue,
    (home, as_of): (Region, Position),
    goes_on: bool,
) -> Result<Import, Fault> {
    let all = ours.changes_to(theirs);
    let drops = |change: &CatalogueChange| matches!(change, CatalogueChange::DropView(_));
    let differs = ours.views().any(|view| theirs.view_by_id(view.id).is_some_and(|there| there.name != view.name));
    // A view takes its rows with it. Only a home whose drops we would have been told one by one may drop it.
    if !goes_on && (differs || all.iter().any(drops)) {
        return Err(Fault::Apart(format!(
            "the catalogue's home '{home}' does not have all views of this region: its log was begun anew or put back to an older copy, or \
             the catalogues were made apart; stop the leader of '{home}', move its data directory away and start it: it then takes the \
             catalogue and all rows from this region, while a restored copy would lack them"
        )));
    }
    import(all, (home, as_of))
}

/// What ours lacks of a region's catalogue, which comes from ours and is further: ours was put back to an older copy. Nothing is dropped.
///
/// # Errors
/// Why it is not taken, and what to do.
pub(super) fn additions(
    ours: &Catalogue,
    theirs: &Catalogue,
    (region, as_of): (Region, Position),
) -> Result<Import, Fault> {
    let other_name = |view: &&FeatureView| theirs.view_by_id(view.id).is_some_and(|there| there.name != view.name);
    if let Some(view) = ours.views().find(other_name) {
        return Err(Fault::Apart(format!(
            "view number {} is '{}' here and another in region '{region}': this log was put back to an older copy, and views were made since; \
             stop this leader, move its data directory away and start it: it then takes everything from region '{region}'",
            view.id, view.name
        )));
    }
    let mut all = ours.changes_to(theirs);
    all.retain(|change| {
        use CatalogueChange::{DropModule, DropPushSource, DropService, DropView};
        !matches!(change, DropView(_) | DropModule(_) | DropService(_) | DropPushSource(_))
    });
    import(all, (region, as_of))
}

/// Changes as records of a region.
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

/// Checks that rows of another region mean the same views by the same numbers as ours.
///
/// # Errors
/// What differs, and what to do.
pub(super) fn check_same(ours: &Catalogue, theirs: &Catalogue, region: Region) -> Result<(), String> {
    for view in theirs.views() {
        match ours.view_by_id(view.id) {
            Some(here) if here.name != view.name => {
                return Err(format!(
                    "view number {} is '{}' in region '{region}' and '{}' here: their catalogues were made apart; give both the \
                     same catalogue_home, and begin the log of one of them anew",
                    view.id, view.name, here.name
                ));
            }
            None if !ours.has_numbered(view.id) => {
                return Err(format!(
                    "view '{}' of region '{region}' has not come here from the catalogue's home yet",
                    view.name
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A row of a snapshot as a record of its origin.
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
