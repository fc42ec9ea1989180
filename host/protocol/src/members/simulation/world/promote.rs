//! Promotion: from winning the lease to leading.

use super::{Message, World};
use crate::members::{
    Leading, Promotion,
    acceptor::Start,
    promotion::Step,
    simulation::member::{Record, Role},
};
use littoral_model::position::{Epoch, Lsn};
use std::collections::BTreeMap;

impl World {
    /// A member wins the lease. The only guarantee is that no epoch is assigned twice.
    pub(super) fn win(&mut self, me: usize) -> Result<(), String> {
        let floor = self.claim.1.max(self.members[me].acceptor.promised());
        let epoch = floor.next();
        self.claim = (me, epoch);
        self.members[me].idle();
        for member in &mut self.members {
            if let Role::Leading(_, followers) = &mut member.role {
                followers.remove(&me);
            }
        }
        let member = &mut self.members[me];
        if member.acceptor.prepare(epoch).is_err() {
            return Err("an epoch above the member's own promise was rejected".into());
        }
        member.sync();
        let mut promotion = Promotion::new(epoch, me, (0..self.cut_off.len()).collect(), self.claimed);
        promotion.promised(me, member.acceptor.history().clone());
        member.role = Role::Promoting(promotion);
        self.prepare_all()?;
        self.promote(me)
    }

    pub(super) fn promote(&mut self, me: usize) -> Result<(), String> {
        let Role::Promoting(promotion) = &self.members[me].role else { return Ok(()) };
        let epoch = promotion.epoch();
        match promotion.step() {
            Step::Gather { .. } => Ok(()),
            Step::Lacking { .. } => {
                self.counts.lacking += 1;
                Ok(())
            }
            Step::Leave { .. } => {
                self.members[me].idle();
                Ok(())
            }
            Step::Fetch { from, common, until } => {
                self.send(me, from, Message::Fetch(epoch, common, until));
                Ok(())
            }
            Step::Begin => self.begin(me, epoch),
        }
    }

    fn begin(&mut self, me: usize, epoch: Epoch) -> Result<(), String> {
        let everyone = (0..self.members.len()).collect();
        self.counts.leaderships += 1;
        self.values += 1;
        let (value, member) = (self.values, &mut self.members[me]);
        let kept = member.log.iter().zip(&self.committed).take_while(|(own, committed)| own == committed).count();
        if kept < self.committed.len() {
            return Err(format!("member {me} leads in epoch {epoch} without committed record {}", kept + 1));
        }
        let start = Start { epoch, common: member.tail(), committed: Lsn::NONE };
        let begin = member.tail().next();
        let begun = member.begin(start).and_then(|_| member.take(begin, (epoch, value)));
        begun.map_err(|alarm| format!("member {me} cannot begin: {alarm}"))?;
        member.role = Role::Leading(Leading::new(epoch, me, everyone, begin), BTreeMap::new());
        Ok(())
    }

    pub(super) fn fetch(&mut self, me: usize, to: usize, epoch: Epoch, common: Lsn, until: Lsn) {
        // A member that has promised the epoch, and nothing since, still has the log that it
        // reported.
        let member = &self.members[me];
        if member.acceptor.promised() == epoch && member.tail() == until {
            let records = member.log[common.0 as usize..].to_vec();
            self.send(me, to, Message::Fetched(epoch, common, records));
        }
    }

    pub(super) fn fetched(
        &mut self,
        me: usize,
        from: usize,
        epoch: Epoch,
        common: Lsn,
        records: Vec<Record>,
    ) -> Result<(), String> {
        let current = matches!(&self.members[me].role, Role::Promoting(promotion)
            if promotion.epoch() == epoch && matches!(promotion.step(), Step::Fetch { from: source, .. } if source == from));
        if !current {
            return Ok(());
        }
        let member = &mut self.members[me];
        let done = member.begin(Start { epoch, common, committed: Lsn::NONE }).and_then(|begun| {
            self.counts.detached += u64::from(begun.detach.is_some());
            (common.0 + 1..).zip(&records).try_for_each(|(lsn, record)| member.take(Lsn(lsn), *record))
        });
        done.map_err(|alarm| format!("member {me} fetches and raises an alarm: {alarm}"))?;
        member.sync();
        let history = member.acceptor.history().clone();
        if let Role::Promoting(promotion) = &mut member.role {
            promotion.promised(me, history);
        }
        self.promote(me)
    }
}
