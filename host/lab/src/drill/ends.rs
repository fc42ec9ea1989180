//! The state of the leaders, compared during a drill and at its end: whether they have each other's records, which
//! writes they hold, and whether their rows are equal.

use super::clients::VIEW;
use crate::{failure::Failure, local::Regions, target};
use littoral_client::{Client, HeldRow};
use littoral_model::{region::Region as Name, status::NodeStatus, token::Watermark};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// Rows of one page.
const PAGE: usize = 10_000;
/// How often leaders are polled.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Returns a client of a leader's door.
pub fn leader(regions: &Regions, name: Name) -> Result<Client, Failure> {
    target::client(&regions.leader_url(name))
}

/// Returns a leader's status.
pub async fn status(regions: &Regions, name: Name) -> Result<NodeStatus, Failure> {
    leader(regions, name)?.status().await.map_err(target::failed)
}

/// Waits until a leader has applied everything that the watermark names. Returns false when it has not in time.
pub async fn has_all(regions: &Regions, name: Name, wanted: &Watermark, wait_max: Duration) -> bool {
    let begun = Instant::now();
    loop {
        if status(regions, name).await.is_ok_and(|status| status.covers(wanted)) {
            return true;
        }
        if begun.elapsed() >= wait_max {
            return false;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Waits until all these leaders have each other's records. Returns false when they have not in time.
pub async fn level(regions: &Regions, names: &[Name], wait_max: Duration) -> bool {
    let deadline = Instant::now() + wait_max;
    let mut wanted = Watermark::default();
    for name in names {
        // A leader that is still starting answers later.
        let status = loop {
            match status(regions, *name).await {
                Ok(status) => break status,
                Err(_) if Instant::now() < deadline => tokio::time::sleep(POLL_INTERVAL).await,
                Err(_) => return false,
            }
        };
        if let Some((incarnation, lsn)) = status.watermark.get(*name) {
            wanted.set(*name, incarnation, lsn);
        }
    }
    for name in names {
        if !has_all(regions, *name, &wanted, deadline.saturating_duration_since(Instant::now())).await {
            return false;
        }
    }
    true
}

/// Returns the rows of the drill's view that a leader holds, by key.
pub async fn rows(regions: &Regions, name: Name) -> Result<Vec<HeldRow>, Failure> {
    rows_at(&leader(regions, name)?).await
}

/// Returns the rows of the drill's view that a node holds, by key.
pub async fn rows_at(client: &Client) -> Result<Vec<HeldRow>, Failure> {
    let (mut rows, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = client.row_page(VIEW, PAGE, cursor.as_deref()).await.map_err(target::failed)?;
        rows.extend(page.rows);
        match page.cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(rows),
        }
    }
}

/// Returns the numbers of the writes that a leader holds.
pub async fn numbers(regions: &Regions, name: Name) -> Result<BTreeSet<u64>, Failure> {
    let rows = rows(regions, name).await?;
    Ok(rows.iter().filter_map(|row| row.key.get("id")?.as_u64()).collect())
}

/// Returns whether all these leaders hold the same rows; LSNs, which differ from log to log, are not compared.
pub async fn equal(regions: &Regions, names: &[Name]) -> Result<bool, Failure> {
    let mut first: Option<Vec<HeldRow>> = None;
    for name in names {
        let mut rows = rows(regions, *name).await?;
        rows.iter_mut().for_each(|row| row.lsn = serde_json::Value::Null);
        match &first {
            Some(first) if *first != rows => return Ok(false),
            Some(_) => {}
            None => first = Some(rows),
        }
    }
    Ok(true)
}
