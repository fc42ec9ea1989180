//! Takes over the definitions of a Feast project: its registry file becomes views, push sources and feature services.
//!
//! [`Plan::read`] turns the file's bytes into what the catalogue can hold, and into a list of everything that it cannot,
//! each with the reason. [`import`] applies a plan to a leader; running it again changes only what is not there yet.
//!
//! On-demand feature views hold pickled Python, which is not run here: they become [`Binding`]s, which say what module
//! must be uploaded under which name.

mod about;
mod binding;
mod error;
mod import;
mod plan;
mod proto;
mod report;
mod services;
mod sources;
mod types;
mod views;

pub use binding::Binding;
pub use error::Error;
pub use import::import;
pub use plan::{Note, Plan};
pub use report::{ImportReport, Item, Kind, Outcome};
