//! Configuration: TOML files, overridden by the environment, overridden by flags. Each crate owns the type of its
//! section; this module combines them, and reports each problem with its place and its remedy.

pub mod check;
pub mod dev;
pub mod edge;
pub mod leader;
pub mod lease;
pub mod load;
pub mod overrides;
pub mod places;
pub mod problem;
pub mod router;
pub mod sections;
pub mod suggest;

pub use load::load;
pub use overrides::Override;
pub use problem::Problem;

impl From<Problem> for littoral_cli::Failure {
    fn from(problem: Problem) -> Self {
        Self::usage(problem)
    }
}
