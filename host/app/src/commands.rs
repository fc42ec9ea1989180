//! The commands, one file each.

pub mod about;
pub mod bench;
pub mod config;
pub mod conflicts;
pub mod definitions;
pub mod demo;
pub mod dev;
pub mod drill;
pub mod edge;
pub mod import;
pub mod ingest;
pub mod leader;
pub mod leading;
pub mod module;
pub mod module_compile;
pub mod node;
pub mod pairs;
pub mod push_source;
pub mod read;
pub mod region;
pub mod router;
pub mod service;
pub mod status;
pub mod tails;
pub mod target;
pub mod verify;
pub mod view;

use crate::{
    cli::{Cli, Command},
    failure::Failure,
};
use std::process::ExitCode;

/// Does what the command line says.
///
/// # Errors
/// [`Failure`], with its message and exit code.
pub fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let json = cli.json;
    match cli.command {
        Command::Demo(args) => demo::run(&args, json),
        Command::Dev(args) => dev::run(&args, json),
        Command::Leader(args) => leader::run(&args, json),
        Command::Edge(args) => edge::run(&args, json),
        Command::Router(args) => router::run(&args, json),
        Command::View(args) => definitions::run::<view::Views>(&args, json),
        Command::Service(args) => definitions::run::<service::Services>(&args, json),
        Command::PushSource(args) => definitions::run::<push_source::PushSources>(&args, json),
        Command::Module(args) => module::run(&args, json),
        Command::Ingest(args) => ingest::run(&args, json),
        Command::Read(args) => read::run(&args, json),
        Command::Status(args) => status::run(&args, json),
        Command::Verify(args) => verify::run(&args, json),
        Command::Conflicts(args) => conflicts::run(&args, json),
        Command::Tails(args) => tails::run(&args, json),
        Command::Region(args) => region::run(&args, json),
        Command::Drill(args) => drill::run(&args, json),
        Command::Import(args) => import::run(&args, json),
        Command::Config(args) => config::run(&args, json),
        Command::Bench(args) => bench::run(&args, json),
        Command::ModuleCompile(args) => module_compile::run(&args),
    }
}

/// Runs a command that talks to nodes.
fn block_on(command: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::refused(format!("cannot start worker threads: {error}")))?
        .block_on(command)
}
