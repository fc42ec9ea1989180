//! What a leader shows of itself: everything durable and applied, as of one record.

use crate::known::Known;
use littoral_model::{
    catalogue::Catalogue,
    hlc::Hlc,
    identity::Identity,
    lives::RegionLives,
    origin::Origins,
    position::{Lsn, Position},
    record::ChainHash,
    region::Region,
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
    /// The histories of the regions' logs, this one's among them.
    pub lives: Arc<RegionLives>,
    /// All of that as a token: what reads that demand one are measured by.
    pub watermark: Watermark,
    /// The same, and of this region only up to its last record that others take: what answers carry, so that it can be reached
    /// elsewhere.
    pub told: Watermark,
}

impl Published {
    /// As of the record with this number, hash and clock reading.
    #[must_use]
    pub fn at(identity: Identity, (lsn, chain, hlc): (Lsn, ChainHash, Hlc), known: Known) -> Self {
        let Identity { region, incarnation } = identity;
        let Known { catalogue, origins, mut lives } = known;
        if lives.get(region).is_none() {
            Arc::make_mut(&mut lives).entry(region, incarnation);
        }
        let position = lives.get(region).map_or(Position { incarnation, lsn }, |lives| lives.position(lsn));
        let mut told = Watermark::default();
        origins.add_to(&mut told);
        let mut watermark = told.clone();
        watermark.set(region, position.incarnation, lsn);
        if told.get(region).is_none() {
            // Nothing that others take, or not known any more.
            told.set(region, position.incarnation, lsn);
        }
        Self { position, chain, hlc, catalogue, origins, lives, watermark, told }
    }

    /// What is known as of this.
    #[must_use]
    pub fn known(&self) -> Known {
        Known { catalogue: self.catalogue.clone(), origins: self.origins.clone(), lives: self.lives.clone() }
    }

    /// Whether everything that a token demands is applied.
    #[must_use]
    pub fn covers(&self, demand: &Watermark) -> bool {
        self.lives.covers(&self.watermark, demand)
    }
}

/// What a write that is durable from `first` to `last` may rely on.
#[must_use]
pub fn receipt(region: Region, first: Lsn, last: Position, duplicate: bool) -> WriteReceipt {
    WriteReceipt {
        first,
        position: last,
        token: Watermark::at(region, last.incarnation, last.lsn),
        concern: WriteConcern::Local,
        duplicate,
        outranked: littoral_model::outranked::Outranked::default(),
    }
}
