//! The invariants of the world of regions.

use super::{Acknowledged, OUTSIDE, World, name};
use crate::leader::{FULL, RESIDENT, RESTRICTED};
use littoral_model::{
    digest::{Digest, ViewDigest},
    lineage::RegionLineages,
    merge::Rank,
    position::Position,
    record::Payload,
    token::Watermark,
    view::ViewId,
};
use littoral_protocol::frame::Downstream;
use littoral_replica::Table;
use littoral_wire::{records, rows};

impl World {
    /// Checks what must hold at any time.
    pub(super) fn check(&self) -> Result<(), String> {
        for (at, leader) in self.leaders.iter().enumerate() {
            self.has_what_it_claims(
                &leader.table,
                (&leader.published.watermark, &leader.published.lineages),
                at,
                &format!("the leader of {}", name(at)),
            )?;
        }
        let Some(replica) = self.edge.serving() else { return Ok(()) };
        let point = replica.point.load();
        if !self.ambiguous.contains(&true) {
            self.has_what_it_claims(&replica.table, (&point.watermark, &point.lineages), OUTSIDE, "the edge")?;
        }
        // Where the edge states that it is comparable, it is equal.
        let position = point.resume.position;
        let followed = self.leaders.iter().enumerate().find(|(_, leader)| leader.head() == position);
        if let Some((at, followed)) = followed
            // Two records share its numbers, and no peer has proved that: in the product the comparison of digests
            // does.
            && !self.ambiguous[at]
            && position.lsn >= self.edge_exact
            && digests(&replica.table) != digests(&followed.table)
        {
            return Err(format!("the edge states that it is comparable at {position}, but it is not equal"));
        }
        Ok(())
    }

    /// Checks that every record that a watermark names is stored, or a row that outranks it.
    fn has_what_it_claims(
        &self,
        table: &Table,
        (claims, lineages): (&Watermark, &RegionLineages),
        place: usize,
        node: &str,
    ) -> Result<(), String> {
        for (at, all) in self.acknowledged.iter().enumerate() {
            let Some((incarnation, through)) = claims.get(name(at)) else { continue };
            let claim = Position { incarnation, lsn: through };
            let claimed = |write: &&Acknowledged| lineages.reaches(name(at), claim, write.position);
            // A watermark passes rows that this place may not hold.
            let may_hold = |write: &&Acknowledged| place != OUTSIDE || write.view != RESTRICTED;
            for write in all.iter().filter(|write| !write.lost && !write.ambiguous).filter(may_hold).filter(claimed) {
                if !has(table, write) {
                    return Err(format!(
                        "{node} claims record {through} of {} and lacks its record {}",
                        name(at),
                        write.position.lsn
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Checks that a message to a node outside the regions of [`RESTRICTED`] contains none of its rows.
pub(super) fn has_no_restricted_row(message: &Downstream) -> Result<(), String> {
    let found = match message {
        Downstream::Records { bytes, .. } => records::iter(bytes).flatten().any(|record| match record.payload {
            Payload::Row { view, .. } | Payload::Tombstone { view, .. } => view == RESTRICTED,
            _ => false,
        }),
        Downstream::SnapshotRows { bytes, .. } => {
            rows::iter(bytes).flatten().flatten().any(|row| row.view == RESTRICTED)
        }
        _ => false,
    };
    if found { Err("a row leaves the regions that its project allows".to_owned()) } else { Ok(()) }
}

/// Returns whether an acknowledged write is stored, or a row that outranks it.
pub(super) fn has(table: &Table, write: &Acknowledged) -> bool {
    let outranks = |held: Rank| (held.event_time, held.version) >= (write.rank.event_time, write.rank.version);
    rank_of(table, write.view, &write.key).is_some_and(outranks)
}

pub(super) fn rank_of(table: &Table, view: ViewId, key: &[u8]) -> Option<Rank> {
    table.held(view, key).map(|row| row.rank())
}

pub(super) fn digests(table: &Table) -> Vec<ViewDigest> {
    let mut all: Vec<_> = table.digests().into_iter().filter(|view| [FULL, RESIDENT].contains(&view.view)).collect();
    // A view without rows does not exist everywhere.
    all.retain(|view| view.digest != Digest::default());
    all.sort_by_key(|view| view.view);
    all
}
