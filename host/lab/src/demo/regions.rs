//! The second act: three regions behind a router; a write to one of them arrives in the others.

use crate::{
    demo::{
        feast,
        stage::{DEFINITIONS, Stage, TOPOLOGY},
        story::Story,
    },
    failure::Failure,
    local::{
        Program,
        regions::{Plan, Regions},
    },
    output::{Paint, Table, text},
    product,
};
use littoral_lease::Profile;
use littoral_model::region::Region as Name;
use littoral_router::watch::read_topology;
use serde_json::json;
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// The view that they hold.
pub const VIEW: &str = "airport_hourly";
/// Writes per region whose way to the other regions is measured.
const MEASURED: usize = 20;
/// How long a write may take to arrive everywhere.
const ARRIVAL_MAX: Duration = Duration::from_secs(20);

/// Starts the regions, loads the airports in one of them, and measures how long writes take to the others.
pub async fn play(story: &mut Story, stage: &mut Stage) -> Result<(), Failure> {
    start(story, stage).await?;
    load(story, stage).await?;
    measure(story, stage).await
}

async fn start(story: &mut Story, stage: &mut Stage) -> Result<(), Failure> {
    story.step("Second act: three regions start, each with a leader and an edge, behind a router")?;
    let topology = read_topology(&stage.project.join(TOPOLOGY)).map_err(Failure::usage)?;
    let begun = Instant::now();
    let plan = Plan {
        topology,
        data_dir: stage.dir.join("regions"),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        fixed: false,
        apart: false,
        clocks: false,
        router_everywhere: true,
        lease: Profile::Default,
        routers: 1,
        program: Program::default(),
        seed: 1,
        tls: false,
    };
    stage.set_regions(Regions::start(plan).await?);
    let took = begun.elapsed();
    let regions = stage.regions()?;
    let names: Vec<Name> = regions.topology.regions.iter().map(|region| region.name).collect();
    let mut columns = vec!["region", "leader", "edge"];
    let to: Vec<String> = names.iter().map(|name| format!(">to {name}")).collect();
    columns.extend(to.iter().map(String::as_str));
    let mut table = Table::new(&columns);
    for region in &regions.topology.regions {
        let edge = region.edges.first().map(|edge| edge.door.clone()).unwrap_or_default();
        let mut row = vec![region.name.to_string().cyan(), region.leader.clone().unwrap_or_default(), edge];
        row.extend(names.iter().map(|other| round_trip(regions, region.name, *other)));
        table.row(row);
    }
    story.table(&table)?;
    story.say(&"links in user space make them as far apart as they are on the map; times are round trips".dim())?;
    let home = stage.regions()?.leader_url(names[0]);
    stage.token = product::apply(&stage.project.join(DEFINITIONS), &home).await?.token;
    for (name, edge) in edges(stage)? {
        arrived(stage, name, &edge, &stage.token.clone()).await?;
    }
    story.fact("regions_started_ms", took.as_millis() as u64);
    story.check(
        true,
        &format!("all doors open after {}; a definition applied in one region holds in all", text::span(took)),
        String::new,
    )
}

/// Returns how far apart two regions are, as text.
fn round_trip(regions: &Regions, from: Name, to: Name) -> String {
    let between = regions.topology.links.iter().find(|link| link.between.contains(&from) && link.between.contains(&to));
    match between {
        Some(link) if from != to => format!("{} ms", link.round_trip_ms),
        _ => "-".to_owned(),
    }
}

async fn load(story: &mut Story, stage: &mut Stage) -> Result<(), Failure> {
    story.step("The airports' week is loaded in one region, and arrives in the others")?;
    let all = edges(stage)?;
    let (first, _) = all.first().cloned().ok_or_else(|| Failure::rejected("there is no region"))?;
    let (leader, state) = (stage.regions()?.leader_url(first), stage.dir.join("regions.ingest.json"));
    let report = product::ingest(&stage.sample(VIEW), VIEW, &state, &leader).await?;
    let durable = Instant::now();
    stage.token = report.token;
    let mut arrivals = Vec::new();
    for (name, edge) in &all {
        arrived(stage, *name, edge, &stage.token.clone()).await?;
        arrivals.push(format!("{name} {}", text::span(durable.elapsed())));
    }
    let rows = text::count(report.rows_sent);
    story.check(
        true,
        &format!("{rows} rows are durable in {first}; at the regions' edges after that: {}", arrivals.join(", ")),
        String::new,
    )
}

/// Writes in each region in turn and measures the way to the edges of the others.
async fn measure(story: &mut Story, stage: &mut Stage) -> Result<(), Failure> {
    story.step("A write to any region is answered in the others")?;
    let all = edges(stage)?;
    let mut columns = vec!["written in".to_owned(), ">durable there in".to_owned()];
    columns.extend(all.iter().map(|(name, _)| format!(">answered in {name}")));
    let mut table = Table::new(&columns.iter().map(String::as_str).collect::<Vec<_>>());
    let mut worst_beyond = Duration::ZERO;
    for (from, _) in &all {
        let leader = stage.regions()?.leader_url(*from);
        let (mut durable, mut lags) = (Vec::new(), vec![Vec::new(); all.len()]);
        for number in 0..MEASURED {
            let sent = Instant::now();
            let token = write(stage, &leader, "HNL", 100.0 + number as f64).await?;
            durable.push(sent.elapsed());
            let acknowledged = Instant::now();
            let reads = all.iter().map(|(name, edge)| async {
                arrived(stage, *name, edge, &token).await?;
                Ok::<_, Failure>(acknowledged.elapsed())
            });
            let arrivals = futures_util::future::try_join_all(reads).await?;
            lags.iter_mut().zip(arrivals).for_each(|(lags, arrival)| lags.push(arrival));
            stage.token = token;
        }
        let mut row = vec![from.to_string().cyan(), text::span(median(&mut durable))];
        for ((to, _), lags) in all.iter().zip(&mut lags) {
            let lag = median(lags);
            worst_beyond = worst_beyond.max(lag.saturating_sub(one_way(stage.regions()?, *from, *to)));
            row.push(text::span(lag));
        }
        table.row(row);
    }
    story.table(&table)?;
    story.fact("beyond_the_way_ms_max", worst_beyond.as_secs_f64() * 1e3);
    story.check(
        worst_beyond < Duration::from_secs(1),
        &format!(
            "half of {MEASURED} writes from each region were answered in every other within the way there and {} more",
            text::span(worst_beyond)
        ),
        || "a write took a second longer than its way".to_owned(),
    )
}

fn one_way(regions: &Regions, from: Name, to: Name) -> Duration {
    let between = regions.topology.links.iter().find(|link| link.between.contains(&from) && link.between.contains(&to));
    between
        .filter(|_| from != to)
        .map_or(Duration::ZERO, |link| Duration::from_micros(u64::from(link.round_trip_ms) * 500))
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Returns each region with the door of its first edge, which bypasses the router.
pub fn edges(stage: &mut Stage) -> Result<Vec<(Name, String)>, Failure> {
    let regions = &stage.regions()?.topology.regions;
    let door = |region: &littoral_router::topology::Region| {
        region.edges.first().map(|edge| (region.name, format!("http://{}", edge.door)))
    };
    Ok(regions.iter().filter_map(door).collect())
}

/// Writes an airport's state and returns the token.
pub async fn write(stage: &Stage, node: &str, airport: &str, mean_delay: f64) -> Result<String, Failure> {
    write_from(stage, node, airport, mean_delay, &[]).await.map(|(token, _)| token)
}

/// Like [`write`], with headers; returns also the door that a router chose, if the answer names it.
pub async fn write_from(
    stage: &Stage,
    node: &str,
    airport: &str,
    mean_delay: f64,
    headers: &[(&str, &str)],
) -> Result<(String, String), Failure> {
    let body = json!({ "rows": [{
        "key": { "airport": airport },
        "values": {
            "departures_1h": 2, "mean_delay_1h": mean_delay, "departures_24h": 112,
            "delayed_24h": 61, "max_delay_24h": 240, "mean_delay_24h": 44.0,
        },
    }] });
    let answer = stage.http.post(&format!("{node}/v1/views/{VIEW}/rows"), headers, &body).await?;
    let went_to = answer.header("littoral-routed-to").unwrap_or_default().to_owned();
    let receipt = answer.json()?;
    let token = receipt["token"].as_str();
    let token = token.ok_or_else(|| Failure::rejected(format!("the write returned no token: {receipt}")))?;
    Ok((token.to_owned(), went_to))
}

/// Waits until a region's edge answers a read that demands the token.
pub async fn arrived(stage: &Stage, name: Name, edge: &str, token: &str) -> Result<(), Failure> {
    let request = json!({ "features": [format!("{VIEW}:mean_delay_1h")], "entities": { "airport": ["HNL"] } });
    let wait = ARRIVAL_MAX.as_millis().to_string();
    let demand = [("littoral-at-least", token), ("littoral-on-unmet", "wait"), ("littoral-wait-ms", wait.as_str())];
    let begun = Instant::now();
    loop {
        let answer = feast::ask(&stage.http, edge, &demand, &request).await?;
        // An edge that does not know the view yet rejects the read at once instead of waiting.
        if answer.status.is_success() {
            return Ok(());
        }
        if begun.elapsed() > ARRIVAL_MAX {
            return Err(Failure::rejected(format!("the edge of {name} answered {}: {}", answer.status, answer.text())));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
