//! The demo. First act: a leader and two edges as real processes, real flights, a module, an update, an outage. Second
//! act: three regions behind a router, clients at real airports, and the loss of a region. The demo checks every claim
//! that it prints, and ends at the first one that fails.

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

/// `littoral demo ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Keep the data directory with every node's log, and print its path.
    #[arg(long)]
    keep: bool,
}

/// Runs the demo. Its data directory is temporary unless it is to be kept.
///
/// # Errors
/// The first check that fails, with the reason; or what the demo needs and does not find.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    littoral_cli::block_on(perform(args.keep, json))
}

async fn perform(keep: bool, json: bool) -> Result<ExitCode, Failure> {
    let mut signals = Signals::listen().map(Signals::with_terminal).map_err(Failure::rejected)?;
    let dir = tempfile::Builder::new()
        .prefix("littoral-demo-")
        .tempdir()
        .map_err(|error| Failure::rejected(format!("cannot create a temporary directory: {error}")))?;
    let mut stage = Stage::new(dir.path().to_owned())?;
    let mut story = Story::new(json);
    story.title("Littoral", "real flights, on their way from a writer to the edge")?;
    let outcome = tokio::select! {
        outcome = acts(&mut story, &mut stage) => outcome,
        reason = signals.next() => Err(Failure::rejected(format!("stopped by {reason}"))),
    };
    stage.close().await;
    if keep {
        story.say(&format!("data and logs are kept in {}", dir.keep().display()))?;
    }
    story.end(outcome.as_ref().err())?;
    outcome.map(|()| ExitCode::SUCCESS)
}

async fn acts(story: &mut Story, stage: &mut Stage) -> Result<(), Failure> {
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
