//! What a leader shows of itself: everything durable and applied, as of one record.

use littoral_log::{Identity, snapshot};
use littoral_model::{
    catalogue::Catalogue,
    hlc::Hlc,
    origin::Origins,
    position::{Epoch, Lsn, Position},
    record::ChainHash,
    token::Watermark,
    write::{WriteConcern, WriteReceipt},
};
use std::sync::Arc;

/// What is durable and applied, all as of one record.
#[derive(Clone, Debug)]
pub struct Published {
    /// The record.
    pub position: Position,
    /// Its hash.
    pub chain: ChainHash,
    /// Its clock reading.
    pub hlc: Hlc,
    /// The catalogue.
    pub catalogue: Arc<Catalogue>,
    /// How far other regions' records are in it.
    pub origins: Arc<Origins>,
    /// All of that as a token: what reads that demand one are measured by.
    pub watermark: Watermark,
    /// The same, and of this region only up to its last record that others take: what answers carry, so that it can be reached
    /// elsewhere.
    pub told: Watermark,
}

impl Published {
    /// As of the record with this number, hash and clock reading.
    #[must_use]
    pub fn at(
        identity: Identity,
        (lsn, chain, hlc): (Lsn, ChainHash, Hlc),
        catalogue: Arc<Catalogue>,
        origins: Arc<Origins>,
    ) -> Self {
        let Identity { region, incarnation } = identity;
        let mut told = Watermark::default();
        origins.add_to(&mut told);
        let mut watermark = told.clone();
        watermark.raise(region, incarnation, lsn);
        if told.get(region).is_none() {
            // Nothing that others take, or not known any more.
            told.set(region, incarnation, lsn);
        }
        Self { position: Position { incarnation, lsn }, chain, hlc, catalogue, origins, watermark, told }
    }

    /// The head of a snapshot as of this. Its rows are gone through after this was taken: they may be newer, never older.
    #[must_use]
    pub fn snapshot_head(&self, identity: Identity, epoch: Epoch, rows_estimate: u64) -> snapshot::Head {
        snapshot::Head {
            region: identity.region,
            incarnation: identity.incarnation,
            epoch,
            as_of: self.position.lsn,
            chain: self.chain,
            hlc: self.hlc,
            catalogue: self.catalogue.clone(),
            rows_estimate,
        }
    }
}

/// What a write that is durable from `first` to `last` may rely on.
#[must_use]
pub fn receipt(identity: Identity, first: Lsn, last: Lsn, duplicate: bool) -> WriteReceipt {
    let Identity { region, incarnation } = identity;
    WriteReceipt {
        first,
        position: Position { incarnation, lsn: last },
        token: Watermark::at(region, incarnation, last),
        concern: WriteConcern::Local,
        duplicate,
        outranked: littoral_model::outranked::Outranked::default(),
    }
}
