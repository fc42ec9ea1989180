//! A simulated member: its disk, and the decisions that run on it.

use crate::members::{
    Acceptor, EpochHistory, Leading, Promotion,
    acceptor::{Alarm, Begun, Start},
};
use littoral_model::position::{Epoch, Lsn};
use std::collections::BTreeMap;

/// A record: its epoch and a unique value.
pub type Record = (Epoch, u64);

/// A copy of a member's disk, for a later rollback.
#[derive(Clone)]
pub struct Copy {
    log: Vec<Record>,
    base: Lsn,
}

pub struct Member {
    /// On disk: the promise, the records up to `synced`, and the detached records.
    promise: Epoch,
    pub log: Vec<Record>,
    pub synced: usize,
    base: Lsn,
    pub detached: Vec<Vec<Record>>,
    pub acceptor: Acceptor,
    pub role: Role,
    /// The member whose stream is followed.
    pub follows: Option<usize>,
    /// The connection of its last join.
    pub connection: u64,
}

pub enum Role {
    Idle,
    Promoting(Promotion<usize>),
    /// With the next record to send to each follower.
    Leading(Leading<usize>, BTreeMap<usize, Next>),
}

pub struct Next {
    pub connection: u64,
    pub lsn: Lsn,
}

impl Member {
    /// Creates a member whose log is empty or has one record.
    pub fn new(begun: Option<Record>) -> Self {
        let mut member = Self {
            promise: Epoch(0),
            log: begun.into_iter().collect(),
            synced: 0,
            base: Lsn::NONE,
            detached: Vec::new(),
            acceptor: Acceptor::restored(Epoch(0), EpochHistory::default()),
            role: Role::Idle,
            follows: None,
            connection: 0,
        };
        member.crash(member.log.len());
        member
    }

    pub fn tail(&self) -> Lsn {
        Lsn(self.log.len() as u64)
    }

    /// Crashes: loses its memory, and all but `survive` of the unsynced records.
    pub fn crash(&mut self, survive: usize) {
        self.log.truncate(self.synced + survive);
        self.synced = self.log.len();
        let mut history = EpochHistory::default();
        for ((epoch, _), lsn) in self.log.iter().zip(1..) {
            history.push(*epoch, Lsn(lsn)).unwrap();
        }
        history.trim(self.base);
        self.acceptor = Acceptor::restored(self.promise, history);
        self.idle();
    }

    /// Copies what is durable now.
    pub fn copy(&self) -> Copy {
        Copy { log: self.log[..self.synced].to_vec(), base: self.base }
    }

    /// Rolls the disk back to an older copy. The member promises the epoch that it finds in the
    /// lease store.
    pub fn roll_back(&mut self, copy: &Copy, claimed: Epoch) {
        (self.log, self.base, self.promise) = (copy.log.clone(), copy.base, claimed);
        self.synced = self.log.len();
        self.crash(0);
    }

    pub fn idle(&mut self) {
        self.role = Role::Idle;
        (self.follows, self.connection) = (None, 0);
        self.acceptor.end_stream();
    }

    /// Makes everything durable, including the promise.
    pub fn sync(&mut self) {
        self.synced = self.log.len();
        self.promise = self.acceptor.promised();
    }

    pub fn begin(&mut self, start: Start) -> Result<Begun, Alarm> {
        let begun = self.acceptor.begin(start)?;
        match begun.detach {
            Some((first, last)) => {
                assert_eq!((first, last), (start.common.next(), self.tail()), "the whole tail is reported");
                self.detach_after(start.common);
            }
            None => assert_eq!(start.common, self.tail(), "nothing is cut without being reported"),
        }
        self.sync();
        Ok(begun)
    }

    fn detach_after(&mut self, last: Lsn) {
        let tail = self.log.split_off(last.0 as usize);
        self.detached.push(tail);
    }

    pub fn take(&mut self, lsn: Lsn, record: Record) -> Result<(), Alarm> {
        self.acceptor.take(record.0, lsn)?;
        self.log.push(record);
        assert_eq!(self.tail(), self.acceptor.history().tail());
        Ok(())
    }

    /// Replaces the whole log by one that ends at `last`.
    pub fn restart(&mut self, stream: Epoch, log: Vec<Record>) -> Result<(), Alarm> {
        let (last, epoch) = (Lsn(log.len() as u64), log.last().map_or(Epoch(0), |(epoch, _)| *epoch));
        self.acceptor.restart(stream, epoch, last)?;
        let same = self.log.iter().zip(&log).take_while(|(own, new)| own == new).count();
        if same < self.log.len() {
            self.detach_after(Lsn(same as u64));
        }
        (self.log, self.base) = (log, last);
        self.sync();
        Ok(())
    }

    /// Trims old records, but only durable ones.
    pub fn trim(&mut self) {
        self.base = self.acceptor.trim(Lsn(self.synced as u64));
    }
}
