//! Configuration: TOML files, overridden by the environment, overridden by flags. Each crate owns what its section
//! may hold; here they are put together, and whatever is wrong is said with its place and its remedy.

pub mod dev;
pub mod edge;
pub mod leader;
pub mod lease;
pub mod load;
pub mod overrides;
pub mod problem;
pub mod router;
pub mod sections;
pub mod suggest;

pub use load::load;
pub use overrides::Override;
pub use problem::Problem;
