//! The commands, one file each.

pub mod about;
pub mod certs;
pub mod config;
pub mod conflicts;
pub mod definitions;
#[cfg(feature = "lab")]
pub mod dev;
pub mod doctor;
pub mod edge;
pub mod errors;
pub mod import;
pub mod ingest;
pub mod key_ring;
pub mod leader;
pub mod leading;
pub mod module;
pub mod module_compile;
pub mod node;
pub mod pairs;
pub mod project;
pub mod push_source;
pub mod read;
pub mod region;
pub mod router;
pub mod service;
pub mod status;
pub mod tails;
pub mod token;
pub mod verify;
pub mod version;
pub mod view;

pub use littoral_cli::{block_on, target};

use crate::{
    cli::{Cli, Command},
    failure::Failure,
};
use std::process::ExitCode;

/// Runs the command of the command line.
///
/// # Errors
/// [`Failure`], with its message and exit code.
pub fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let json = cli.json;
    cli.tls.install();
    match cli.command {
        #[cfg(feature = "lab")]
        Command::Demo(args) => littoral_lab::demo::run(&args, json),
        #[cfg(feature = "lab")]
        Command::Dev(args) => dev::run(&args, json),
        Command::Leader(args) => leader::run(&args, json),
        Command::Edge(args) => edge::run(&args, json),
        Command::Router(args) => router::run(&args, json),
        Command::View(args) => definitions::run::<view::Views>(&args, json),
        Command::Service(args) => definitions::run::<service::Services>(&args, json),
        Command::PushSource(args) => definitions::run::<push_source::PushSources>(&args, json),
        Command::Project(args) => definitions::run::<project::Projects>(&args, json),
        Command::Module(args) => module::run(&args, json),
        Command::Ingest(args) => ingest::run(&args, json),
        Command::Read(args) => read::run(&args, json),
        Command::Status(args) => status::run(&args, json),
        Command::Verify(args) => verify::run(&args, json),
        Command::Conflicts(args) => conflicts::run(&args, json),
        Command::Tails(args) => tails::run(&args, json),
        Command::Token(args) => token::run(&args, json),
        Command::KeyRing(args) => key_ring::run(&args, json),
        Command::Region(args) => region::run(&args, json),
        #[cfg(feature = "lab")]
        Command::Drill(args) => littoral_lab::drill::run(&args, json),
        Command::Import(args) => import::run(&args, json),
        Command::Certs(args) => certs::run(&args, json),
        Command::Doctor(args) => doctor::run(&args, json),
        Command::Config(args) => config::run(&args, json),
        Command::Version(args) => version::run(&args, json),
        Command::Errors(args) => errors::run(&args, json),
        #[cfg(feature = "lab")]
        Command::Bench(args) => Ok(littoral_lab::bench::main(&args, json)),
        Command::ModuleCompile(args) => module_compile::run(&args),
    }
}
