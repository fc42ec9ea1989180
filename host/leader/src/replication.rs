//! The seam between a leader and whatever makes its log the log of the region.
//!
//! A leader appends records to a log on its own disk. Its [`Replication`] decides when they are committed, whether the
//! leader may append and acknowledge, and how fresh its rows are. [`Alone`] is for a log that no other node keeps, and
//! the members of `littoral-members` for a log that a majority keeps. The replicas need not be Littoral's own
//! processes: an implementation only states up to which record the log is committed.
//!
//! ```text
//! commit thread:  may_append ─▶ append + fsync ─▶ appended ─▶ CommitWaiters
//! replication:                                    committed ─▶ CommitWaiters
//! apply thread:   CommitWaiters ─▶ table ─▶ applied ─▶ may_acknowledge ─▶ answer
//! ```

use littoral_feed::client::CallClient;
use littoral_model::{
    position::{Epoch, Lsn},
    write::WriteError,
};
use std::{fmt, time::Duration};
use tokio::sync::watch;

/// Makes a node's log the log of its region.
///
/// Every method is called from several threads and returns without disk or network work.
pub trait Replication: fmt::Debug + Send + Sync + 'static {
    /// Returns whether this node may append records of `epoch` now.
    fn may_append(&self, epoch: Epoch) -> bool;

    /// Notes that records of `epoch` up to `last` are durable in this node's log. Returns the last record of the log
    /// that is committed; later ones are reported to [`crate::CommitWaiters::committed`].
    fn appended(&self, epoch: Epoch, last: Lsn) -> Lsn;

    /// Checks whether writes that were appended in `epoch` may be acknowledged now.
    ///
    /// # Errors
    /// Why their outcome is unknown here.
    fn may_acknowledge(&self, epoch: Epoch) -> Result<(), WriteError>;

    /// Notes that every record up to `lsn` is applied and visible.
    fn applied(&self, lsn: Lsn);

    /// Returns how fresh rows as of `applied` are.
    fn freshness(&self, applied: Lsn) -> RowFreshness;

    /// Returns this node's role, now and whenever it changes. A follower's role holds the connection to the leader.
    fn role(&self) -> watch::Receiver<Role>;

    /// Returns gauges for the node's status.
    fn gauges(&self) -> Vec<(String, f64)>;

    /// Sets the metrics of its own.
    fn record_metrics(&self) {}
}

/// How fresh a node's rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowFreshness {
    /// Whether this node leads, and no other node can have begun to lead by now.
    pub leads: bool,
    /// Upper bound of how far the rows are behind the leader; `None` if this node has not heard from a leader yet.
    pub staleness: Option<Duration>,
}

/// A node's role in the region's log.
#[derive(Clone, Debug)]
pub enum Role {
    /// Another node leads. Holds the connection to it while there is one.
    Following(Option<LeaderPeer>),
    /// This node has won the lease and accepts no writes yet.
    Candidate(Epoch),
    /// This node leads.
    Leading(Epoch),
    /// The log is closed: it is being reopened, or the node stops.
    Closed,
}

/// The leader as its followers reach it.
#[derive(Clone, Debug)]
pub struct LeaderPeer {
    /// Its name.
    pub name: String,
    /// The connection to its peer listener.
    pub calls: CallClient,
}

impl Role {
    /// Returns the epoch in which this node leads.
    #[must_use]
    pub const fn leading(&self) -> Option<Epoch> {
        match self {
            Self::Leading(epoch) => Some(*epoch),
            Self::Following(_) | Self::Candidate(_) | Self::Closed => None,
        }
    }

    /// Returns the leader, when that is another node with an open connection.
    #[must_use]
    pub const fn leader(&self) -> Option<&LeaderPeer> {
        match self {
            Self::Following(leader) => leader.as_ref(),
            Self::Candidate(_) | Self::Leading(_) | Self::Closed => None,
        }
    }
}

/// Which nodes can append to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writers {
    /// This node alone. All of its log is committed, each opening starts a life of the log, and no other node can ever
    /// append.
    ThisNode,
    /// One node at a time, which may change at any moment.
    OneAtATime,
}

/// The replication of a log that no other node keeps: what is durable here is committed.
#[derive(Debug)]
pub(crate) struct Alone(watch::Sender<Role>);

impl Alone {
    pub(crate) fn new(epoch: Epoch) -> Self {
        Self(watch::Sender::new(Role::Leading(epoch)))
    }
}

impl Replication for Alone {
    fn may_append(&self, _: Epoch) -> bool {
        true
    }

    fn appended(&self, _: Epoch, last: Lsn) -> Lsn {
        last
    }

    fn may_acknowledge(&self, _: Epoch) -> Result<(), WriteError> {
        Ok(())
    }

    fn applied(&self, _: Lsn) {}

    fn freshness(&self, _: Lsn) -> RowFreshness {
        RowFreshness { leads: true, staleness: Some(Duration::ZERO) }
    }

    fn role(&self) -> watch::Receiver<Role> {
        self.0.subscribe()
    }

    fn gauges(&self) -> Vec<(String, f64)> {
        Vec::new()
    }
}
