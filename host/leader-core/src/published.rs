//! The state that a leader publishes: everything that is durable and applied, as of one record.

use crate::log_state::LogState;
use littoral_model::{
    catalogue::Catalogue,
    hlc::Hlc,
    identity::Identity,
    lineage::RegionLineages,
    origin::Origins,
    position::{Lsn, Position},
    record::ChainHash,
    region::Region,
    token::Watermark,
    write::{WriteConcern, WriteReceipt},
};
use std::sync::Arc;

/// The last record of a log, or the last applied one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its LSN.
    pub lsn: Lsn,
    /// Its hash.
    pub chain: ChainHash,
    /// The newest clock reading up to it.
    pub hlc: Hlc,
}

/// The records of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Records {
    /// The first.
    pub first: Lsn,
    /// The last.
    pub last: Lsn,
    /// Whether the write repeats an earlier one, whose records these are.
    pub duplicate: bool,
}

/// Everything that is durable and applied, as of one record.
#[derive(Clone, Debug)]
pub struct Published {
    /// The record.
    pub position: Position,
    /// The chain hash at the record.
    pub chain: ChainHash,
    /// The newest clock reading up to the record.
    pub hlc: Hlc,
    /// The catalogue.
    pub catalogue: Arc<Catalogue>,
    /// How far other regions' records are applied.
    pub origins: Arc<Origins>,
    /// The lineages of the regions' logs, this one's among them.
    pub lineages: Arc<RegionLineages>,
    /// The positions of all regions as a token. Reads that demand a token are compared with it.
    pub watermark: Watermark,
    /// Like `watermark`, but for this region it stops at the last record that other regions replicate. Answers carry
    /// it, so that the token can be satisfied in any region.
    pub portable_watermark: Watermark,
}

impl Published {
    /// Returns the published state as of `head`.
    #[must_use]
    pub fn at(identity: Identity, Head { lsn, chain, hlc }: Head, known: LogState) -> Self {
        let Identity { region, incarnation } = identity;
        let LogState { catalogue, origins, mut lineages } = known;
        if lineages.get(region).is_none() {
            Arc::make_mut(&mut lineages).entry(region, incarnation);
        }
        let position = lineages.get(region).map_or(Position { incarnation, lsn }, |lineage| lineage.position(lsn));
        let mut portable_watermark = Watermark::default();
        origins.add_to(&mut portable_watermark);
        let mut watermark = portable_watermark.clone();
        watermark.set(region, position.incarnation, lsn);
        if portable_watermark.get(region).is_none() {
            // Other regions replicate none of its records, or that information is no longer available.
            portable_watermark.set(region, position.incarnation, lsn);
        }
        Self { position, chain, hlc, catalogue, origins, lineages, watermark, portable_watermark }
    }

    /// Returns the last record of this state.
    #[must_use]
    pub const fn head(&self) -> Head {
        Head { lsn: self.position.lsn, chain: self.chain, hlc: self.hlc }
    }

    /// Returns the state of the log as of this record.
    #[must_use]
    pub fn known(&self) -> LogState {
        LogState { catalogue: self.catalogue.clone(), origins: self.origins.clone(), lineages: self.lineages.clone() }
    }

    /// Returns whether everything that a token demands is applied.
    #[must_use]
    pub fn covers(&self, demand: &Watermark) -> bool {
        self.lineages.covers(&self.watermark, demand)
    }
}

/// Returns the receipt of a write in the log of `region`; `position` is that of its last record.
#[must_use]
pub fn receipt(region: Region, records: Records, position: Position) -> WriteReceipt {
    WriteReceipt {
        first: records.first,
        position,
        token: Watermark::at(region, position.incarnation, position.lsn),
        concern: WriteConcern::Local,
        duplicate: records.duplicate,
        outranked: littoral_model::outranked::Outranked::default(),
    }
}
