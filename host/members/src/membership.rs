//! This node's membership: its promise, the leader that it follows, and its followers' positions.
//!
//! It has three locks. They are taken in this order, after the log's append lock:
//!
//! - `writing` is held during disk work: a promise, a cut, an append. Only threads that may block take it. It ensures
//!   that no record of an older epoch follows a promise.
//! - `state` is held in memory only. Tasks and the node's status take it.
//! - `freshness` is held in memory only, and no other lock is taken under it.

mod following;
mod freshness;
mod leading;

use crate::peers::Links;
use freshness::Freshness;
use leading::Leadership;
use littoral_leader::{CommitWaiters, LeaderPeer, MemberAddress, Role};
use littoral_lease as lease;
use littoral_log::Log;
use littoral_model::position::{Epoch, Lsn};
use littoral_protocol::members::{Acceptor, RecordId};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::watch;

pub(crate) use following::BeginError;
pub(crate) use leading::Admission;

/// A member's role in the region's log, and its promise.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) me: String,
    pub(crate) members: Vec<MemberAddress>,
    pub(crate) lease: lease::Handle,
    pub(crate) timing: lease::Timing,
    pub(crate) links: Links,
    pub(crate) log: Arc<dyn Log>,
    commits: Arc<CommitWaiters>,
    writing: Mutex<()>,
    state: Mutex<State>,
    role: watch::Sender<Role>,
    /// The last record that is durable at this leader. Fetches wait for it.
    durable: watch::Sender<Lsn>,
    freshness: Mutex<Freshness>,
}

/// What the membership of each opening of the log has in common: this member, the others, and the lease.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) me: String,
    pub(crate) members: Vec<MemberAddress>,
    pub(crate) lease: lease::Handle,
    pub(crate) timing: lease::Timing,
    pub(crate) links: Links,
}

/// The state that requests of other members read and change.
#[derive(Debug)]
struct State {
    acceptor: Acceptor,
    leading: Option<Leadership>,
    /// The number of sessions so far; the newest session has this number.
    sessions: u64,
}

impl Membership {
    /// Creates the membership of a log that was just opened.
    pub(crate) fn new(identity: Identity, fresh: littoral_leader::FreshLog) -> Self {
        let Identity { me, members, lease, timing, links } = identity;
        let littoral_leader::FreshLog { log, applied, commits } = fresh;
        let mut acceptor = Acceptor::restored(log.promised(), log.history());
        acceptor.know_committed(applied);
        let (incarnation, epoch) = (log.identity().incarnation, log.history().epoch_at(applied).unwrap_or(Epoch(0)));
        lease.note_committed(lease::Committed { incarnation, epoch, lsn: applied });
        Self {
            me,
            members,
            lease,
            timing,
            links,
            log,
            commits,
            writing: Mutex::default(),
            state: Mutex::new(State { acceptor, leading: None, sessions: 0 }),
            role: watch::Sender::new(Role::Following(None)),
            durable: watch::Sender::new(Lsn::NONE),
            freshness: Mutex::new(Freshness::as_of(applied)),
        }
    }

    pub(crate) fn watch_role(&self) -> watch::Receiver<Role> {
        self.role.subscribe()
    }

    /// Returns the epoch in which this member accepts writes now.
    pub(crate) fn leads(&self) -> Option<Epoch> {
        self.role.borrow().leading()
    }

    /// Returns the epoch in which this member leads or is a candidate.
    pub(crate) fn own_epoch(&self) -> Option<Epoch> {
        match *self.role.borrow() {
            Role::Candidate(epoch) | Role::Leading(epoch) => Some(epoch),
            Role::Following(_) | Role::Closed => None,
        }
    }

    /// Converts a committed record of this log to the form of the lease's claims.
    fn lease_position(&self, RecordId { epoch, lsn }: RecordId) -> lease::Committed {
        lease::Committed { incarnation: self.log.identity().incarnation, epoch, lsn }
    }

    /// Returns the last record that the newest claim to the lease names as committed in this log. The next leader must
    /// have it.
    pub(crate) fn claimed(&self) -> RecordId {
        let lease = self.lease.state();
        let claimed = lease.borrow().claim.as_ref().map(|claim| claim.committed).unwrap_or_default();
        // This log has no such record if it was created separately, or if the claimed log is lost everywhere.
        let is_same = claimed.incarnation == self.log.identity().incarnation;
        if is_same { RecordId { epoch: claimed.epoch, lsn: claimed.lsn } } else { RecordId::default() }
    }

    /// Returns whether this member leads, and its lease shows that no other member can have led until now.
    pub(crate) fn leads_confirmed(&self) -> bool {
        self.leads().is_some_and(|epoch| self.lease.confirm(epoch).is_ok())
    }

    /// Returns the leader that this member follows and is connected to.
    pub(crate) fn leader(&self) -> Option<LeaderPeer> {
        self.role.borrow().leader().cloned()
    }

    /// Sets the leader that is connected; `None` if none is. Changes nothing while this member leads.
    pub(crate) fn set_leader(&self, leader: Option<LeaderPeer>) {
        if leader.is_none() {
            self.freshness.lock().disconnected();
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

impl State {
    /// Returns the last record that is known to be committed.
    fn committed(&self) -> Lsn {
        let led = self.leading.as_ref().map_or(Lsn::NONE, |leading| leading.committed());
        led.max(self.acceptor.committed())
    }

    /// Returns the epoch and the LSN of the last committed record.
    fn record_id(&self, committed: Lsn) -> RecordId {
        let led = self.leading.as_ref().filter(|leading| leading.committed() == committed);
        let epoch = match led {
            // A leadership commits nothing before the record that begins it.
            Some(leading) => leading.epoch(),
            None => self.acceptor.history().epoch_at(committed).unwrap_or(Epoch(0)),
        };
        RecordId { epoch, lsn: committed }
    }

    /// Restores the acceptor from the log's promise and history. Keeps what is known to be committed.
    fn resync(&mut self, log: &dyn Log) {
        let committed = self.committed();
        let promised = self.acceptor.promised().max(log.promised());
        self.acceptor = Acceptor::restored(promised, log.history());
        self.acceptor.know_committed(committed);
    }
}
