//! Convergence: once all faults are repaired, the members' logs become equal.

use super::World;
use crate::members::simulation::member::Role;
use std::collections::{BTreeMap, VecDeque};

impl World {
    /// Repairs all faults. Then a member leads and commits, and all logs become equal.
    pub(super) fn converge(&mut self) -> Result<(), String> {
        self.cut_off.fill(false);
        (0..self.members.len()).try_for_each(|who| self.break_links(who))?;
        let who = self.rng.usize(..self.members.len());
        self.win(who)?;
        // The first candidate's epoch may be below what others have promised, which each attempt
        // discovers, or its log may be too far behind, so that it resigns in favour of another
        // member.
        for round in 0..6 + 2 * self.members.len() {
            self.settle()?;
            if !matches!(self.members[self.claim.0].role, Role::Leading(..)) && round > 0 {
                self.win(round % self.members.len())?;
            }
            (0..self.members.len()).try_for_each(|me| self.join(me))?;
            self.settle()?;
            self.append(self.claim.0)?;
            self.settle()?;
            (0..self.members.len()).try_for_each(|me| self.sync(me))?;
        }
        self.settle()?;
        let leader = &self.members[self.claim.0];
        if !matches!(leader.role, Role::Leading(..)) || self.committed.len() != leader.log.len() {
            return Err(format!(
                "{} of {} records are committed after all faults are repaired",
                self.committed.len(),
                leader.log.len()
            ));
        }
        match self.members.iter().position(|member| member.log != leader.log) {
            Some(member) => Err(format!(
                "member {member} has another log than leader {} after all faults are repaired",
                self.claim.0
            )),
            None => Ok(()),
        }
    }

    fn settle(&mut self) -> Result<(), String> {
        for _ in 0..100_000 {
            if self.links.values().all(VecDeque::is_empty) {
                return Ok(());
            }
            self.deliver_one()?;
        }
        Err("messages never end".into())
    }

    /// Checks that records with the same LSN and epoch are equal everywhere, also detached ones.
    pub(super) fn logs_agree(&self) -> Result<(), String> {
        let mut known = BTreeMap::new();
        for (index, member) in self.members.iter().enumerate() {
            for (record, lsn) in member.log.iter().zip(1_u64..) {
                if *known.entry((lsn, record.0)).or_insert(record.1) != record.1 {
                    return Err(format!("record {lsn} of epoch {} is another one at member {index}", record.0));
                }
            }
            let mut detached = member.detached.iter().flatten();
            if let Some(record) = detached.find(|record| self.committed.contains(record)) {
                // A committed record must have returned through the stream.
                if !member.log.contains(record) {
                    return Err(format!("member {index} has detached {record:?}, which is committed"));
                }
            }
        }
        Ok(())
    }
}
