//! Drills: inject faults into a real cluster on this machine while clients read and write, and compare the outcome with
//! the objectives of its topology.

mod clients;
mod command;
mod ends;
pub mod report;
mod routers;
mod run;
mod scenario;
mod watcher;

pub use command::{Args, run};
