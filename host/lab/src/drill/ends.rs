//! What the leaders hold: whether they have each other's records, which writes are there, and whether all rows are the same.

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
/// How often leaders are asked.
const EVERY: Duration = Duration::from_millis(50);

/// A leader's door.
pub fn leader(regions: &Regions, name: Name) -> Result<Client, Failure> {
    target::client(&regions.leader_url(name))
}

/// A leader's state.
pub async fn status(regions: &Regions, name: Name) -> Result<NodeStatus, Failure> {
    leader(regions, name)?.status().await.map_err(target::failed)
}

/// Waits until a leader has everything that the watermark says; false when it had not in time.
pub async fn has_all(regions: &Regions, name: Name, wanted: &Watermark, patience: Duration) -> bool {
    let begun = Instant::now();
    loop {
        if status(regions, name).await.is_ok_and(|status| status.covers(wanted)) {
            return true;
        }
        if begun.elapsed() >= patience {
            return false;
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Waits until all these leaders have each other's records; false when they had not in time.
pub async fn level(regions: &Regions, names: &[Name], patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    let mut wanted = Watermark::default();
    for name in names {
        // One that is just starting answers later.
        let status = loop {
            match status(regions, *name).await {
                Ok(status) => break status,
                Err(_) if Instant::now() < deadline => tokio::time::sleep(EVERY).await,
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

/// Every row of the drill's view that a leader holds, by key.
pub async fn rows(regions: &Regions, name: Name) -> Result<Vec<HeldRow>, Failure> {
    rows_at(&leader(regions, name)?).await
}

/// Every row of the drill's view that a node holds, by key.
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

/// The numbers of the writes that a leader holds.
pub async fn numbers(regions: &Regions, name: Name) -> Result<BTreeSet<u64>, Failure> {
    let rows = rows(regions, name).await?;
    Ok(rows.iter().filter_map(|row| row.key.get("id")?.as_u64()).collect())
}

/// Whether all these leaders hold the same rows, whatever number each log gives them.
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
