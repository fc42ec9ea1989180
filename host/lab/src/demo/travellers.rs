//! Clients at real airports: the router sends each to the nearest region, and to the next nearest when that one is
//! lost.

use crate::{
    demo::{equality, regions, stage::Stage, story::Story},
    failure::Failure,
    output::{Paint, Table, text},
};
use littoral_model::region::Region as Name;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Where the clients are: each clearly nearer to one region than to the others.
const AIRPORTS: [&str; 8] = ["SEA", "LAX", "HNL", "DEN", "DFW", "MSP", "JFK", "MIA"];
/// The region that is lost: the one in the middle, so that its clients spread over both others.
const LOST: &str = "us-central";
/// The airport of one of its clients.
const WRITER: &str = "DEN";
/// How much the latencies that the router has measured may differ, in milliseconds, before distance alone decides.
const EQUALLY_NEAR_MS: f64 = 5.0;
const SETTLE_MAX: Duration = Duration::from_secs(15);
const RETURN_MAX: Duration = Duration::from_secs(30);

/// A client's answer.
struct Asked {
    airport: &'static str,
    region: String,
    reason: String,
    delay: f64,
    took: Duration,
}

/// Reads from the airports, kills a region, reads again, and restarts the region.
pub async fn play(story: &mut Story, stage: &mut Stage) -> Result<(), Failure> {
    let before = nearest(story, stage).await?;
    let token = loss(story, stage, &before).await?;
    home_again(story, stage, &token).await
}

async fn nearest(story: &mut Story, stage: &mut Stage) -> Result<Vec<Asked>, Failure> {
    story.step("Clients at eight airports read through the router, which sends each to the nearest region")?;
    settle(stage).await?;
    let asked = read_all(stage).await?;
    let mut table = Table::new(&["client at", "answered by", "because", ">away", ">mean delay", ">answered in"]);
    let mut all_nearest = true;
    for client in &asked {
        let distances = distances(stage, client.airport, None)?;
        all_nearest &= distances.first().is_some_and(|(name, _)| name.as_str() == client.region);
        table.row([
            at(stage, client.airport),
            client.region.cyan(),
            client.reason.clone(),
            away(&distances, &client.region),
            format!("{:.1} min", client.delay),
            text::span(client.took),
        ]);
    }
    story.table(&table)?;
    story.check(all_nearest, "each was answered by the nearest region on the globe", || {
        "a nearer region was available".to_owned()
    })?;
    Ok(asked)
}

async fn loss(story: &mut Story, stage: &mut Stage, before: &[Asked]) -> Result<String, Failure> {
    story.step(&format!("Region {LOST} is killed, leader and edge; the same clients read again"))?;
    let lost: Name = LOST.parse().map_err(Failure::rejected)?;
    stage.regions()?.kill(lost).await;
    let killed = Instant::now();
    let asked = read_all(stage).await?;
    let mut table = Table::new(&["client at", "answered by", "", "because", ">away", ">answered in"]);
    let (mut next_nearest, mut same_values) = (true, true);
    for (client, was) in asked.iter().zip(before) {
        let distances = distances(stage, client.airport, Some(lost))?;
        next_nearest &= distances.first().is_some_and(|(name, _)| name.as_str() == client.region);
        same_values &= client.delay == was.delay;
        let moved = if client.region == was.region { String::new() } else { format!("(was {})", was.region) };
        table.row([
            at(stage, client.airport),
            client.region.cyan(),
            moved.dim(),
            client.reason.clone(),
            away(&distances, &client.region),
            text::span(client.took),
        ]);
    }
    story.table(&table)?;
    story.fact("asked_after_the_kill_ms", killed.elapsed().as_millis() as u64);
    story.check(same_values, "every client got an answer, with the same values as before", || {
        "a value changed".to_owned()
    })?;
    story.check(
        next_nearest,
        &format!("the clients of {LOST} were answered by the next nearest region, the others as before"),
        || "a nearer region was available".to_owned(),
    )?;
    let place = place(stage, WRITER)?;
    let headers = [("littoral-place", place.as_str()), ("littoral-explain", "1")];
    let router = stage.router()?;
    let written = Instant::now();
    let (token, went_to) = regions::write_from(stage, &router, WRITER, 7.0, &headers).await?;
    let (took, region) = (written.elapsed(), went_to.split('/').next().unwrap_or_default().to_owned());
    story.check(
        region != LOST && token.contains(&format!("{region}@")),
        &format!("a write from {} was accepted in {region} in {}", stage.airports.place(WRITER), text::span(took)),
        || format!("it went to '{went_to}', and its token is '{token}'"),
    )?;
    Ok(token)
}

async fn home_again(story: &mut Story, stage: &mut Stage, token: &str) -> Result<(), Failure> {
    story.step(&format!("{LOST} restarts, catches up, and its clients return to it"))?;
    let lost: Name = LOST.parse().map_err(Failure::rejected)?;
    let begun = Instant::now();
    stage.regions()?.restart(lost).await?;
    let edges = regions::edges(stage)?;
    let own = edges.iter().find(|(name, _)| *name == lost);
    let (_, edge) = own.ok_or_else(|| Failure::rejected(format!("there is no region {LOST}")))?;
    regions::arrived(stage, lost, edge, token).await?;
    story.check(
        true,
        &format!(
            "its edge answers with the write that another region accepted, {} after the start",
            text::span(begun.elapsed())
        ),
        String::new,
    )?;
    let mut home = ask(stage, WRITER).await?;
    while home.region != LOST && begun.elapsed() < RETURN_MAX {
        tokio::time::sleep(Duration::from_millis(100)).await;
        home = ask(stage, WRITER).await?;
    }
    story.check(
        home.region == LOST,
        &format!(
            "a client in {} is answered by {LOST} again, {} after the start",
            stage.airports.place(WRITER),
            text::span(begun.elapsed())
        ),
        || format!("{} still answers", home.region),
    )?;
    let mut all = Vec::new();
    for (name, _) in &edges {
        let mut rows = equality::rows(&stage.regions()?.leader_url(*name), regions::VIEW).await?;
        // Each log numbers its own records.
        rows.values_mut().for_each(|row| row.lsn = Value::Null);
        all.push(rows);
    }
    let rows = all.first().map_or(0, |rows| rows.len());
    let same = rows > 0 && all.iter().all(|other| all.first() == Some(other));
    story.check(same, &format!("all three regions hold the same {rows} rows with the same versions"), || {
        "their rows differ".to_owned()
    })
}

/// Waits until the router has measured equal latencies to all regions, as they are: then distance alone decides.
async fn settle(stage: &mut Stage) -> Result<(), Failure> {
    let begun = Instant::now();
    let url =
        format!("{}/router/v1/explain?path=/get-online-features&place={}", stage.router()?, place(stage, WRITER)?);
    while begun.elapsed() < SETTLE_MAX {
        let view = stage.http.get(&url).await?.json()?;
        let regions = view["regions"].as_array().cloned().unwrap_or_default();
        let measured: Vec<f64> = regions.iter().filter_map(|region| region["latency_ms"].as_f64()).collect();
        let (least, most) =
            measured.iter().fold((f64::MAX, 0.0_f64), |(least, most), ms| (least.min(*ms), most.max(*ms)));
        if regions.iter().all(|region| region["takes"] == json!(true)) && most - least < EQUALLY_NEAR_MS {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(Failure::rejected("the router does not find all regions usable with equal latencies; see router.log"))
}

async fn read_all(stage: &mut Stage) -> Result<Vec<Asked>, Failure> {
    let mut all = Vec::new();
    for airport in AIRPORTS {
        all.push(ask(stage, airport).await?);
    }
    Ok(all)
}

async fn ask(stage: &mut Stage, airport: &'static str) -> Result<Asked, Failure> {
    let request =
        json!({ "features": [format!("{}:mean_delay_24h", regions::VIEW)], "entities": { "airport": [airport] } });
    let (router, place) = (stage.router()?, place(stage, airport)?);
    let headers = [("littoral-place", place.as_str()), ("littoral-explain", "1")];
    let begun = Instant::now();
    let answer = stage.http.post(&format!("{router}/get-online-features"), &headers, &request).await?;
    let took = begun.elapsed();
    let header = |name: &str| answer.header(name).unwrap_or_default().to_owned();
    let (went_to, reason) = (header("littoral-routed-to"), header("littoral-route-reason"));
    // Figures follow the reason.
    let reason = reason.split(';').next().unwrap_or_default().to_owned();
    let features = crate::demo::feast::parse(&answer)?;
    let region = went_to.split('/').next().unwrap_or_default().to_owned();
    Ok(Asked { airport, region, reason, delay: features.number("mean_delay_24h", 0)?, took })
}

/// Returns an airport's code and place.
fn at(stage: &Stage, airport: &str) -> String {
    format!("{} {}", airport.cyan(), stage.airports.place(airport))
}

/// Returns an airport's coordinates in the format of the header.
fn place(stage: &Stage, airport: &str) -> Result<String, Failure> {
    let (latitude, longitude) = stage.airports.coordinates(airport)?;
    Ok(format!("{latitude:.4},{longitude:.4}"))
}

/// Returns every region except the lost one with its distance from an airport in kilometres, the nearest first.
fn distances(stage: &mut Stage, airport: &str, lost: Option<Name>) -> Result<Vec<(Name, f64)>, Failure> {
    let from = stage.airports.coordinates(airport)?;
    let living = stage.regions()?.topology.regions.iter().filter(|region| Some(region.name) != lost);
    let mut all: Vec<_> =
        living.map(|region| (region.name, kilometres(from, (region.latitude, region.longitude)))).collect();
    all.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    Ok(all)
}

fn away(distances: &[(Name, f64)], region: &str) -> String {
    let found = distances.iter().find(|(name, _)| name.as_str() == region);
    found.map_or_else(String::new, |(_, km)| format!("{} km", text::count(*km as u64)))
}

/// Returns the distance on a globe by the haversine formula, independently of the router's code.
fn kilometres((from_latitude, from_longitude): (f64, f64), (latitude, longitude): (f64, f64)) -> f64 {
    let (a, b) = (from_latitude.to_radians(), latitude.to_radians());
    let half_chord = ((b - a) / 2.0).sin().powi(2)
        + a.cos() * b.cos() * ((longitude - from_longitude).to_radians() / 2.0).sin().powi(2);
    2.0 * 6_371.0 * half_chord.sqrt().min(1.0).asin()
}

#[cfg(test)]
mod tests {
    #[test]
    fn distances_are_measured_on_the_globe() {
        let (seattle, the_dalles) = ((47.449, -122.309), (45.59, -121.18));
        assert!((super::kilometres(seattle, the_dalles) - 224.0).abs() < 3.0);
        assert!((super::kilometres((0.0, 0.0), (0.0, 180.0)) - 20_015.0).abs() < 2.0);
    }
}
