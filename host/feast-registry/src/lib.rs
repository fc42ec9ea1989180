//! Imports the definitions of a Feast project: its registry file becomes feature views, push sources and feature
//! services.
//!
//! [`Plan::read`] converts the file into definitions for the catalogue, and lists what the catalogue cannot hold, with
//! the reasons. [`import()`] applies a plan to a leader; running it again changes only what is missing.
//!
//! On-demand feature views contain pickled Python, which is not run here: they become [`Binding`]s, each of which
//! describes the module that must be uploaded, and its name.

#![warn(clippy::unwrap_used)]

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
pub use import::{import, is_in_default};
pub use plan::{Note, Plan};
pub use report::{ImportReport, Item, Kind, Outcome};
