//! Other regions: their leaders' records are taken into this region's log, and they say what of ours is durable with them.
//!
//! ```text
//! leader of B ─▶ feed: what originated in B ─▶ take: check ─▶ queue ─▶ commit, as B's records in our log
//!     ▲                                                                  │ durable
//!     └───────────────────── applied up to LSN ◀─────────────────────────┘
//! ```
//!
//! Each region is followed by one task. It goes on where the log says that it stands, so a restart loses and repeats nothing.

mod concern;
mod follow;
mod link;
mod underway;

pub(crate) use concern::ReplicatedPositions;
pub(crate) use follow::run;
pub(crate) use link::Link;

use crate::config::Config;
use littoral_feed::client::CallClient;
use littoral_model::{
    lineage::RegionLineages, position::Lsn, region::Region, status::RegionStatus, token::Watermark, write::WriteError,
};
use std::collections::BTreeMap;

/// What the leader knows of other regions.
#[derive(Debug, Default)]
pub(crate) struct CrossRegion {
    links: BTreeMap<Region, Link>,
    pub(crate) replicated: ReplicatedPositions,
}

impl CrossRegion {
    pub(crate) fn new(config: &Config) -> Self {
        let links = config.regions.iter().map(|other| (other.name, Link::default())).collect();
        Self { links, replicated: ReplicatedPositions::default() }
    }

    /// The other regions.
    pub(crate) fn regions(&self) -> impl Iterator<Item = Region> + '_ {
        self.links.keys().copied()
    }

    /// How many other regions there are.
    pub(crate) fn len(&self) -> usize {
        self.links.len()
    }

    pub(crate) fn link(&self, region: Region) -> Option<&Link> {
        self.links.get(&region)
    }

    /// The way to another region's leader.
    pub(crate) fn calls(&self, region: Region) -> Result<CallClient, WriteError> {
        let calls = self.link(region).and_then(Link::calls);
        calls.ok_or_else(|| {
            let trouble = self.link(region).map_or_else(String::new, Link::trouble);
            WriteError::LeaderUnavailable(format!(
                "changes of the catalogue go to its home, region '{region}', which is not connected: {trouble}"
            ))
        })
    }

    pub(crate) fn add_to(&self, watermark: &mut Watermark, lives: &RegionLineages) {
        for (region, link) in &self.links {
            let applied = link.applied();
            // Of a log that was put back meanwhile nothing is named that is lost there.
            if applied.lsn > Lsn::NONE && lives.get(*region).is_some_and(|lives| lives.has(applied, applied.lsn)) {
                lives.raise(watermark, *region, applied);
            }
        }
    }

    pub(crate) fn status(&self) -> Vec<RegionStatus> {
        let mut all: Vec<_> = self.links.iter().map(|(region, link)| link.status(*region)).collect();
        for region in &mut all {
            region.taken = self.replicated.by(region.region).map(|position| position.lsn);
        }
        all
    }
}
