//! What must hold in the end: once all is well, the members become one again.

use super::World;
use crate::members::simulation::member::Role;
use std::collections::{BTreeMap, VecDeque};

impl World {
    /// All is well again: somebody leads, commits, and all logs become one.
    pub(super) fn mend(&mut self) -> Result<(), String> {
        self.cut_off.fill(false);
        (0..self.members.len()).try_for_each(|who| self.break_links(who))?;
        let who = self.rng.usize(..self.members.len());
        self.win(who)?;
        // The first may have been too low for what others have promised, which each try learns of, or too far behind to lead,
        // which it then leaves to others.
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
                "{} of {} records are committed once all is well",
                self.committed.len(),
                leader.log.len()
            ));
        }
        match self.members.iter().position(|member| member.log != leader.log) {
            Some(member) => {
                Err(format!("member {member} has another log than leader {} once all is well", self.claim.0))
            }
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

    /// Records of one number and epoch are the same record everywhere, also those that were given up.
    pub(super) fn logs_agree(&self) -> Result<(), String> {
        let mut known = BTreeMap::new();
        for (index, member) in self.members.iter().enumerate() {
            for (record, lsn) in member.log.iter().zip(1_u64..) {
                if *known.entry((lsn, record.0)).or_insert(record.1) != record.1 {
                    return Err(format!("record {lsn} of epoch {} is another one at member {index}", record.0));
                }
            }
            let mut given_up = member.detached.iter().flatten();
            if let Some(record) = given_up.find(|record| self.committed.contains(record)) {
                // It came back by the stream, if it is committed: then the log has it again.
                if !member.log.contains(record) {
                    return Err(format!("member {index} has given up {record:?}, which is committed"));
                }
            }
        }
        Ok(())
    }
}
