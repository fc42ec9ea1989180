//! Waits for a module's release that was uploaded a moment ago. A node prepares it for as long as its compilation
//! takes.

use crate::{error::Error, plan::Plan};
use littoral_model::{
    freshness::{OnUnmet, ReadDemand},
    ports::FeatureReader,
    read::ReadError,
};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a read waits for a module of which no release can be called here yet.
const FIRST_MAX: Duration = Duration::from_secs(10);

/// How often the wait checks again.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// The wait of one read for releases of modules.
pub(crate) struct ReleaseWait {
    began: Instant,
    /// Whether the read demands a token, which may stand for a release.
    has_token: bool,
    on_unmet: OnUnmet,
    wait_max: Duration,
}

impl ReleaseWait {
    pub(crate) fn new(demand: &ReadDemand) -> Self {
        let (has_token, on_unmet) = (demand.at_least.is_some(), demand.on_unmet);
        Self { began: Instant::now(), has_token, on_unmet, wait_max: demand.wait_max }
    }

    /// Waits a moment if the read demands a token and a newer release of a module in its plan is not served yet, as the
    /// token may stand for that release. Returns whether it waited.
    ///
    /// # Errors
    /// [`ReadError::NotFreshEnough`] when the demand's time is over.
    pub(crate) async fn waits_for_newer(&self, node: &dyn FeatureReader, plan: &Plan) -> Result<bool, Error> {
        if !self.has_token || self.on_unmet == OnUnmet::ServeStale {
            return Ok(false);
        }
        let Some(call) = plan.calls.iter().find(|call| node.is_held_back(&call.stored_name)) else { return Ok(false) };
        // A token does not show what it stands for, so a read with the token of an unrelated write waits too, but no
        // longer than a read with the release's own token.
        let wait_max = if self.on_unmet == OnUnmet::Fail { Duration::ZERO } else { self.wait_max.max(FIRST_MAX) };
        if self.began.elapsed() >= wait_max {
            return Err(ReadError::NotFreshEnough {
                wanted: format!("the token may stand for the newest release of module '{}'", call.name),
                have: "this node is still preparing that release".to_owned(),
            }
            .into());
        }
        sleep(CHECK_INTERVAL).await;
        Ok(true)
    }

    /// Waits a moment for a module of which no release can be called yet. Returns false when the time for that is over.
    pub(crate) async fn waits_for_first(&self) -> bool {
        if self.on_unmet == OnUnmet::Fail || self.began.elapsed() >= FIRST_MAX {
            return false;
        }
        sleep(CHECK_INTERVAL).await;
        true
    }
}
