//! Restarts of leaders in the world of regions, and logs that are rolled back to older copies.

use super::{COUNT, DRIFT_MS, World, checks, event::Event, name};
use crate::{leader::Leader, publish};
use littoral_edge_core::follower::Fault;
use littoral_leader_core::{Import, Imports, LogCommand};
use littoral_log::{Log as _, storage::Memory};
use littoral_model::{
    cluster::ClusterId,
    position::{Epoch, Incarnation},
};
use littoral_protocol::frame::SubscriberHello;

impl World {
    /// Starts another life of a leader's log if this hello proves that the log was rolled back.
    pub(super) fn detect_rollback(&mut self, at: usize, hello: &SubscriberHello) -> Result<(), String> {
        if !publish::is_rolled_back(&self.leaders[at], hello) {
            return Ok(());
        }
        self.events.note(self.now, || Event::RollbackDetected { at });
        let life = Incarnation(self.random.any() | 1 << 63);
        self.leaders[at]
            .commit(vec![LogCommand::Begin { life, rolled_back: true }], self.now)?
            .remove(0)
            .map_err(|e| e.to_string())?;
        (self.rolled_back[at], self.ambiguous[at]) = (false, false);
        Ok(())
    }

    /// Requests the whole snapshot of region `of`, which has records that the log of `at` has lost.
    pub(super) fn request_snapshot(&mut self, at: usize, of: usize) -> Result<(), String> {
        let published = &self.leaders[at].published;
        let has_any = published.known().has_any(name(of));
        let Some(lineage) = published.lineages.get(name(of)).filter(|_| has_any).cloned() else { return Ok(()) };
        let command = LogCommand::Import(Import::nothing_taken(name(of), lineage));
        self.leaders[at].commit(vec![command], self.now)?.remove(0).map_err(|error| error.to_string())?;
        self.streams.remove(&(at, of));
        Ok(())
    }

    /// Restores a leader's disk to an older copy: at its next start, or with the whole host, whose process does not
    /// notice.
    pub(super) fn roll_back(&mut self, at: usize) -> Result<(), String> {
        let Some(copy) = self.copies[at].clone() else { return Ok(()) };
        let begins_life = self.random.one_in(2);
        self.events.note(self.now, || Event::RolledBack { at, begins_life });
        let disk = copy.crash(self.random.any());
        self.reopen_as(at, disk, begins_life)?;
        self.rolled_back[at] = !begins_life;
        self.ambiguous[at] |= !begins_life;
        self.rollbacks += 1;
        Ok(())
    }

    pub(super) fn reopen(&mut self, at: usize, disk: Memory) -> Result<(), String> {
        self.reopen_as(at, disk, true)?;
        self.rolled_back[at] = false;
        Ok(())
    }

    fn reopen_as(&mut self, at: usize, disk: Memory, begins_life: bool) -> Result<(), String> {
        self.streams.retain(|(to, from), _| *to != at && *from != at);
        if self.edge_at.as_ref().is_some_and(|(followed, ..)| *followed == at) {
            self.edge_at = None;
            self.edge.disconnected(&Fault::Lost);
        }
        let (wall, before) = (self.leaders[at].wall_offset_ms, self.leaders[at].head());
        let log_before = self.leaders[at].log.identity().incarnation;
        self.leaders[at] = open(at, disk, self.random.any(), begins_life)?;
        let log = self.leaders[at].log.identity().incarnation;
        // This world does not model that the region has the others' records before it announces so.
        if log != log_before {
            self.leaders[at].affiliation.succeeds = Some(log_before);
        }
        self.leaders[at].wall_offset_ms = wall;
        // A record that no region has any more is lost.
        for of in 0..COUNT {
            for write in 0..self.acknowledged[of].len() {
                let held = self.leaders.iter().any(|leader| checks::has(&leader.table, &self.acknowledged[of][write]));
                self.acknowledged[of][write].lost |= !held;
            }
        }
        // A number that is not in the log any more is assigned again, in the same life.
        let (lineages, head) = (self.leaders[at].published.lineages.clone(), self.leaders[at].head().lsn);
        for write in self.acknowledged[at].iter_mut().filter(|_| !begins_life) {
            write.ambiguous |= !lineages.get(name(at)).is_some_and(|lineage| lineage.has(write.position, head));
        }
        let after = self.leaders[at].head();
        self.events.note(self.now, || Event::Restarted { at, before, after });
        Ok(())
    }
}

pub(super) fn open(at: usize, disk: Memory, entropy: u64, begins_life: bool) -> Result<Leader, String> {
    let imports = Imports { catalogue_home: Some(name(0)), clock_drift_ms_max: DRIFT_MS, ..Imports::default() };
    let entropy = entropy.wrapping_mul(31).wrapping_add(at as u64);
    let mut leader = Leader::open_as(name(at), imports, disk, Epoch::FIRST, entropy, begins_life)?;
    leader.affiliation.cluster = ClusterId(1);
    Ok(leader)
}
