//! The leader is killed. The edges continue to answer, and state how old their answers are.

use crate::{
    demo::{
        feast,
        stage::{HOUR, ROUTES, Stage},
        story::Story,
    },
    failure::Failure,
    output::{Paint, Table, text},
};
use serde_json::json;
use std::time::{Duration, Instant};

/// When the edges are read after the kill.
const MOMENTS: [Duration; 3] = [Duration::from_millis(500), Duration::from_millis(1_500), Duration::from_millis(3_000)];

/// Kills the leader and reads from the edges while it is down.
pub async fn play(story: &mut Story, stage: &mut Stage) -> Result<(), Failure> {
    story.step("The leader is killed (kill -9); the edges continue to answer, and state their staleness")?;
    let edges = stage.edges()?;
    let request = feast::request(&["route_daily:mean_delay_7d", "delay_risk:score"], &ROUTES, HOUR);
    let mut before = Vec::new();
    for (_, url) in &edges {
        before.push(feast::read(&stage.http, url, &[], &request).await?);
    }
    stage.cluster()?.leader.kill().await?;
    let killed = Instant::now();
    let mut columns = vec![">after the kill".to_owned()];
    columns.extend(edges.iter().map(|(name, _)| format!(">{name}")));
    columns.push("degraded".to_owned());
    let mut table = Table::new(&columns.iter().map(String::as_str).collect::<Vec<_>>());
    let mut last = vec![0.0; edges.len()];
    let (mut honest, mut growing, mut same, mut degraded) = (true, true, true, Vec::new());
    for moment in MOMENTS {
        tokio::time::sleep_until((killed + moment).into()).await;
        let mut cells = Vec::new();
        degraded.clear();
        for (index, (_, url)) in edges.iter().enumerate() {
            let dead_for = killed.elapsed();
            if index == 0 {
                cells.push(text::span(dead_for));
            }
            let answer = feast::read(&stage.http, url, &[], &request).await?;
            let staleness = answer.staleness_ms.unwrap_or_default();
            honest &= staleness >= dead_for.as_millis() as f64;
            growing &= staleness > last[index];
            same &= answer.same_values(&before[index]);
            last[index] = staleness;
            degraded.push(answer.degraded.unwrap_or_default());
            cells.push(format!("{staleness:.0} ms old"));
        }
        let mut reasons = degraded.clone();
        reasons.dedup();
        cells.push(reasons.join(", ").yellow());
        table.row(cells);
    }
    story.table(&table)?;
    story.fact("staleness_ms", last.clone());
    story.check(same, "every value and the module's scores are as before", || "an answer changed".to_owned())?;
    story.check(
        honest && growing,
        "no edge claims to be fresher than it is: the staleness grows with the outage",
        || format!("the last values were {last:?} ms"),
    )?;
    story.check(
        degraded.iter().all(|why| why == "leader_lost"),
        "every answer states that the leader is lost",
        || format!("the reasons are {degraded:?}"),
    )?;
    rejections(story, stage, &request).await
}

/// What needs the leader is rejected.
async fn rejections(story: &mut Story, stage: &mut Stage, request: &serde_json::Value) -> Result<(), Failure> {
    let edge = stage.first_edge()?;
    let demand = [("littoral-max-staleness-ms", "100"), ("littoral-on-unmet", "fail")];
    let fresh = feast::ask(&stage.http, &edge, &demand, request).await?;
    story.check(
        !fresh.status.is_success(),
        &format!("a read that demands a staleness of at most 100 ms is rejected ({})", fresh.status.as_u16()),
        || format!("it was answered {}: {}", fresh.status, fresh.text()),
    )?;
    let row = json!({ "rows": [{ "key": { "airport": "ORD" }, "values": { "departures_1h": 0 } }] });
    let write = stage.http.post(&format!("{edge}/v1/views/airport_hourly/rows"), &[], &row).await?;
    story.check(
        write.status.is_server_error(),
        &format!("a write is rejected, not silently lost ({})", write.status.as_u16()),
        || format!("it was answered {}: {}", write.status, write.text()),
    )
}
