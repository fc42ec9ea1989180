//! This process's part in keeping the region's log: what it has promised, whom it follows or what those that follow it have.
//!
//! Everything that bears on what is committed is decided under one lock, and what is promised there is durable before the lock is
//! let go of: an epoch that was promised is never followed by a record of an older one.

mod following;
mod freshness;
mod leading;

use super::{Seat, Turns};
use freshness::Freshness;
use leading::Leadership;
use littoral_feed::client::CallClient;
use littoral_lease as lease;
use littoral_log::Log;
use littoral_model::{
    position::{Epoch, Lsn},
    write::WriteError,
};
use littoral_protocol::members::{Follower, Mark};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::watch;

pub(crate) use following::BeginError;

/// What this member is.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// It does not lead. With the way to who does, while that is there.
    Following(Option<Leader>),
    /// It has won the lease, and is not through with what comes before leading.
    Taking(Epoch),
    /// It leads.
    Leading(Epoch),
    /// It takes part no more: its log is opened anew, or it stops.
    Over,
}

/// Who leads, as who follows sees it.
#[derive(Clone, Debug)]
pub(crate) struct Leader {
    pub(crate) name: String,
    pub(crate) calls: CallClient,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) me: String,
    pub(crate) seats: Vec<Seat>,
    pub(crate) lease: lease::Handle,
    pub(crate) timing: lease::Timing,
    pub(crate) turns: Turns,
    pub(crate) log: Arc<dyn Log>,
    inner: Mutex<Inner>,
    role: watch::Sender<Role>,
    /// The last record that is durable at this leader: what fetches wait for.
    durable: watch::Sender<Lsn>,
    freshness: Mutex<Freshness>,
    pub(super) runtime: tokio::runtime::Handle,
}

#[derive(Debug)]
struct Inner {
    follower: Follower,
    leading: Option<Leadership>,
    sessions: u64,
}

impl Part {
    pub(crate) fn new(
        (me, seats): (String, Vec<Seat>),
        (lease, timing): (lease::Handle, lease::Timing),
        log: Arc<dyn Log>,
        applied: Lsn,
        runtime: tokio::runtime::Handle,
    ) -> Self {
        let mut follower = Follower::restored(log.promised(), log.history());
        follower.know_committed(applied);
        let turns = Turns::default();
        turns.committed(applied);
        let (incarnation, epoch) = (log.identity().incarnation, log.history().epoch_at(applied).unwrap_or(Epoch(0)));
        lease.know_committed(lease::Committed { incarnation, epoch, lsn: applied });
        Self {
            me,
            seats,
            lease,
            timing,
            turns,
            log,
            inner: Mutex::new(Inner { follower, leading: None, sessions: 0 }),
            role: watch::Sender::new(Role::Following(None)),
            durable: watch::Sender::new(Lsn::NONE),
            freshness: Mutex::new(Freshness::as_of(applied)),
            runtime,
        }
    }

    pub(crate) fn role(&self) -> watch::Receiver<Role> {
        self.role.subscribe()
    }

    /// The epoch in which this member takes writes now.
    pub(crate) fn leads(&self) -> Option<Epoch> {
        match *self.role.borrow() {
            Role::Leading(epoch) => Some(epoch),
            Role::Taking(_) | Role::Following(_) | Role::Over => None,
        }
    }

    /// A committed record of this log, for the claims.
    fn at(&self, Mark { epoch, lsn }: Mark) -> lease::Committed {
        lease::Committed { incarnation: self.log.identity().incarnation, epoch, lsn }
    }

    /// What the newest claim to the lease says to be committed in this log: whoever leads next must have it.
    pub(crate) fn claimed(&self) -> Mark {
        let standing = self.lease.standing();
        let claimed = standing.borrow().claim.as_ref().map(|claim| claim.committed).unwrap_or_default();
        // Of a log that was begun apart, or is lost everywhere, it says nothing.
        let same = claimed.incarnation == self.log.identity().incarnation;
        if same { Mark { epoch: claimed.epoch, lsn: claimed.lsn } } else { Mark::default() }
    }

    /// Whether it leads and no other can have led until now.
    pub(crate) fn leads_surely(&self) -> bool {
        self.leads().is_some_and(|epoch| self.lease.confirm(epoch).is_ok())
    }

    /// Whether what was made durable in this epoch may be acknowledged.
    pub(crate) fn confirm(&self, epoch: Epoch) -> Result<(), WriteError> {
        let unknown = |reason: String| Err(WriteError::LeaderUnavailable(reason));
        if self.leads() != Some(epoch) {
            return unknown("this member leads no more".to_owned());
        }
        self.lease.confirm(epoch).or_else(|fenced| unknown(fenced.to_string()))
    }

    /// Where the leader is, while this member follows one.
    pub(crate) fn leader(&self) -> Option<Leader> {
        match &*self.role.borrow() {
            Role::Following(leader) => leader.clone(),
            Role::Taking(_) | Role::Leading(_) | Role::Over => None,
        }
    }

    /// The way to the leader is there, or gone. Nothing changes for who leads.
    pub(crate) fn follows(&self, leader: Option<Leader>) {
        if leader.is_none() {
            self.freshness.lock().parted();
        }
        self.role.send_if_modified(|role| {
            let follows = matches!(role, Role::Following(_));
            if follows {
                *role = Role::Following(leader);
            }
            follows
        });
    }
}

impl Inner {
    /// What is committed, as far as is known.
    fn committed(&self) -> Lsn {
        let led = self.leading.as_ref().map_or(Lsn::NONE, |leading| leading.committed());
        led.max(self.follower.committed())
    }

    /// The record that is the last committed one.
    fn mark(&self, committed: Lsn) -> Mark {
        let led = self.leading.as_ref().filter(|leading| leading.committed() == committed);
        let epoch = match led {
            // A leadership commits nothing before the record that begins it.
            Some(leading) => leading.epoch(),
            None => self.follower.history().epoch_at(committed).unwrap_or(Epoch(0)),
        };
        Mark { epoch, lsn: committed }
    }

    /// The log is what its disk says.
    fn resync(&mut self, log: &dyn Log) {
        let committed = self.committed();
        let promised = self.follower.promised().max(log.promised());
        self.follower = Follower::restored(promised, log.history());
        self.follower.know_committed(committed);
    }
}
