//! Other regions: replicates their leaders' records into this region's log, and tracks which of this region's records
//! they have durably.
//!
//! ```text
//! leader of B ─▶ feed: records that originated in B ─▶ follow: check ─▶ queue ─▶ commit, as B's records in our log
//!     ▲                                                                   │ durable
//!     └───────────────────── applied up to LSN ◀──────────────────────────┘
//! ```
//!
//! One task follows each region. It continues from the position that the log states, so a restart loses and repeats
//! nothing.

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

/// The leader's view of other regions.
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

    /// Returns the other regions.
    pub(crate) fn regions(&self) -> impl Iterator<Item = Region> + '_ {
        self.links.keys().copied()
    }

    /// Returns the number of other regions.
    pub(crate) fn len(&self) -> usize {
        self.links.len()
    }

    pub(crate) fn link(&self, region: Region) -> Option<&Link> {
        self.links.get(&region)
    }

    /// Returns the connection to another region's leader, for changes of the catalogue.
    pub(crate) fn calls(&self, region: Region) -> Result<CallClient, WriteError> {
        let calls = self.link(region).and_then(Link::calls);
        calls.ok_or_else(|| {
            let trouble = self.link(region).map_or_else(String::new, Link::trouble);
            WriteError::LeaderUnavailable(format!(
                "changes of the catalogue go to its home, region '{region}', which is not connected: {trouble}"
            ))
        })
    }

    /// Raises a watermark to the positions up to which other regions' records are applied.
    pub(crate) fn add_to(&self, watermark: &mut Watermark, lineages: &RegionLineages) {
        for (region, link) in &self.links {
            let applied = link.applied();
            // A position that the other log has lost by a rollback is not named.
            if applied.lsn > Lsn::NONE && lineages.get(*region).is_some_and(|lineage| lineage.has(applied, applied.lsn))
            {
                lineages.raise(watermark, *region, applied);
            }
        }
    }

    pub(crate) fn status(&self) -> Vec<RegionStatus> {
        let status = |(region, link): (&Region, &Link)| RegionStatus {
            taken: self.replicated.by(*region).map(|position| position.lsn),
            ..link.status(*region)
        };
        self.links.iter().map(status).collect()
    }
}
