//! Finds the node that leads a region of a topology: its leader, or the member that reports that it leads.

use crate::{
    commands::target::{client, failed},
    failure::Failure,
};
use littoral_model::status::{NodeStatus, Role};
use littoral_router::topology::Region;

/// Returns the status of the node that leads a region; `None` if the topology names no leader and no members.
///
/// # Errors
/// If no such node answers, or no member reports that it leads.
pub async fn status(region: &Region) -> Result<Option<NodeStatus>, Failure> {
    let asked = region
        .leaders()
        .map(|(_, door)| async move { client(&format!("http://{door}"))?.status().await.map_err(failed) });
    let mut answers = futures_util::future::join_all(asked).await;
    if region.members.is_empty() {
        return answers.pop().transpose();
    }
    let (well, mut silent): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    let well: Vec<NodeStatus> = well.into_iter().flatten().collect();
    if well.is_empty()
        && let Some(Err(failure)) = silent.pop()
    {
        return Err(failure);
    }
    let heard = well.len();
    newest(well).map(Some).ok_or_else(|| {
        let (name, all) = (region.name, region.members.len());
        Failure::unreachable(format!(
            "no member of region '{name}' leads now: {heard} of {all} answer; a majority of them must be up and able to reach each other"
        ))
    })
}

/// Returns the leading node. A deposed leader may still report that it leads, so the newest epoch wins.
fn newest(all: Vec<NodeStatus>) -> Option<NodeStatus> {
    all.into_iter().filter(|status| status.role == Role::Leader).max_by_key(|status| status.epoch)
}
