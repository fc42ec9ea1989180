//! How far other regions' records stand in a log.

use crate::{
    hlc::Hlc,
    position::{Lsn, Position},
    record::ChainHash,
    region::Region,
    row::RowHeader,
    token::Watermark,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a region had seen of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The other.
    pub region: Region,
    /// The last record of the other's log.
    pub lsn: Lsn,
    /// The newest clock reading among the other's records.
    pub hlc: Hlc,
}

/// How far one other region's records stand in this region's log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Everything that the region had taken up to here of its own log is here.
    pub position: Position,
    /// The hash of its record there: reading goes on behind it.
    pub chain: ChainHash,
    /// The newest clock reading among its records here.
    pub hlc: Hlc,
    /// Whether its log was begun anew, or put back to an older copy, since the first of its records came: of what is lost there
    /// others may have more or less.
    pub begun_anew: bool,
    /// The newest clock reading among its rows here that came with a third region's snapshot, and so by no number of its log.
    pub foreign: Hlc,
    /// The newest clock reading among all its rows here: beyond `hlc` while a snapshot of it is taken in.
    pub newest: Hlc,
    /// The newest number that one of them has in the region's log: beyond `position` while a snapshot of it is taken in.
    pub newest_lsn: Lsn,
    /// What the region itself had seen of others by then. What it wrote after that was written in knowledge of it, and is no
    /// conflict with it.
    pub seen: BTreeMap<Region, Seen>,
}

/// Every region whose records stand in this log. Of the log's own region: its last record that others take, as what follows that
/// is never known elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origins(BTreeMap<Region, Origin>);

impl Origins {
    /// How far this region's records are here.
    #[must_use]
    pub fn get(&self, region: Region) -> Option<&Origin> {
        self.0.get(&region)
    }

    /// The log's own region, then the others of which something is here.
    #[must_use]
    pub fn regions(&self, own: Region) -> Vec<Region> {
        let others = self.0.keys().copied().filter(|region| *region != own);
        std::iter::once(own).chain(others).collect()
    }

    /// A region's records are here up to the given point. The clock reading only grows. `lost`: what came before of its log, past
    /// that point, is lost there.
    pub fn set(
        &mut self,
        region: Region,
        (position, chain): (Position, ChainHash),
        hlc: Hlc,
        seen: &[Seen],
        lost: bool,
    ) {
        let origin = self.0.entry(region).or_default();
        origin.begun_anew |= lost;
        origin.position = position;
        origin.chain = chain;
        origin.hlc = origin.hlc.max(hlc);
        origin.seen = seen.iter().map(|seen| (seen.region, *seen)).collect();
    }

    /// Whether there are rows that no position here names: they came round a third region, and have not come by themselves yet.
    #[must_use]
    pub fn is_mixed(&self) -> bool {
        self.0.values().any(|origin| origin.newest.max(origin.foreign) > origin.hlc)
    }

    /// A row of a region has come by itself, with the number that it has there.
    pub fn came(&mut self, region: Region, lsn: Lsn, hlc: Hlc) {
        let origin = self.0.entry(region).or_default();
        origin.newest = origin.newest.max(hlc);
        origin.newest_lsn = origin.newest_lsn.max(lsn);
    }

    /// What is here of a region's log past this record is not in it any more.
    pub fn cut(&mut self, region: Region, kept: Lsn) {
        if let Some(origin) = self.0.get_mut(&region) {
            origin.newest_lsn = origin.newest_lsn.min(kept);
        }
    }

    /// A row of a region has come with a third region's snapshot.
    pub fn foreign(&mut self, region: Region, hlc: Hlc) {
        let origin = self.0.entry(region).or_default();
        origin.foreign = origin.foreign.max(hlc);
    }

    /// A record of the log's own region that others take.
    pub fn own(&mut self, region: Region, position: Position) {
        self.0.entry(region).or_default().position = position;
    }

    /// The regions, by name.
    pub fn iter(&self) -> impl Iterator<Item = (Region, &Origin)> {
        self.0.iter().map(|(region, origin)| (*region, origin))
    }

    /// Adds them to a watermark.
    pub fn add_to(&self, watermark: &mut Watermark) {
        for (region, origin) in self.iter().filter(|(_, origin)| origin.position != Position::default()) {
            watermark.set(region, origin.position.incarnation, origin.position.lsn);
        }
    }

    /// Whether region `writer`, of which a record comes now, had seen a row that is held in the log of region `own`. When in
    /// doubt it had not.
    #[must_use]
    pub fn had_seen(&self, writer: Region, held: &RowHeader, own: Region) -> bool {
        let other = held.version.region;
        let seen = || self.get(writer).and_then(|origin| origin.seen.get(&other));
        // Our own rows are known by their number; those of third regions have one of ours, and are known by their clock.
        writer == other
            || seen().is_some_and(|seen| if other == own { held.lsn <= seen.lsn } else { held.version.hlc <= seen.hlc })
    }
}

impl FromIterator<(Region, Origin)> for Origins {
    fn from_iter<T: IntoIterator<Item = (Region, Origin)>>(origins: T) -> Self {
        Self(origins.into_iter().collect())
    }
}
