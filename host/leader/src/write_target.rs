//! The target of writes that reach this node: its own log, or the leader.

use crate::replication::{Replication, Role};
use littoral_feed::client::CallClient;
use littoral_model::write::WriteError;
use std::time::Duration;
use tokio::time::timeout;

/// How long a write waits for a leader: a little longer than a change of leader takes with the default lease.
const WAIT_MAX: Duration = Duration::from_secs(3);

/// The node that appends a write.
pub(crate) enum WriteTarget {
    /// This node.
    Here,
    /// The leader.
    Leader(CallClient),
}

/// Returns the target of a write, as soon as a node leads.
///
/// # Errors
/// No node leads in time, or this node's log is closed.
pub(crate) async fn find(replication: &dyn Replication) -> Result<WriteTarget, WriteError> {
    let mut role = replication.role();
    let is_known = |role: &Role| match role {
        Role::Leading(_) | Role::Closed => true,
        Role::Following(leader) => leader.as_ref().is_some_and(|leader| leader.calls.is_connected()),
        Role::Candidate(_) => false,
    };
    let known = timeout(WAIT_MAX, role.wait_for(is_known)).await;
    let no_leader = || {
        let ms = WAIT_MAX.as_millis();
        WriteError::LeaderUnavailable(format!("no member of the region has become leader within {ms} ms"))
    };
    match known {
        Ok(Ok(role)) => match &*role {
            Role::Following(Some(leader)) => Ok(WriteTarget::Leader(leader.calls.clone())),
            Role::Leading(_) => Ok(WriteTarget::Here),
            Role::Closed => Err(WriteError::NotLeader(
                "this member is reopening its log or shutting down; retry shortly".to_owned(),
            )),
            Role::Following(None) | Role::Candidate(_) => Err(no_leader()),
        },
        _ => Err(no_leader()),
    }
}
