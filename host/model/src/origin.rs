//! The progress of other regions' records in a log.

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

/// What one region had seen of another region's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The other region.
    pub region: Region,
    /// The last record seen of the other region's log.
    pub lsn: Lsn,
    /// The newest clock reading seen among the other region's records.
    pub hlc: Hlc,
}

/// The progress of one other region's records in this region's log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Everything that the region accepted up to this position of its own log is stored here.
    pub position: Position,
    /// The hash of the region's record at `position`; reading continues after it.
    pub chain: ChainHash,
    /// The newest clock reading among the region's records here.
    pub hlc: Hlc,
    /// Whether the region's log was recreated or rolled back since the first of its records
    /// arrived. If so, other regions may have more or fewer of the lost records.
    pub recreated: bool,
    /// The newest clock reading among the region's rows that arrived in a third region's snapshot,
    /// and so without an LSN of the region's log.
    pub foreign: Hlc,
    /// The newest clock reading among all rows of the region here. Beyond `hlc` while a snapshot
    /// of the region is being imported.
    pub newest: Hlc,
    /// The largest LSN of the region's log among those rows. Beyond `position` while a snapshot of
    /// the region is being imported.
    pub newest_lsn: Lsn,
    /// What the region itself had seen of other regions at `position`. Its later writes were made
    /// with that knowledge, so they do not conflict with it. An entry for [`Region::NONE`] states
    /// that this region's log lost the records past that LSN and has not requested them yet.
    pub seen: BTreeMap<Region, Seen>,
}

impl Origin {
    /// Returns whether the region's log lost records that are stored here, and the region's request
    /// for them has not arrived yet.
    #[must_use]
    pub fn awaits_request(&self) -> bool {
        self.seen.contains_key(&Region::NONE)
    }
}

/// The progress of every region whose records are in this log. For the log's own region it is the
/// last record that other regions replicate, because later ones are never known elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origins(BTreeMap<Region, Origin>);

impl Origins {
    /// Returns the progress of a region's records here.
    #[must_use]
    pub fn get(&self, region: Region) -> Option<&Origin> {
        self.0.get(&region)
    }

    /// Returns the log's own region, then the other regions that have records here.
    #[must_use]
    pub fn regions(&self, own: Region) -> Vec<Region> {
        let others = self.0.keys().copied().filter(|region| *region != own);
        std::iter::once(own).chain(others).collect()
    }

    /// Sets the progress of a region's records. The clock reading only grows. `lost` states that
    /// the region's log has lost earlier records past that position.
    pub fn set(
        &mut self,
        region: Region,
        (position, chain): (Position, ChainHash),
        hlc: Hlc,
        seen: &[Seen],
        lost: bool,
    ) {
        let origin = self.0.entry(region).or_default();
        origin.recreated |= lost;
        origin.position = position;
        origin.chain = chain;
        origin.hlc = origin.hlc.max(hlc);
        origin.seen = seen.iter().map(|seen| (seen.region, *seen)).collect();
    }

    /// Returns whether there are rows that no position here covers: they arrived through a third
    /// region, and have not arrived from their own region yet.
    #[must_use]
    pub fn is_mixed(&self) -> bool {
        self.0.values().any(|origin| origin.newest.max(origin.foreign) > origin.hlc)
    }

    /// Notes that a row of a region arrived from that region, with its LSN there.
    pub fn note_row(&mut self, region: Region, lsn: Lsn, hlc: Hlc) {
        let origin = self.0.entry(region).or_default();
        origin.newest = origin.newest.max(hlc);
        origin.newest_lsn = origin.newest_lsn.max(lsn);
    }

    /// Notes that the region's log no longer contains records past `kept`.
    pub fn note_cut(&mut self, region: Region, kept: Lsn) {
        if let Some(origin) = self.0.get_mut(&region) {
            origin.newest_lsn = origin.newest_lsn.min(kept);
        }
    }

    /// Notes that a row of a region arrived in a third region's snapshot.
    pub fn note_foreign_row(&mut self, region: Region, hlc: Hlc) {
        let origin = self.0.entry(region).or_default();
        origin.foreign = origin.foreign.max(hlc);
    }

    /// Sets the progress of the log's own region, to a record that other regions replicate.
    pub fn set_own(&mut self, region: Region, position: Position) {
        self.0.entry(region).or_default().position = position;
    }

    /// Iterates over the regions, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (Region, &Origin)> {
        self.0.iter().map(|(region, origin)| (*region, origin))
    }

    /// Adds the positions to a watermark.
    pub fn add_to(&self, watermark: &mut Watermark) {
        for (region, origin) in self.iter().filter(|(_, origin)| origin.position != Position::default()) {
            watermark.set(region, origin.position.incarnation, origin.position.lsn);
        }
    }

    /// Returns whether region `writer`, which sent the current record, had seen a row that is held
    /// in the log of region `own`. Returns false in case of doubt.
    #[must_use]
    pub fn had_seen(&self, writer: Region, held: &RowHeader, own: Region) -> bool {
        let other = held.version.region;
        let seen = || self.get(writer).and_then(|origin| origin.seen.get(&other));
        // Rows of our own region are identified by their LSN. Rows of third regions have one of
        // our LSNs, so the clock reading identifies them.
        writer == other
            || seen().is_some_and(|seen| if other == own { held.lsn <= seen.lsn } else { held.version.hlc <= seen.hlc })
    }
}

impl FromIterator<(Region, Origin)> for Origins {
    fn from_iter<T: IntoIterator<Item = (Region, Origin)>>(origins: T) -> Self {
        Self(origins.into_iter().collect())
    }
}
