//! An update is written, and arrives at both edges.

use crate::{
    demo::{
        feast::{self, Route},
        stage::{HOUR, Stage},
        story::Story,
    },
    failure::Failure,
    output::{Paint, Table, text},
};
use serde_json::json;
use std::time::{Duration, Instant};

/// How many updates are measured.
const MEASURED: usize = 50;

/// An airport's state, as the demo writes it.
pub struct News {
    /// When it happened.
    pub at: &'static str,
    /// Mean delay of the last hour, minutes.
    pub mean_delay_1h: f64,
    /// Mean delay of the last day, minutes.
    pub mean_delay_24h: f64,
    /// Flights of the last day that were more than 15 minutes late.
    pub delayed_24h: i64,
}

/// The airport that the demo updates, and flights from there.
const AIRPORT: &str = "HNL";
const FLIGHTS: [Route; 2] = [("HNL", "OGG"), ("HNL", "LAX")];

/// A tropical storm closes Honolulu.
const STORM: News = News { at: "2001-07-01T02:00:00Z", mean_delay_1h: 96.0, mean_delay_24h: 44.0, delayed_24h: 61 };

/// The storm has passed.
pub const CLEAR_SKY: News =
    News { at: "2001-07-02T06:00:00Z", mean_delay_1h: 2.0, mean_delay_24h: 6.0, delayed_24h: 9 };

/// An acknowledged write.
pub struct Written {
    /// Its freshness token.
    pub token: String,
    /// When it was acknowledged.
    pub acknowledged: Instant,
    /// How long it took until it was durable.
    pub took: Duration,
}

/// Writes a storm to the leader, measures its arrival, then that of many more updates.
pub async fn play(story: &mut Story, stage: &mut Stage) -> Result<(), Failure> {
    story.step("A tropical storm over Honolulu is written, and arrives at both edges")?;
    let (leader, edges) = (stage.leader()?, stage.edges()?);
    let first = stage.first_edge()?;
    let request =
        feast::request(&["airport_hourly:mean_delay_1h", "delay_risk:score", "delay_risk:bucket"], &FLIGHTS, HOUR);
    let request = with_airport(request);
    let before = feast::read(&stage.http, &first, &[], &request).await?;
    let written = write(stage, &leader, &STORM).await?;
    let mut lags = Vec::new();
    for arrival in arrivals(stage, &edges, &written).await? {
        lags.push(arrival);
    }
    stage.token = written.token;
    let after = feast::read(&stage.http, &first, &[], &request).await?;
    let mut table = Table::new(&["leaving from", "to", ">delay now", ">before", ">risk now", ">before", "bucket"]);
    for (row, (origin, destination)) in FLIGHTS.iter().enumerate() {
        table.row([
            format!("{} {}", origin.cyan(), stage.airports.place(origin)),
            format!("{} {}", destination.cyan(), stage.airports.place(destination)),
            format!("{:.0} min", after.number("mean_delay_1h", row)?),
            format!("{:.0} min", before.number("mean_delay_1h", row)?).dim(),
            format!("{:.2}", after.number("score", row)?),
            format!("{:.2}", before.number("score", row)?).dim(),
            format!("{} {}", after.text("bucket", row)?, format!("(was {})", before.text("bucket", row)?).dim()),
        ]);
    }
    story.table(&table)?;
    let times: Vec<_> =
        edges.iter().zip(&lags).map(|((name, _), lag)| format!("{name} {}", text::span(*lag))).collect();
    story.check(
        after.number("mean_delay_1h", 0)? == STORM.mean_delay_1h,
        &format!(
            "durable at the leader in {}; visible after the acknowledgement: {}",
            text::span(written.took),
            times.join(", ")
        ),
        || "the edge still answers the old value".to_owned(),
    )?;
    story.check(after.number("score", 0)? > before.number("score", 0)?, "the module's risk rose with it", || {
        "the score did not rise".to_owned()
    })?;
    measure(story, stage, &leader, &edges).await
}

/// Writes many updates, one after another, and measures when each has arrived at both edges.
async fn measure(
    story: &mut Story,
    stage: &mut Stage,
    leader: &str,
    edges: &[(String, String)],
) -> Result<(), Failure> {
    let mut slowest = Vec::with_capacity(MEASURED);
    for number in 0..MEASURED {
        let at = format!("2001-07-01T03:{:02}:00Z", number);
        let news = News { mean_delay_1h: 100.0 + number as f64, ..STORM };
        let written = write_at(stage, leader, &news, &at).await?;
        let arrivals = arrivals(stage, edges, &written).await?;
        slowest.extend(arrivals.into_iter().max());
        stage.token = written.token;
    }
    slowest.sort();
    let (median, worst) = (slowest[slowest.len() / 2], slowest[slowest.len() - 1]);
    story.fact("lag_us_p50", median.as_micros() as u64);
    story.fact("lag_us_max", worst.as_micros() as u64);
    story.check(
        worst < Duration::from_secs(1),
        &format!(
            "{MEASURED} more, each read back at both edges: half within {}, all within {}",
            text::span(median),
            text::span(worst)
        ),
        || "an update took a second".to_owned(),
    )
}

/// Writes the airport's state.
pub async fn write(stage: &Stage, node: &str, news: &News) -> Result<Written, Failure> {
    write_at(stage, node, news, news.at).await
}

async fn write_at(stage: &Stage, node: &str, news: &News, at: &str) -> Result<Written, Failure> {
    let body = json!({ "rows": [{
        "key": { "airport": AIRPORT },
        "values": {
            "departures_1h": 2,
            "mean_delay_1h": news.mean_delay_1h,
            "departures_24h": 112,
            "delayed_24h": news.delayed_24h,
            "max_delay_24h": 240,
            "mean_delay_24h": news.mean_delay_24h,
        },
        "event_timestamp": at,
    }] });
    let begun = Instant::now();
    let answer = stage.http.post(&format!("{node}/v1/views/airport_hourly/rows"), &[], &body).await?.json()?;
    let acknowledged = Instant::now();
    let token =
        answer["token"].as_str().ok_or_else(|| Failure::rejected(format!("the write returned no token: {answer}")))?;
    Ok(Written { token: token.to_owned(), acknowledged, took: acknowledged - begun })
}

/// Returns how long after the acknowledgement each edge answers with the write.
async fn arrivals(stage: &Stage, edges: &[(String, String)], written: &Written) -> Result<Vec<Duration>, Failure> {
    let request = json!({ "features": ["airport_hourly:mean_delay_1h"], "entities": { "airport": [AIRPORT] } });
    let demand = [("littoral-at-least", written.token.as_str()), ("littoral-on-unmet", "wait")];
    let reads = edges.iter().map(|(_, url)| async {
        feast::read(&stage.http, url, &demand, &request).await?;
        Ok::<_, Failure>(written.acknowledged.elapsed())
    });
    futures_util::future::try_join_all(reads).await
}

/// Adds the origin's code under the airport view's own join key.
fn with_airport(mut request: serde_json::Value) -> serde_json::Value {
    request["entities"]["airport"] = request["entities"]["origin"].clone();
    request
}
