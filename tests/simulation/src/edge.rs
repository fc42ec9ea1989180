//! An edge: the product's subscriber, staleness and table. What stands between them is here.

use crate::leader::{FULL, RESIDENT, commit_of, row_of};
use bytes::Bytes;
use littoral_model::{
    merge::MergePolicy,
    position::{Epoch, Incarnation, Lsn},
};
use littoral_protocol::{
    frame::{Downstream, Resume, Views},
    staleness::Staleness,
    subscriber::{Block, BlockCheck, Effect, Remedy, Subscriber, Violation},
};
use littoral_replica::{Config, Mode, Residency, Table};
use littoral_wire::{records, rows};
use std::{sync::Arc, time::Duration};

/// Streams that may be at fault at one position before a snapshot is taken.
const SAME_FAULT_MAX: u32 = 3;

/// One life of an edge's process.
pub struct Edge {
    /// What it serves from.
    pub replica: Option<(Arc<Table>, Resume)>,
    /// The stream's protocol.
    pub subscriber: Option<Subscriber>,
    /// How old its rows are.
    pub staleness: Staleness,
    /// The log it followed last, and the newest epoch there.
    pub followed: Option<(Incarnation, Epoch)>,
    /// What its clock shows when the world begins.
    pub clock: Duration,
    making: Option<(Arc<Table>, Resume)>,
    needs_snapshot: bool,
    stuck: (Option<Resume>, u32),
}

impl Edge {
    /// An edge that has nothing.
    #[must_use]
    pub fn new(clock: Duration) -> Self {
        let (staleness, stuck) = (Staleness::default(), (None, 0));
        Self {
            replica: None,
            subscriber: None,
            staleness,
            followed: None,
            clock,
            making: None,
            needs_snapshot: false,
            stuck,
        }
    }

    /// A new stream begins.
    pub fn subscribe(&mut self) -> littoral_protocol::frame::SubscriberHello {
        let resume = self.replica.as_ref().filter(|_| !self.needs_snapshot).map(|(_, resume)| *resume);
        let subscriber = Subscriber::new(resume, self.followed, Views::All);
        let hello = subscriber.hello("edge");
        self.subscriber = Some(subscriber);
        if let Some(resume) = resume {
            self.staleness.applied(resume.position.lsn);
        }
        hello
    }

    /// A message has come. Whether the stream goes on.
    pub fn take(&mut self, message: Downstream) -> Result<bool, Violation> {
        let Some(subscriber) = &mut self.subscriber else { return Ok(false) };
        match subscriber.receive(message)? {
            Effect::Greeted(hello) => self.followed = Some((hello.head.incarnation, subscriber.epoch())),
            Effect::BeginSnapshot { as_of, chain, .. } => {
                let config = Config { shards: 1, resident_bytes: Some(1 << 30), floor: as_of.lsn, ..Config::default() };
                let table = Table::new(config);
                table.set_residency(FULL, Residency::Full);
                table.set_residency(RESIDENT, Residency::Resident);
                self.making = Some((Arc::new(table), Resume { position: as_of, chain }));
            }
            Effect::TakeRows { bytes, .. } => self.take_rows(&bytes)?,
            Effect::FinishSnapshot => {
                let other = |made: &Resume, held: &Resume| made.position.incarnation != held.position.incarnation;
                if let Some((table, resume)) = self.making.take() {
                    if self.needs_snapshot || self.replica.as_ref().is_some_and(|(_, held)| other(&resume, held)) {
                        self.staleness.forget();
                    }
                    self.needs_snapshot = false;
                    self.staleness.applied(resume.position.lsn);
                    self.replica = Some((table, resume));
                }
            }
            Effect::Apply(block) => self.apply(&block)?,
            Effect::Heard { head, echo, behind, .. } => self.staleness.echo(echo, head.lsn, behind),
            Effect::Compare(_) => {}
            Effect::End { .. } => return Ok(false),
        }
        Ok(true)
    }

    fn take_rows(&mut self, bytes: &Bytes) -> Result<(), Violation> {
        let Some((table, _)) = &self.making else { return Ok(()) };
        for row in rows::iter(bytes) {
            let row = row.map_err(|error| Violation::Damaged(error.to_string()))?;
            if let Some(row) = row.filter(|row| row.view == FULL) {
                table.apply(row.to_row(), MergePolicy::LatestEvent, Mode::InsertAll);
            }
        }
        Ok(())
    }

    fn apply(&mut self, block: &Block) -> Result<(), Violation> {
        let (Some((table, resume)), Some(subscriber)) = (&mut self.replica, &mut self.subscriber) else {
            return Ok(());
        };
        let mut check = BlockCheck::new(block);
        let mut commits = Vec::new();
        for record in records::iter(&block.bytes) {
            let record = record.map_err(|error| Violation::Damaged(error.to_string()))?;
            check.record(&record)?;
            commits.extend(commit_of(&record));
        }
        let epoch = check.finish()?;
        for commit in commits {
            let mode = if commit.view == FULL { Mode::InsertAll } else { Mode::UpdateHeld };
            table.apply(row_of(&commit), MergePolicy::LatestEvent, mode);
        }
        subscriber.applied(block, epoch);
        *resume = subscriber.resume().unwrap_or(*resume);
        self.followed = Some((resume.position.incarnation, subscriber.epoch()));
        self.staleness.applied(block.last);
        Ok(())
    }

    /// The stream has ended.
    pub fn disconnected(&mut self, violation: Option<&Violation>) {
        self.subscriber = None;
        self.making = None;
        self.staleness.disconnected();
        let at = self.replica.as_ref().map(|(_, resume)| *resume);
        match violation.map(Violation::remedy) {
            Some(Remedy::ResumeOrSnapshot) => {
                let times = if self.stuck.0 == at { self.stuck.1 + 1 } else { 1 };
                self.stuck = (at, times);
                self.needs_snapshot |= times >= SAME_FAULT_MAX;
            }
            Some(Remedy::Snapshot) => self.needs_snapshot = true,
            Some(Remedy::Resume) | None => {}
        }
    }

    /// Everything up to here is applied.
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        self.replica.as_ref().map_or(Lsn::NONE, |(_, resume)| resume.position.lsn)
    }
}
