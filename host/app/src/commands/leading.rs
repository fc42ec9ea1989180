//! Who leads a region of a topology: its leader, or the one of its members that says so.

use crate::{
    commands::target::{client, failed},
    failure::Failure,
};
use littoral_model::status::{NodeStatus, Role};
use littoral_router::topology::Region;

/// The state of who leads a region; `None` when the topology names nobody who could.
///
/// # Errors
/// When nobody who could lead answers, or none of several says that it does.
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
            "no member of region '{name}' leads now: {heard} of {all} answer; a majority of them must hear each other"
        ))
    })
}

/// The one that leads. Who was asked a moment ago may have led then: the newest epoch is right.
fn newest(all: Vec<NodeStatus>) -> Option<NodeStatus> {
    all.into_iter().filter(|status| status.role == Role::Leader).max_by_key(|status| status.epoch)
}
