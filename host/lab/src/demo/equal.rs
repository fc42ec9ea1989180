//! The leader restarts; in the end every edge equals it, row by row.

use crate::{
    demo::{
        equality, feast,
        stage::{HOUR, ROUTES, Stage},
        story::Story,
        update,
    },
    failure::Failure,
    output::{Paint, Table, text},
};
use std::time::{Duration, Instant};

/// How long the edges may take to follow the leader again.
const RECOVERY_MAX: Duration = Duration::from_secs(15);

/// Restarts the leader, writes through it, and compares every row.
pub async fn play(story: &mut Story, stage: &mut Stage) -> Result<(), Failure> {
    story.step("The leader returns from its log, and every edge equals it, row by row")?;
    let begun = Instant::now();
    stage.cluster()?.restart_leader().await?;
    let back = begun.elapsed();
    story.fact("leader_back_ms", back.as_millis() as u64);
    story.check(true, &format!("the leader serves again after {}", text::span(back)), String::new)?;
    let leader = stage.leader()?;
    stage.token = update::write(stage, &leader, &update::CLEAR_SKY).await?.token;
    let edges = stage.edges()?;
    for (name, url) in &edges {
        wait_until_whole(stage, name, url, begun).await?;
    }
    let recovered = begun.elapsed();
    story.fact("recovered_ms", recovered.as_millis() as u64);
    story.check(
        true,
        &format!("both edges follow it again after {}, and have the newest write", text::span(recovered)),
        String::new,
    )?;
    compare(story, &leader, &edges).await
}

/// Waits until an edge answers a read that demands the newest write and is not degraded.
async fn wait_until_whole(stage: &Stage, name: &str, url: &str, begun: Instant) -> Result<(), Failure> {
    let request = feast::request(&["delay_risk:score"], &ROUTES, HOUR);
    let demand =
        [("littoral-at-least", stage.token.as_str()), ("littoral-on-unmet", "wait"), ("littoral-wait-ms", "1000")];
    loop {
        let answer = feast::ask(&stage.http, url, &demand, &request).await?;
        if answer.status.is_success() && answer.header("littoral-degraded").is_none() {
            return Ok(());
        }
        if begun.elapsed() > RECOVERY_MAX {
            let why = answer.header("littoral-degraded").unwrap_or_default();
            return Err(Failure::rejected(format!(
                "{name} did not follow the leader within {}: it answers {} {why} {}",
                text::span(RECOVERY_MAX),
                answer.status,
                answer.text()
            )));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn compare(story: &mut Story, leader: &str, edges: &[(String, String)]) -> Result<(), Failure> {
    let mut columns = vec!["view", ">rows at the leader"];
    columns.extend(edges.iter().map(|(name, _)| name.as_str()));
    let mut table = Table::new(&columns);
    let mut compared = 0;
    for view in ["airport_hourly", "route_daily"] {
        let truth = equality::rows(leader, view).await?;
        let mut cells = vec![view.to_owned(), text::count(truth.len() as u64)];
        for (name, url) in edges {
            let held = equality::rows(url, view).await?;
            if let Some(difference) = equality::difference(&truth, &held) {
                return Err(Failure::rejected(format!("{name} differs from the leader in view {view}: {difference}")));
            }
            compared += held.len() as u64;
            cells.push("equal".green());
        }
        table.row(cells);
    }
    story.table(&table)?;
    story.fact("rows_compared", compared);
    story.check(
        compared > 0,
        &format!("{} rows compared: keys, values, event times, versions and log positions", text::count(compared)),
        || "there were no rows".to_owned(),
    )
}
