//! The sample is loaded with `littoral ingest parquet`.

use crate::{
    demo::{stage::Stage, story::Story},
    failure::Failure,
    output::{Paint, Table, text},
    product,
};
use std::time::{Duration, Instant};

/// How long both edges may take to receive the sample, in milliseconds.
const ARRIVAL_MAX: &str = "20000";

/// The views, with the rows in their files and the entity keys among them.
const VIEWS: [(&str, u64, usize); 2] = [("airport_hourly", 16_505, 221), ("route_daily", 25_101, 3_190)];

/// Loads a week of flights through the leader and waits until both edges have them.
pub async fn play(story: &mut Story, stage: &mut Stage) -> Result<(), Failure> {
    story.step("A week of US flights, June 2001, is loaded from Parquet files")?;
    let (leader, edges) = (stage.leader()?, stage.edges()?);
    let mut table = Table::new(&["view", ">rows written", ">a second", ">keys", ">durable in"]);
    for (view, rows, keys) in VIEWS {
        let state = stage.dir.join(format!("{view}.ingest.json"));
        let report = product::ingest(&stage.sample(view), view, &state, &leader).await?;
        if report.rows_sent != rows {
            return Err(Failure::rejected(format!("view {view}: {} rows were written, not {rows}", report.rows_sent)));
        }
        stage.token = report.token;
        story.fact(&format!("{view}_rows_per_second"), report.rows_per_second);
        table.row([
            view.cyan(),
            text::count(report.rows_sent),
            text::count(report.rows_per_second as u64),
            text::count(keys as u64),
            text::span(Duration::from_millis(report.elapsed_ms)),
        ]);
        for (name, url) in &edges {
            arrived(stage, name, url).await?;
        }
    }
    story.table(&table)?;
    let begun = Instant::now();
    for (view, _, keys) in VIEWS {
        for (name, url) in &edges {
            let held = super::equality::rows(url, view).await?.len();
            if held != keys {
                return Err(Failure::rejected(format!("{name} holds {held} rows of view {view}, not {keys}")));
            }
        }
    }
    story.fact("pages_ms", begun.elapsed().as_millis() as u64);
    story.check(true, "both edges hold the newest row of every airport and route", String::new)
}

/// Waits until an edge has applied the records that the token names.
async fn arrived(stage: &Stage, name: &str, url: &str) -> Result<(), Failure> {
    let request = serde_json::json!({
        "features": ["airport_hourly:departures_24h"],
        "entities": { "airport": ["ORD"] },
    });
    let demand =
        [("littoral-at-least", stage.token.as_str()), ("littoral-on-unmet", "wait"), ("littoral-wait-ms", ARRIVAL_MAX)];
    let answer = super::feast::ask(&stage.http, url, &demand, &request).await?;
    answer.json().map(drop).map_err(|failure| Failure::rejected(format!("{name}: {failure}")))
}
