//! Faults of leaders: they lose power, their disk, or everything after a backup, and some replaced leaders keep
//! running.

use crate::{
    event::Event,
    history::{Content, History, Write},
    leader::{Leader, region, request, write},
    network::Target,
    publish,
    world::{Backup, World},
};
use littoral_leader_core::{Imports, LogCommand};
use littoral_log::storage::{Faults, Memory};
use littoral_model::position::{Epoch, Incarnation, Lsn};
use littoral_protocol::frame::SubscriberHello;

impl World {
    pub(crate) fn crash(&mut self) -> Result<(), String> {
        if self.reverts {
            self.back_up();
            self.reverts_at = Some(self.now + self.random.ms(10, 80));
        }
        let disk = self.leader.disk.crash(self.random.any());
        let epoch = self.leader.epoch.next();
        let wall = self.leader.wall_offset_ms;
        let mut leader = Leader::open(disk, epoch, self.random.any())
            .map_err(|error| format!("a loss of power must not keep the log from opening: {error}"))?;
        leader.wall_offset_ms = wall;
        let mut before = std::mem::replace(&mut self.leader, leader);
        // The restarted process begins another life without having noticed that its host was restored.
        if std::mem::take(&mut self.reverted) {
            self.ambiguous.insert(self.leader_log);
        }
        self.note_new_life();
        self.no_acknowledged_write_is_lost()?;
        self.note(Event::LeaderCrashed { head: self.leader.head(), epoch });
        self.cut_all(Target::Leader);
        if self.random.one_in(3) {
            self.drop_old();
            before.deposed = true;
            (self.old, self.old_log) = (Some(before), self.leader_log);
            self.note(Event::DeposedServes);
        }
        Ok(())
    }

    /// No acknowledged write is lost, and an unacknowledged batch is restored completely or not at all.
    fn no_acknowledged_write_is_lost(&mut self) -> Result<(), String> {
        let found = self.leader.entries(Lsn::OLDEST, self.now)?;
        let count = self.history().entries.len();
        let head = self.leader.head().lsn;
        if head.0 < count as u64 {
            return Err(format!("acknowledged records after {head} are lost after a crash"));
        }
        let mut extra = Vec::new();
        for entry in found {
            match self.history().entry(entry.lsn) {
                Some(known) if known.chain == entry.chain => {}
                Some(_) => return Err(format!("acknowledged record {} has changed after a crash", entry.lsn)),
                None => extra.push(entry),
            }
        }
        let rows: Vec<&Write> = extra
            .iter()
            .filter_map(|entry| match &entry.content {
                Content::Write(write) => Some(write),
                _ => None,
            })
            .collect();
        let pending: Vec<&Write> = self.pending.iter().collect();
        if !rows.is_empty() && rows != pending {
            return Err(format!("records after {count} appeared that no client has written after a crash"));
        }
        self.pending.clear();
        let history = self.histories.entry(self.leader_log).or_default();
        extra.into_iter().try_for_each(|entry| history.push(entry))?;
        self.what_was_restored_is_the_history()
    }

    /// The disk and everything on it is lost, and an empty log starts. The old leader may keep running unaware.
    pub(crate) fn recreate_log(&mut self) -> Result<(), String> {
        let leader = Leader::open(Memory::new(), Epoch::FIRST, self.random.any())?;
        let before = std::mem::replace(&mut self.leader, leader);
        self.pending.clear();
        (self.backup, self.reverted) = (None, false);
        self.note(Event::LeaderLostDisk);
        self.cut_all(Target::Leader);
        self.reset_sessions();
        if self.random.one_in(2) {
            self.drop_old();
            (self.old, self.old_log) = (Some(before), self.leader_log);
            self.note(Event::OldLogContinues);
        }
        self.make_views()
    }

    pub(crate) fn back_up(&mut self) {
        let (disk, epoch) = (self.leader.disk.crash(self.random.any()), self.leader.epoch);
        self.backup = Some(Backup { disk, epoch, log: self.leader_log, reverted: self.reverted });
    }

    /// The disk is as it was at the backup. Later records are lost, but stay the history of every node that has not
    /// noticed.
    pub(crate) fn restore(&mut self) -> Result<(), String> {
        let Some(backup) = &self.backup else { return Ok(()) };
        let epoch = self.leader.epoch.next();
        let (disk, reverted, of) = (backup.disk.crash(self.random.any()), backup.reverted, backup.log);
        let leader = Leader::open(disk, epoch, self.random.any())?;
        let life = leader.head().incarnation;
        self.continue_as_fork(leader, (of, life))?;
        self.note_new_life();
        if reverted {
            self.ambiguous.insert(life);
        }
        self.note(Event::DiskRestored { head: self.leader.head() });
        Ok(())
    }

    /// The whole host, with the leader's process, is as it was at the backup: the log was not reopened, and no life of
    /// it has begun.
    pub(crate) fn revert(&mut self) -> Result<(), String> {
        let Some(backup) = &self.backup else { return Ok(()) };
        let (disk, epoch, of) = (backup.disk.crash(self.random.any()), backup.epoch, backup.log);
        let leader = Leader::open_as(region(), Imports::default(), disk, epoch, self.random.any(), false)?;
        let (history, fork) = (self.log_of(leader.head().incarnation), Incarnation(self.random.any()));
        self.ambiguous.insert(history);
        self.reverted_lives.insert(leader.head().incarnation);
        // Their repairs may concern records that will never exist; the product stops waiting after a while.
        for edge in &mut self.edges {
            if let Some((repair, _)) = edge.repair.take() {
                edge.anti_entropy.not_repaired(repair.round());
            }
        }
        self.continue_as_fork(leader, (of, fork))?;
        self.reverted = true;
        self.note(Event::HostReverted { head: self.leader.head() });
        Ok(())
    }

    /// Starts another life of the leader's log if this hello proves that the log was rolled back.
    pub(crate) fn detect_rollback(&mut self, edge: usize, hello: &SubscriberHello) -> Result<(), String> {
        if !publish::is_rolled_back(&self.leader, hello) {
            return Ok(());
        }
        if !std::mem::take(&mut self.reverted) {
            return Err(format!(
                "edge {edge} proves to the leader that its log was rolled back while it ran, but it was not"
            ));
        }
        let (life, from) = (Incarnation(self.random.any() | 1 << 63), self.leader.head().lsn.next());
        self.leader.disk.set_faults(Faults::default());
        let begun = self.leader.commit(vec![LogCommand::Begin { life, rolled_back: true }], self.now)?.remove(0);
        begun.map_err(|error| error.to_string())?;
        // A position in the new life identifies one record again.
        let history = self.history().clone();
        self.leader_log = self.leader.head().incarnation;
        self.histories.insert(self.leader_log, history);
        self.note(Event::RollbackDetected { edge, from });
        self.cut_all(Target::Leader);
        self.record(from)
    }

    /// Makes this the leader. Its log is an earlier state of a previous leader's log, and continues separately, with
    /// its own history.
    fn continue_as_fork(&mut self, leader: Leader, (base, fork): (Incarnation, Incarnation)) -> Result<(), String> {
        let before = self.histories.get(&base).map(|history| history.entries.clone()).unwrap_or_default();
        if self.reverted || self.ambiguous.contains(&base) {
            self.ambiguous.insert(fork);
        }
        (self.leader, self.leader_log, self.reverted) = (leader, fork, false);
        let found = self.leader.entries(Lsn::OLDEST, self.now)?;
        let oldest = found.first().map_or(self.leader.head().lsn.next(), |entry| entry.lsn);
        let mut history = History::default();
        for entry in before.into_iter().take_while(|entry| entry.lsn < oldest).chain(found) {
            history.push(entry)?;
        }
        self.histories.insert(fork, history);
        self.pending.clear();
        self.drop_old();
        self.cut_all(Target::Leader);
        Ok(())
    }

    pub(crate) fn drop_old(&mut self) {
        self.cut_all(Target::Old);
        self.old = None;
    }

    /// A leader of another log that keeps running accepts writes.
    pub(crate) fn write_to_old(&mut self) -> Result<(), String> {
        if self.old.as_ref().is_none_or(|old| old.deposed) {
            return Ok(());
        }
        let mut row = [write(&mut self.random, self.now)];
        self.restrict(&mut row);
        let request = request(&row, None);
        let Some(old) = &mut self.old else { return Ok(()) };
        let from = old.head().lsn.next();
        let command = old.check(request, self.now).map_err(|error| error.to_string())?;
        if old.commit(vec![command], self.now).is_ok() {
            let history = self.histories.entry(self.old_log).or_default();
            for entry in old.entries(from, self.now)? {
                history.push(entry)?;
            }
        }
        Ok(())
    }
}
