//! Drills: a real cluster on this machine is broken on purpose while clients go on reading and writing, and what they see is held
//! against what its topology promises.

mod clients;
mod ends;
mod run;
mod scenario;
mod watcher;

pub use run::{Order, run};
pub use scenario::Drill;
