//! The demo: a leader and two edges as real processes, real flights, a module, an update, an outage; then three regions behind a
//! router, clients at real airports, and a region that is lost. Everything that it says is checked, and the first thing that does
//! not hold ends it.

mod airports;
mod board;
mod define;
mod equal;
mod equality;
mod feast;
mod load;
mod outage;
mod regions;
mod release;
mod stage;
mod start;
mod story;
mod travellers;
mod update;

use crate::failure::Failure;
use littoral_runtime::Signals;
use stage::Stage;
use std::process::ExitCode;
use story::Story;

/// Runs the demo. Its data directory is temporary; `keep` leaves it behind for a look at logs and data.
///
/// # Errors
/// The first thing that does not hold, with the reason.
pub async fn run(keep: bool, json: bool) -> Result<ExitCode, Failure> {
    let mut signals = Signals::listen().map(Signals::with_terminal).map_err(Failure::refused)?;
    let dir = tempfile::Builder::new()
        .prefix("littoral-demo-")
        .tempdir()
        .map_err(|error| Failure::refused(format!("cannot make a temporary directory: {error}")))?;
    let mut story = Story::new(json);
    story.title("Littoral", "real flights, on their way from a writer to the edge")?;
    let mut stage = Stage::new(dir.path().to_owned())?;
    let told = tokio::select! {
        told = tell(&mut story, &mut stage) => told,
        reason = signals.next() => Err(Failure::refused(format!("stopped by {reason}"))),
    };
    stage.close().await;
    if keep {
        story.say(&format!("data and logs are kept in {}", dir.keep().display()))?;
    }
    story.end(told.as_ref().err())?;
    told.map(|()| ExitCode::SUCCESS)
}

async fn tell(story: &mut Story, stage: &mut Stage) -> Result<(), Failure> {
    start::play(story, stage).await?;
    define::play(story, stage).await?;
    load::play(story, stage).await?;
    board::play(story, stage).await?;
    release::play(story, stage).await?;
    update::play(story, stage).await?;
    outage::play(story, stage).await?;
    equal::play(story, stage).await?;
    stage.next_act().await;
    regions::play(story, stage).await?;
    travellers::play(story, stage).await
}
