//! What a leader's log says besides rows, as of one of its records.

use littoral_model::{
    catalogue::Catalogue,
    cluster::Affiliation,
    lineage::{Lineage, RegionLineages},
    origin::{Origins, Seen},
    position::{Incarnation, Lsn, Position},
    region::Region,
};
use std::sync::Arc;

/// What is known as of a record.
#[derive(Clone, Debug, Default)]
pub struct LogState {
    /// The catalogue.
    pub catalogue: Arc<Catalogue>,
    /// How far other regions' records are here.
    pub origins: Arc<Origins>,
    /// The histories of the regions' logs, this one's among them.
    pub lives: Arc<RegionLineages>,
}

impl LogState {
    /// The history of a region's log; `log` is its name when it is not known yet.
    #[must_use]
    pub fn lives_of(&self, region: Region, log: Incarnation) -> Lineage {
        self.lives.get(region).cloned().unwrap_or_else(|| Lineage::of(log))
    }

    /// That is where this log belongs from now on.
    pub fn belong(&mut self, belongs: Affiliation) {
        Arc::make_mut(&mut self.lives).set_belongs(Some(belongs));
    }

    /// Whether what a position of another region's log names is here.
    #[must_use]
    pub fn has(&self, region: Region, position: Position) -> bool {
        let origin = self.origins.get(region);
        origin.is_some_and(|origin| {
            origin.position != Position::default() && self.lives.reaches(region, origin.position, position)
        })
    }

    /// Whether a region's whole snapshot is asked for, as this log was put back to an older copy and the region has what it lost.
    #[must_use]
    pub fn asks_for_all(&self, region: Region) -> bool {
        self.origins.get(region).is_some_and(|origin| origin.recreated && origin.position.lsn == Lsn::NONE)
    }

    /// The newest record of another region's log that something here comes from, where that is past what is known to be here.
    #[must_use]
    pub fn holds_past(&self, region: Region) -> Option<Position> {
        let origin = self.origins.get(region).filter(|origin| origin.newest_lsn > origin.position.lsn)?;
        self.lives.get(region).map(|lives| lives.position(origin.newest_lsn))
    }

    /// Takes notice of a record that says how far another region's records are here. When what was known of that region's log is
    /// lost past some record, as its log forked there or is another one, says past which.
    ///
    /// One that goes back within a log means that only when it says nothing of what the region had seen: what a region had seen of
    /// others may be told a little late.
    pub fn through(&mut self, region: Region, position: Position, seen: &[Seen]) -> Option<Lsn> {
        let before =
            self.origins.get(region).map(|origin| origin.position).filter(|before| *before != Position::default());
        let lives = Arc::make_mut(&mut self.lives);
        let known = lives.entry(region, position.incarnation);
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
