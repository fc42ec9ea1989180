//! A module is built, uploaded, and read like any feature.

use crate::{
    demo::{
        feast,
        stage::{HOUR, MODULE, ROUTES, Stage},
        story::Story,
    },
    failure::Failure,
    output::{Paint, Table, text},
    target,
};
use std::time::Instant;

/// Builds `delay_risk`, uploads it, and reads its outputs from both edges.
pub async fn play(story: &mut Story, stage: &mut Stage) -> Result<(), Failure> {
    story.step("A WebAssembly module is built, uploaded, and read like any feature")?;
    let begun = Instant::now();
    let source = stage.project.join(MODULE);
    let built = tokio::task::spawn_blocking(move || littoral_module_build::build(&source)).await;
    let component = built.map_err(Failure::rejected)?.map_err(Failure::rejected)?;
    let build = begun.elapsed();
    let size = component.bytes.len() as u64;
    let begun = Instant::now();
    let put = target::client(&stage.leader()?)?.put_module("delay_risk", "1.0.0", component.bytes.into()).await;
    let put = put.map_err(target::failed)?;
    let upload = begun.elapsed();
    stage.token = put.receipt.token;
    story.say(&format!(
        "{} built in {} ({}), checked, compiled and durable in {}",
        "delay_risk 1.0.0".cyan(),
        text::span(build),
        text::bytes(size),
        text::span(upload)
    ))?;
    story.say(&put.digest.dim())?;
    let request = feast::request(&["delay_risk:score", "delay_risk:bucket"], &ROUTES, HOUR);
    let mut answers = Vec::new();
    for (name, url) in stage.edges()? {
        wait_until_callable(stage, &name, &url, &request).await?;
        answers.push(feast::read(&stage.http, &url, &[], &request).await?);
    }
    story.fact("build_ms", build.as_millis() as u64);
    story.fact("ready_after_upload_ms", begun.elapsed().as_millis() as u64);
    let first = answers.first().ok_or_else(|| Failure::rejected("there is no edge"))?;
    let mut table = Table::new(&["from", "to", ">leaving at", ">risk of delay", ""]);
    for (row, (origin, destination)) in ROUTES.iter().enumerate() {
        let bucket = first.text("bucket", row)?;
        let painted = match bucket {
            "low" => bucket.green(),
            "high" => bucket.red(),
            _ => bucket.yellow(),
        };
        table.row([
            format!("{} {}", origin.cyan(), stage.airports.place(origin)),
            format!("{} {}", destination.cyan(), stage.airports.place(destination)),
            format!("{HOUR}:00"),
            format!("{:.0} %", 100.0 * first.number("score", row)?),
            painted,
        ]);
    }
    story.table(&table)?;
    let sane = (0..ROUTES.len()).all(|row| first.number("score", row).is_ok_and(|score| (0.0..=1.0).contains(&score)));
    story.check(sane, "each route has a score, computed in the edge from three rows", || {
        "a score is not between 0 and 1".to_owned()
    })?;
    let same = answers.iter().all(|other| other.same_values(first));
    let named = answers.iter().all(|answer| answer.modules.as_deref().is_some_and(|text| text.contains(&put.digest)));
    story.check(same && named, "both edges give the same answer, and name the module's digest", || {
        format!("they name {:?}", answers.iter().map(|answer| answer.modules.clone()).collect::<Vec<_>>())
    })
}

/// Waits until an edge has fetched and compiled the release.
async fn wait_until_callable(stage: &Stage, name: &str, url: &str, request: &serde_json::Value) -> Result<(), Failure> {
    const WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(20);
    const PAUSE: std::time::Duration = std::time::Duration::from_millis(5);
    let begun = Instant::now();
    loop {
        let answer = feast::ask(&stage.http, url, &[], request).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        if begun.elapsed() > WAIT_MAX {
            let text = answer.text();
            return Err(Failure::rejected(format!(
                "{name} cannot call the module: it answers {} {text}",
                answer.status
            )));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
