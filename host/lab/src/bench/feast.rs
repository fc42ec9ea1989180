//! The peer `feast serve` with two workers, in the project's Python environment.

use crate::bench::{
    failure::Failure,
    load::{self, Framing, Load, Pace},
    reads::CONNECTIONS,
    session::{Effort, progress},
    setup::answer_to,
};
use bytes::Bytes;
use littoral_provision::{Guarded, feast::Environment, guarded};
use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

/// The repository's definitions, and the code that fills it.
const FEATURES: &str = include_str!("feast_repo.py");

/// The repository's configuration: SQLite, Feast's default online store.
const STORE: &str = "project: bench\nprovider: local\nregistry: registry.db\nonline_store:\n  type: sqlite\n  path: \
                     online.db\noffline_store:\n  type: file\nentity_key_serialization_version: 3\n";

/// How long it may take until it answers.
const START_MAX: Duration = Duration::from_secs(90);

/// The number of runs, of which the best counts.
const RUNS: usize = 3;

/// Returns the answers per second of the best of three runs. Best, not median: doubts are resolved in favour of the
/// peer.
///
/// # Errors
/// When there is no environment with Feast, or it does not serve.
pub fn best_rate(requests: &Arc<[Bytes]>, effort: Effort) -> Result<f64, Failure> {
    let environment = Environment::find().ok_or_else(|| {
        Failure(
            "there is no Python environment with Feast; create one with: cargo run -p littoral-provision".to_owned(),
        )
    })?;
    progress("starting feast serve");
    let dir = tempfile::tempdir()?;
    fill(&environment, dir.path(), effort)?;
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let mut process = Guarded::start(serve(&environment, dir.path(), port), "feast", &dir.path().join("feast.log"))?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let outcome = measure(address, requests, effort);
    // SIGTERM makes the master stop its workers; after SIGKILL they would run on for a second.
    process.stop(Duration::from_secs(5));
    outcome.map_err(|failure| Failure(format!("{failure}; its log ends: {}", process.log_tail())))
}

fn fill(environment: &Environment, dir: &Path, effort: Effort) -> Result<(), Failure> {
    std::fs::write(dir.join("feature_store.yaml"), STORE)?;
    std::fs::write(dir.join("features.py"), FEATURES)?;
    let filled = environment
        .command(&environment.python())
        .args(["features.py", &effort.rows.to_string()])
        .current_dir(dir)
        .output()?;
    if filled.status.success() {
        return Ok(());
    }
    Err(Failure::new("filling Feast's store", String::from_utf8_lossy(&filled.stderr)))
}

fn serve(environment: &Environment, dir: &Path, port: u16) -> Command {
    let mut command = environment.command(&environment.feast());
    command.args(["serve", "--host", "127.0.0.1", "--port", &port.to_string(), "--workers", "2", "--no-access-log"]);
    // By default its workers restart after 1,000 requests, and their start would be measured.
    command.args(["--max-requests", "0", "--max-requests-jitter", "0"]);
    guarded::quiet(&mut command).current_dir(dir);
    command
}

fn measure(address: SocketAddr, requests: &Arc<[Bytes]>, effort: Effort) -> Result<f64, Failure> {
    let deadline = Instant::now() + START_MAX;
    while let Err(failure) = answer_to(address, &requests[0]) {
        if Instant::now() > deadline {
            return Err(failure);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    let (requests, framing, pace) = (requests.clone(), Framing::Http, Pace::Closed);
    let load = Load { address, requests, framing, connections: CONNECTIONS, pace, tls: None, duration: effort.run };
    // The workers' first answers fill their caches.
    load::run(&load)?;
    (0..RUNS).try_fold(0.0, |best: f64, _| Ok(best.max(load::run(&load)?.rate)))
}
