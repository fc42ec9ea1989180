//! The command's configuration, built from its source, because the command is a program without a library.

#![allow(dead_code, reason = "reading and checking is what is fuzzed")]

#[path = "../../../host/app/src/config/check.rs"]
pub mod check;
#[path = "../../../host/app/src/config/dev.rs"]
pub mod dev;
#[path = "../../../host/app/src/config/edge.rs"]
pub mod edge;
#[path = "../../../host/app/src/config/leader.rs"]
pub mod leader;
#[path = "../../../host/app/src/config/lease.rs"]
pub mod lease;
#[path = "../../../host/app/src/config/load.rs"]
pub mod load;
#[path = "../../../host/app/src/config/overrides.rs"]
pub mod overrides;
#[path = "../../../host/app/src/config/places.rs"]
pub mod places;
#[path = "../../../host/app/src/config/problem.rs"]
pub mod problem;
#[path = "../../../host/app/src/config/router.rs"]
pub mod router;
#[path = "../../../host/app/src/config/sections.rs"]
pub mod sections;
#[path = "../../../host/app/src/config/suggest.rs"]
pub mod suggest;

pub use load::load;
pub use overrides::Override;
pub use problem::Problem;
