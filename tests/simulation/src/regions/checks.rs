//! The invariants of the world of regions.

use super::{Acknowledged, OUTSIDE, World, name};
use crate::{
    leader::{FULL, KEYS, RESIDENT, RESTRICTED, key},
    publish,
};
use littoral_model::{
    digest::{Digest, ViewDigest},
    lineage::RegionLineages,
    merge::Rank,
    position::Position,
    token::Watermark,
    view::ViewId,
};
use littoral_protocol::frame::Downstream;
use littoral_replica::Table;

impl World {
    /// Checks what must hold at any time.
    pub(super) fn check(&self) -> Result<(), String> {
        for (at, leader) in self.leaders.iter().enumerate() {
            self.has_what_it_claims(
                &leader.table,
                (&leader.published.watermark, &leader.published.lineages),
                at != OUTSIDE,
                &format!("the leader of {}", name(at)),
            )?;
        }
        self.what_counts_as_replicated_is_stored()?;
        let Some(replica) = self.edge.serving() else { return Ok(()) };
        let point = replica.point.load();
        // The position in the log of the region outside accounts for none of the restricted rows.
        let may_hold = self.rule.is_some_and(|rule| rule.edge_in != OUTSIDE) && point.region != name(OUTSIDE);
        if !self.ambiguous.contains(&true) {
            self.has_what_it_claims(&replica.table, (&point.watermark, &point.lineages), may_hold, "the edge")?;
        }
        self.nothing_restricted_is_outside()?;
        // Where the edge states that it is comparable, it is equal.
        let position = point.resume.position;
        let followed = self.leaders.iter().enumerate().find(|(_, leader)| leader.head() == position);
        if let Some((at, followed)) = followed
            // Two records share its numbers, and no peer has proved that: in the product the comparison of digests
            // does.
            && !self.ambiguous[at]
            && position.lsn >= self.edge_exact
            && digests(&replica.table, may_hold) != digests(&followed.table, may_hold)
        {
            return Err(format!("the edge states that it is comparable at {position}, but it is not equal"));
        }
        Ok(())
    }

    /// Checks that a message to a node in this region contains no row that may not be there, unless publishers lie.
    pub(super) fn no_restricted_row_is_sent(&self, to: usize, message: &Downstream) -> Result<(), String> {
        let is_honest = self.rule.is_some_and(|rule| !rule.lies);
        if is_honest && to == OUTSIDE && publish::has_restricted_row(message) {
            return Err("a row leaves the regions that its project allows".to_owned());
        }
        Ok(())
    }

    /// Checks that no node outside of the rule holds a row of it.
    fn nothing_restricted_is_outside(&self) -> Result<(), String> {
        let Some(rule) = self.rule else { return Ok(()) };
        let edge = self.edge.serving().filter(|_| rule.edge_in == OUTSIDE).map(|replica| &*replica.table);
        for (node, table) in [("the leader", Some(&*self.leaders[OUTSIDE].table)), ("an edge", edge)] {
            let holds = |table: &Table| (0..KEYS).any(|number| table.held(RESTRICTED, &key(number)).is_some());
            if table.is_some_and(holds) {
                return Err(format!("{node} of {} holds a row that may not be there", name(OUTSIDE)));
            }
        }
        Ok(())
    }

    /// Checks that a region that counts for `regions=N` of a write has the write.
    fn what_counts_as_replicated_is_stored(&self) -> Result<(), String> {
        for (at, all) in self.acknowledged.iter().enumerate() {
            let leader = &self.leaders[at].published;
            for write in all.iter().filter(|write| !write.lost && !write.ambiguous) {
                for (of, other) in self.leaders.iter().enumerate() {
                    let claim = other.published.watermark.get(name(at));
                    let counts = of != at
                        && write.allowed.contains(name(of))
                        && claim.is_some_and(|(incarnation, lsn)| {
                            leader.lineages.reaches(name(at), Position { incarnation, lsn }, write.position)
                        });
                    if counts && !has(&other.table, write) {
                        let lsn = write.position.lsn;
                        return Err(format!("{} counts for record {lsn} of {} and lacks it", name(of), name(at)));
                    }
                }
            }
        }
        Ok(())
    }

    /// Checks that every record that a watermark names is stored, or a row that outranks it.
    fn has_what_it_claims(
        &self,
        table: &Table,
        (claims, lineages): (&Watermark, &RegionLineages),
        may_hold_restricted: bool,
        node: &str,
    ) -> Result<(), String> {
        for (at, all) in self.acknowledged.iter().enumerate() {
            let Some((incarnation, through)) = claims.get(name(at)) else { continue };
            let claim = Position { incarnation, lsn: through };
            let claimed = |write: &&Acknowledged| lineages.reaches(name(at), claim, write.position);
            // A watermark passes rows that this place may not hold.
            let may_hold = |write: &&Acknowledged| may_hold_restricted || write.view != RESTRICTED;
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

/// Returns whether an acknowledged write is stored, or a row that outranks it.
pub(super) fn has(table: &Table, write: &Acknowledged) -> bool {
    let outranks = |held: Rank| (held.event_time, held.version) >= (write.rank.event_time, write.rank.version);
    rank_of(table, write.view, &write.key).is_some_and(outranks)
}

pub(super) fn rank_of(table: &Table, view: ViewId, key: &[u8]) -> Option<Rank> {
    table.held(view, key).map(|row| row.rank())
}

/// Returns the digests of the views, with [`RESTRICTED`] or without.
pub(super) fn digests(table: &Table, with_restricted: bool) -> Vec<ViewDigest> {
    let compared = |view: &ViewDigest| with_restricted || [FULL, RESIDENT].contains(&view.view);
    let mut all: Vec<_> = table.digests().into_iter().filter(compared).collect();
    // A view without rows does not exist everywhere.
    all.retain(|view| view.digest != Digest::default());
    all.sort_by_key(|view| view.view);
    all
}
