//! The state that a leader's log defines besides rows, as of one of its records.

use littoral_model::{
    catalogue::Catalogue,
    cluster::Affiliation,
    lineage::{Lineage, RegionLineages},
    origin::{Origin, Origins, Seen},
    position::{Incarnation, Lsn, Position},
    region::Region,
};
use littoral_protocol::frame::UNREQUESTED;
use std::sync::Arc;

/// The state as of a record, except for the rows.
#[derive(Clone, Debug, Default)]
pub struct LogState {
    /// The catalogue.
    pub catalogue: Arc<Catalogue>,
    /// How far other regions' records are applied.
    pub origins: Arc<Origins>,
    /// The lineages of the regions' logs, this one's among them.
    pub lineages: Arc<RegionLineages>,
}

impl LogState {
    /// Returns the lineage of a region's log; `log` is its name if its lineage is not known yet.
    #[must_use]
    pub fn lineage_of(&self, region: Region, log: Incarnation) -> Lineage {
        self.lineages.get(region).cloned().unwrap_or_else(|| Lineage::of(log))
    }

    /// Sets the affiliation of this log.
    pub fn belong(&mut self, belongs: Affiliation) {
        Arc::make_mut(&mut self.lineages).set_belongs(Some(belongs));
    }

    /// Returns whether everything up to a position in another region's log is applied.
    #[must_use]
    pub fn has(&self, region: Region, position: Position) -> bool {
        let origin = self.origins.get(region);
        origin.is_some_and(|origin| {
            origin.position != Position::default() && self.lineages.reaches(region, origin.position, position)
        })
    }

    /// Returns whether a complete snapshot must be requested from a region, because this log was rolled back and the
    /// region has what it lost.
    #[must_use]
    pub fn asks_for_all(&self, region: Region) -> bool {
        self.origins.get(region).is_some_and(|origin| origin.recreated && origin.position.lsn == Lsn::NONE)
    }

    /// Returns whether any record of another region counts as replicated. If none does, the region's whole snapshot is
    /// replicated next.
    #[must_use]
    pub fn has_any(&self, region: Region) -> bool {
        self.origins.get(region).is_some_and(|origin| origin.position.lsn > Lsn::NONE)
    }

    /// Returns whether this log holds records that another region's log has lost, and that region's request for them
    /// has not arrived yet. The region may be rolled back again, and lose its request.
    #[must_use]
    pub fn awaits_request(&self, region: Region) -> bool {
        self.origins.get(region).is_some_and(Origin::awaits_request)
    }

    /// Returns the newest record of another region's log from which an applied row comes, if it is past the position up
    /// to which everything is applied; [`UNREQUESTED`] while the region's request for its lost records is awaited.
    #[must_use]
    pub fn holds_past(&self, region: Region) -> Option<Position> {
        if self.awaits_request(region) {
            return Some(UNREQUESTED);
        }
        let origin = self.origins.get(region).filter(|origin| origin.newest_lsn > origin.position.lsn)?;
        self.lineages.get(region).map(|lineage| lineage.position(origin.newest_lsn))
    }

    /// Notes a `Through` record, which states how far another region's records are applied. Returns the record past
    /// which that region has lost records, if any: its log forked there, or is another log.
    ///
    /// A position that goes back within the same log means a loss only if `seen` is empty. Otherwise the record only
    /// states, a little late, what the region had seen of others.
    pub fn through(&mut self, region: Region, position: Position, seen: &[Seen]) -> Option<Lsn> {
        let before =
            self.origins.get(region).map(|origin| origin.position).filter(|before| *before != Position::default());
        let lineages = Arc::make_mut(&mut self.lineages);
        let known = lineages.entry(region, position.incarnation);
        if !known.lists(position.incarnation) {
            *known = Lineage::of(position.incarnation);
            Arc::make_mut(&mut self.origins).note_cut(region, Lsn::NONE);
        }
        let before = before?;
        match known.lists(before.incarnation) {
            true => (before.lsn > position.lsn && seen.is_empty()).then_some(position.lsn),
            false => Some(Lsn::NONE),
        }
    }
}
