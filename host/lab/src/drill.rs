//! Drills: a real cluster on this machine is broken on purpose while clients read and write, and the outcome is compared with the
//! objectives of its topology.

mod clients;
mod command;
mod ends;
pub mod report;
mod run;
mod scenario;
mod watcher;

pub use command::{Args, run};
