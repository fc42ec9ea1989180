//! `lease-contender`: competes for a lease and, while it leads, appends to its own log and acknowledges. Tests and
//! drills kill, pause and isolate such processes. All contenders record their acknowledgements in one shared file.

#![warn(clippy::unwrap_used)]

use clap::Parser;
use littoral_lease::{
    Config, EpochStride, Handle, Profile, clock,
    service::{self, InvalidConfig},
    store::open::{OpenError, open},
};
use littoral_model::position::Epoch;
use object_store::aws::AmazonS3Builder;
use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The pause between two appends.
const APPEND_EVERY: Duration = Duration::from_millis(2);

#[derive(Parser)]
#[command(about = "Competes for a lease, and acknowledges appends to its own log while it leads", version)]
struct Arguments {
    /// The address of the lease store: dir:/PATH, s3://BUCKET/PREFIX (with the AWS_* variables) or
    /// etcd://HOST:PORT,HOST:PORT/PREFIX
    store: String,
    /// The contender's name
    #[arg(long)]
    name: String,
    /// How quickly a new leader follows the old one
    #[arg(long, value_enum, default_value_t = Profile::Default)]
    profile: Profile,
    /// The contender's own log
    #[arg(long)]
    log: PathBuf,
    /// The shared file to which each contender writes one line per acknowledgement: nanoseconds, epoch, name
    #[arg(long)]
    acknowledged: PathBuf,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    #[error(transparent)]
    System(#[from] io::Error),
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let timing = arguments.profile.timing();
    let memory = arguments.log.with_extension("lease-store.json");
    let store = open(&arguments.store, &timing, clock::system(), AmazonS3Builder::from_env(), Some(memory))?;
    let config =
        Config { name: arguments.name.clone(), contact: String::new(), timing, epochs: EpochStride::default() };
    let (handle, service) = service::new(config, store, clock::system())?;
    let (log, acknowledged) = (to_append(&arguments.log)?, to_append(&arguments.acknowledged)?);
    let stop = CancellationToken::new();
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::spawn({
        let stop = stop.clone();
        async move {
            terminated.recv().await;
            stop.cancel();
        }
    });
    handle.stand(Epoch(0)).await;
    let writer = {
        let (stop, name) = (stop.clone(), arguments.name);
        thread::Builder::new().name("writer".into()).spawn(move || {
            let result = write(&handle, &stop, &name, log, acknowledged);
            stop.cancel();
            result
        })?
    };
    service.run(stop).await;
    match writer.join() {
        Ok(result) => Ok(result?),
        Err(_) => Err(io::Error::other("the writer has panicked").into()),
    }
}

fn to_append(path: &Path) -> Result<File, Failure> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map_err(|error| Failure::File(path.to_owned(), error))
}

/// Appends and acknowledges while this process leads. Prints a line each time it loses the right to acknowledge.
fn write(
    handle: &Handle,
    stop: &CancellationToken,
    name: &str,
    mut log: File,
    mut acknowledged: File,
) -> io::Result<()> {
    let mut leads = None;
    while !stop.is_cancelled() {
        thread::sleep(APPEND_EVERY);
        let outcome = handle.epoch().and_then(|epoch| {
            let written = writeln!(log, "{epoch}").and_then(|()| log.sync_data());
            let now = clock::now();
            handle.confirm(epoch).map(|()| (epoch, now, written))
        });
        match outcome {
            Ok((epoch, now, written)) => {
                written?;
                // Write the line at once, so that lines of several processes do not mix.
                acknowledged.write_all(format!("{} {epoch} {name}\n", now.as_nanos()).as_bytes())?;
                leads = Some(epoch);
            }
            Err(fenced) => {
                if let Some(epoch) = leads.take() {
                    println!("fenced {} {epoch} {fenced}", clock::now().as_nanos());
                }
            }
        }
    }
    Ok(())
}
