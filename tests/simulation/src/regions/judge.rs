//! What must hold in the world of regions at any time.

use super::{World, name};
use crate::leader::{FULL, RESIDENT};
use littoral_model::{
    digest::{Digest, ViewDigest},
    merge::Rank,
    token::Watermark,
    view::ViewId,
};
use littoral_replica::Table;

impl World {
    /// What must hold at any time.
    pub(super) fn check(&self) -> Result<(), String> {
        for (at, leader) in self.leaders.iter().enumerate() {
            self.has_what_it_claims(
                &leader.table,
                &leader.published.watermark,
                &format!("the leader of {}", name(at)),
            )?;
        }
        let Some(replica) = self.edge.serving() else { return Ok(()) };
        let point = replica.point.load();
        self.has_what_it_claims(&replica.table, &point.watermark, "the edge")?;
        // Where the edge says that it is comparable, it is equal.
        let position = point.resume.position;
        let followed = self.leaders.iter().find(|leader| leader.head() == position);
        if let Some(followed) = followed
            && position.lsn >= self.edge_exact
            && digests(&replica.table) != digests(&followed.table)
        {
            return Err(format!("the edge says that it is comparable at {position} and is not equal"));
        }
        Ok(())
    }

    /// Whatever a watermark names is there, or something that outranks it.
    fn has_what_it_claims(&self, table: &Table, claims: &Watermark, who: &str) -> Result<(), String> {
        for (at, all) in self.acknowledged.iter().enumerate() {
            let Some((life, through)) = claims.get(name(at)) else { continue };
            for write in all.iter().filter(|write| write.incarnation == life && write.lsn <= through) {
                let held = rank_of(table, write.view, &write.key);
                let outranks =
                    |held: Rank| (held.event_time, held.version) >= (write.rank.event_time, write.rank.version);
                if !held.is_some_and(outranks) {
                    return Err(format!(
                        "{who} claims record {through} of {} and lacks its record {}",
                        name(at),
                        write.lsn
                    ));
                }
            }
        }
        Ok(())
    }
}

pub(super) fn rank_of(table: &Table, view: ViewId, key: &[u8]) -> Option<Rank> {
    table.held(view, key).map(|row| row.rank())
}

pub(super) fn digests(table: &Table) -> Vec<ViewDigest> {
    let mut all: Vec<_> = table.digests().into_iter().filter(|view| [FULL, RESIDENT].contains(&view.view)).collect();
    // One that has nothing yet is not known everywhere.
    all.retain(|view| view.digest != Digest::default());
    all.sort_by_key(|view| view.view);
    all
}
