//! What becomes of leaders: they lose power, their disk, or what came after a backup, and some that were replaced live on.

use crate::{
    history::{History, What, Write},
    leader::{Leader, request, write},
    network::Target,
    world::{EDGES, World},
};
use littoral_edge_core::follower::Fault;
use littoral_log::storage::Memory;
use littoral_model::position::{Epoch, Lsn};

impl World {
    pub(crate) fn crash(&mut self) -> Result<(), String> {
        let left = self.leader.disk.crash(self.random.any());
        let epoch = self.leader.epoch.next();
        let wall = self.leader.wall;
        let mut leader = Leader::open(left, epoch, self.random.any())
            .map_err(|error| format!("a loss of power must not keep the log from opening: {error}"))?;
        leader.wall = wall;
        let mut before = std::mem::replace(&mut self.leader, leader);
        self.no_acknowledged_write_is_lost()?;
        self.note(format!("the leader lost power and is back at {} under epoch {epoch}", self.leader.head()));
        self.cut_all(Target::Leader);
        if self.random.one_in(3) {
            self.lose_old();
            before.deposed = true;
            self.old = Some(before);
            self.note("the one before does not know it and still serves".to_owned());
        }
        Ok(())
    }

    /// No acknowledged write is lost, and what comes back unacknowledged is whole.
    fn no_acknowledged_write_is_lost(&mut self) -> Result<(), String> {
        let found = self.leader.entries(Lsn::OLDEST, self.now)?;
        let tail = self.history().entries.len();
        let head = self.leader.head().lsn;
        if head.0 < tail as u64 {
            return Err(format!("acknowledged records behind {head} are lost after a crash"));
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
            .filter_map(|entry| match &entry.what {
                What::Write(write) => Some(write),
                _ => None,
            })
            .collect();
        let pending: Vec<&Write> = self.pending.iter().collect();
        if !rows.is_empty() && rows != pending {
            return Err(format!("records behind {tail} came out of nowhere after a crash"));
        }
        self.pending.clear();
        let history = self.histories.entry(self.leader.head().incarnation).or_default();
        extra.into_iter().try_for_each(|entry| history.push(entry))?;
        self.what_was_restored_is_the_history()
    }

    /// The disk is lost, and with it everything: another life of the log begins. The one before may not know it.
    pub(crate) fn begin_anew(&mut self) -> Result<(), String> {
        let leader = Leader::open(Memory::new(), Epoch::FIRST, self.random.any())?;
        let before = std::mem::replace(&mut self.leader, leader);
        self.pending.clear();
        self.backup = None;
        self.note("the leader lost its disk and begins anew".to_owned());
        self.cut_all(Target::Leader);
        self.forget_sessions();
        if self.random.one_in(2) {
            self.lose_old();
            self.old = Some(before);
            self.note("the one before goes on with its own log".to_owned());
        }
        self.make_views()
    }

    /// The disk is what it was when the backup was made: what came later is lost, and known to be.
    pub(crate) fn restore(&mut self) -> Result<(), String> {
        let Some(backup) = &self.backup else { return Ok(()) };
        let epoch = self.leader.epoch.next();
        self.leader = Leader::open(backup.crash(self.random.any()), epoch, self.random.any())?;
        let log = self.leader.head().incarnation;
        let found = self.leader.entries(Lsn::OLDEST, self.now)?;
        let oldest = found.first().map_or(self.leader.head().lsn.next(), |entry| entry.lsn);
        let mut history = History::default();
        let before = self.histories.remove(&log).unwrap_or_default();
        for entry in before.entries.into_iter().take_while(|entry| entry.lsn < oldest).chain(found) {
            history.push(entry)?;
        }
        self.histories.insert(log, history);
        self.pending.clear();
        self.lose_old();
        (0..EDGES).for_each(|edge| self.cut(edge, &Fault::Lost, "the leader is gone"));
        (0..EDGES).for_each(|edge| self.cut_calls(edge, true));
        // What they were to be mended with is of records that will not come; the product gives up waiting after a while.
        for edge in &mut self.edges {
            if let Some((mending, _)) = edge.mending.take() {
                edge.prover.not_repaired(mending.round());
            }
        }
        self.forget_sessions();
        self.seen = vec![(None, Lsn::NONE); EDGES];
        self.edges.iter_mut().for_each(|edge| edge.outlived = edge.replica().is_some());
        self.note(format!("the leader's disk was restored from a backup and ends at {}", self.leader.head()));
        Ok(())
    }

    pub(crate) fn lose_old(&mut self) {
        self.cut_all(Target::Old);
        self.old = None;
    }

    /// A leader of another log that lives on takes writes of its own.
    pub(crate) fn write_to_old(&mut self) -> Result<(), String> {
        let Some(old) = self.old.as_mut().filter(|old| !old.deposed) else { return Ok(()) };
        let from = old.head().lsn.next();
        let request = request(&[write(&mut self.random, self.now)], None);
        let work = old.check(request, self.now).map_err(|error| error.to_string())?;
        if old.commit(vec![work], self.now).is_ok() {
            let history = self.histories.entry(old.head().incarnation).or_default();
            for entry in old.entries(from, self.now)? {
                history.push(entry)?;
            }
        }
        Ok(())
    }
}
