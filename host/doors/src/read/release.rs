//! Waiting for a module's release that was put a moment ago: a node prepares it for as long as compiling it takes.

use crate::{failure::Failure, plan::Plan, state::State};
use littoral_model::{
    freshness::{OnUnmet, ReadDemand},
    read::ReadError,
};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// For how long a read waits for a module of which no release can be called here yet.
const FIRST_MAX: Duration = Duration::from_secs(10);

/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What one read still waits for.
pub(super) struct Patience {
    began: Instant,
    /// Whether a token is demanded, which may stand for a release.
    has_token: bool,
    on_unmet: OnUnmet,
    wait_max: Duration,
}

impl Patience {
    pub(super) fn new(demand: &ReadDemand) -> Self {
        let (has_token, on_unmet) = (demand.at_least.is_some(), demand.on_unmet);
        Self { began: Instant::now(), has_token, on_unmet, wait_max: demand.wait_max }
    }

    /// Where a token is demanded: waits a little when a newer release of a module that the plan calls is not served yet, as the token
    /// may stand for it. Returns whether it has waited.
    ///
    /// # Errors
    /// When the demand's time is over.
    pub(super) async fn waits_for_newer(&self, state: &State, plan: &Plan) -> Result<bool, Failure> {
        if !self.has_token || self.on_unmet == OnUnmet::ServeStale {
            return Ok(false);
        }
        let Some(call) = plan.calls.iter().find(|call| state.node.is_held_back(&call.name)) else { return Ok(false) };
        // A token of a write that has nothing to do with a release that is on its way waits for that too, but no longer than one that
        // is alone.
        let wait_max = if self.on_unmet == OnUnmet::Fail { Duration::ZERO } else { self.wait_max.max(FIRST_MAX) };
        if self.began.elapsed() >= wait_max {
            return Err(ReadError::NotFreshEnough {
                wanted: format!(
                    "a token is demanded, which may stand for the newest release of module '{}'",
                    call.name
                ),
                have: "this node is still preparing that release".to_owned(),
            }
            .into());
        }
        sleep(LOOK_EVERY).await;
        Ok(true)
    }

    /// Waits a little for a module that cannot be called at all yet. Returns false when the time for that is over.
    pub(super) async fn waits_for_first(&self) -> bool {
        if self.on_unmet == OnUnmet::Fail || self.began.elapsed() >= FIRST_MAX {
            return false;
        }
        sleep(LOOK_EVERY).await;
        true
    }
}
