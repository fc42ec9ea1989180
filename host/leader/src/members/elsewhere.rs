//! Writes that reach a member which does not lead: they are passed on, and wait a moment when nobody leads yet.

use super::{Part, Role};
use littoral_feed::client::CallClient;
use littoral_model::write::WriteError;
use std::time::Duration;
use tokio::time::timeout;

/// How long a write waits for somebody to lead: a little more than a change of leader takes with the default lease.
const WAIT_MAX: Duration = Duration::from_secs(3);

/// Where a write goes.
pub(crate) enum Whither {
    /// This member leads.
    Here,
    /// To the leader.
    To(CallClient),
}

impl Part {
    /// Where a write goes now, or as soon as somebody leads.
    pub(crate) async fn whither(&self) -> Result<Whither, WriteError> {
        let mut role = self.role();
        let known = |role: &Role| match role {
            Role::Leading(_) | Role::Over => true,
            Role::Following(leader) => leader.as_ref().is_some_and(|leader| leader.calls.is_connected()),
            Role::Taking(_) => false,
        };
        let known = timeout(WAIT_MAX, role.wait_for(known)).await;
        let nobody = || {
            let ms = WAIT_MAX.as_millis();
            WriteError::LeaderUnavailable(format!("no member of the region has come to lead within {ms} ms"))
        };
        match known {
            Ok(Ok(role)) => match &*role {
                Role::Following(Some(leader)) => Ok(Whither::To(leader.calls.clone())),
                Role::Leading(_) => Ok(Whither::Here),
                Role::Over => Err(WriteError::NotLeader("its log is opened anew, or it stops; try again".to_owned())),
                Role::Following(None) | Role::Taking(_) => Err(nobody()),
            },
            _ => Err(nobody()),
        }
    }
}
