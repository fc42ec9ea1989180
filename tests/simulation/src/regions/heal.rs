//! The end of a world of regions: all faults end, and all regions converge.

use super::{Acknowledged, COUNT, OUTSIDE, World, checks, name};
use crate::leader::RESTRICTED;
use littoral_edge_core::follower::Fault;
use littoral_model::{lineage::Lineage, token::Watermark};
use std::time::Duration;

impl World {
    /// Ends all faults: all regions reach the same rows, and no acknowledged write is lost.
    pub(super) fn heal(&mut self) -> Result<(), String> {
        self.healing = true;
        self.edge_at = None;
        self.edge.disconnected(&Fault::Lost);
        for _ in 0..200 {
            for to in 0..COUNT {
                for from in (0..COUNT).filter(|from| *from != to) {
                    for _ in 0..3 {
                        self.replicate(to, from)?;
                    }
                }
            }
            self.now += Duration::from_millis(10);
        }
        for _ in 0..4_000 {
            self.follow()?;
        }
        self.check()?;
        let mut all = Watermark::default();
        for (at, leader) in self.leaders.iter().enumerate() {
            let head = leader.head();
            let lineage =
                leader.published.lineages.get(name(at)).cloned().unwrap_or_else(|| Lineage::of(head.incarnation));
            let here = |write: &&Acknowledged| !write.lost && !write.ambiguous && lineage.has(write.position, head.lsn);
            if let Some(last) = self.acknowledged[at].iter().rfind(here) {
                all.set(name(at), last.position.incarnation, last.position.lsn);
            }
        }
        let digests = |table| checks::digests(table, false);
        let first = digests(&self.leaders[0].table);
        for (at, leader) in self.leaders.iter().enumerate() {
            if !leader.published.covers(&all) {
                return Err(format!("{} has '{}' of '{all}'", name(at), leader.published.watermark));
            }
            for (of, all) in self.acknowledged.iter().enumerate() {
                // Without proof that it was rolled back, a log does not request its lost records.
                let required = |write: &&Acknowledged| {
                    let elsewhere = at == OUTSIDE && write.view == RESTRICTED;
                    !(elsewhere || write.lost || write.ambiguous && self.ambiguous[of])
                };
                if let Some(write) = all.iter().filter(required).find(|write| !checks::has(&leader.table, write)) {
                    let (region, of, position) = (name(at), name(of), write.position);
                    return Err(format!("{region} lacks {position} of {of}, and it is not lost"));
                }
            }
            if digests(&leader.table) != first && !self.ambiguous.contains(&true) {
                return Err(format!("the rows of {} differ from those of {}", name(at), name(0)));
            }
        }
        let edge = self.edge.serving().ok_or("the edge has no data")?;
        if digests(&edge.table) != first && !self.ambiguous.contains(&true) {
            return Err("the rows of the edge differ from its leader's".to_owned());
        }
        Ok(())
    }
}
