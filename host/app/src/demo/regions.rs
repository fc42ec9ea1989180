//! Second act: three regions behind a router, and what one of them takes arrives in the others.

use crate::{
    commands::{definitions, ingest, target},
    config::lease::Profile,
    definitions_file,
    demo::{feast, stage::Stage, story::Story},
    failure::Failure,
    local::regions::{Plan, Regions},
    output::{Paint, Table, progress::Bar, text},
};
use littoral_ingest::Options;
use littoral_model::region::Region as Name;
use littoral_router::watch::read_topology;
use serde_json::json;
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// The regions that the demo runs.
const TOPOLOGY: &str = "edge-config/topology-us-regions.toml";
/// The view that they hold.
pub const VIEW: &str = "airport_hourly";
/// Writes whose way to the other regions is measured.
const MEASURED: usize = 20;
/// How long everything may take to be everywhere.
const ARRIVAL_MAX: Duration = Duration::from_secs(20);

/// Starts the regions, loads the airports in one of them, and measures how long news take to the others.
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
        seed: 1,
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
    let home = target::client(&stage.regions()?.leader_url(names[0]))?;
    let definitions = definitions_file::read(&stage.project.join("edge-config/feature-views.toml"))?;
    let token = definitions::apply_all(&home, &definitions).await?;
    stage.token = token.ok_or_else(|| Failure::refused("edge-config/feature-views.toml defines nothing"))?;
    for (name, edge) in edges(stage)? {
        arrived(stage, name, &edge, &stage.token.clone()).await?;
    }
    story.fact("regions_started_ms", took.as_millis() as u64);
    story.check(
        true,
        &format!("all doors open after {}; what is defined in one region is defined in all", text::span(took)),
        String::new,
    )
}

/// How far apart two regions are.
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
    let (first, _) = all.first().cloned().ok_or_else(|| Failure::refused("there is no region"))?;
    let client = target::client(&stage.regions()?.leader_url(first))?;
    let options = Options { state: Some(stage.dir.join("regions.ingest.json")), ..Options::new(VIEW) };
    let mut bar = Bar::new(false, VIEW);
    let report = littoral_ingest::ingest(&stage.sample(VIEW), &client, &options, &mut bar).await;
    bar.finish();
    let report = report.map_err(ingest::failed)?;
    let durable = Instant::now();
    stage.token = report.token.ok_or_else(|| Failure::refused("the load returned no freshness token"))?;
    let mut told = Vec::new();
    for (name, edge) in &all {
        arrived(stage, *name, edge, &stage.token.clone()).await?;
        told.push(format!("{name} {}", text::span(durable.elapsed())));
    }
    let rows = text::count(report.rows_sent);
    story.check(
        true,
        &format!("{rows} rows are durable in {first}; at the regions' edges after that: {}", told.join(", ")),
        String::new,
    )
}

/// Writes in each region in turn and measures the way to the edges of the others.
async fn measure(story: &mut Story, stage: &mut Stage) -> Result<(), Failure> {
    story.step("What any region takes, the others answer")?;
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
        || "news took a second longer than their way".to_owned(),
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

/// Each region and the door of its first edge, not by way of the router.
pub fn edges(stage: &mut Stage) -> Result<Vec<(Name, String)>, Failure> {
    let regions = &stage.regions()?.topology.regions;
    let door = |region: &littoral_router::topology::Region| {
        region.edges.first().map(|edge| (region.name, format!("http://{}", edge.door)))
    };
    Ok(regions.iter().filter_map(door).collect())
}

/// Writes an airport's state and gives the token.
pub async fn write(stage: &Stage, node: &str, airport: &str, mean_delay: f64) -> Result<String, Failure> {
    write_from(stage, node, airport, mean_delay, &[]).await.map(|(token, _)| token)
}

/// The same, with headers; says also where it went, if a router tells.
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
    let token = token.ok_or_else(|| Failure::refused(format!("the write returned no token: {receipt}")))?;
    Ok((token.to_owned(), went_to))
}

/// Waits until a region's edge answers with what the token stands for.
pub async fn arrived(stage: &Stage, name: Name, edge: &str, token: &str) -> Result<(), Failure> {
    let request = json!({ "features": [format!("{VIEW}:mean_delay_1h")], "entities": { "airport": ["HNL"] } });
    let wait = ARRIVAL_MAX.as_millis().to_string();
    let demand = [("littoral-at-least", token), ("littoral-on-unmet", "wait"), ("littoral-wait-ms", wait.as_str())];
    let begun = Instant::now();
    loop {
        let answer = feast::ask(&stage.http, edge, &demand, &request).await?;
        // Where the view itself has not come yet, there is nothing to wait at.
        if answer.status.is_success() {
            return Ok(());
        }
        if begun.elapsed() > ARRIVAL_MAX {
            return Err(Failure::refused(format!("the edge of {name} answered {}: {}", answer.status, answer.text())));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
