//! Reads of features, as every door needs them: names to plans, keys to rows, TTLs, coercion of values, parts of rows,
//! calls of modules, freshness.
//!
//! A door describes the [`Shape`] of a request and its columns of values. [`Reader::prepare`] resolves the shape to a
//! plan, once for all requests of that shape. [`Reader::execute`] runs a plan, and [`Reader::read`] does both, again
//! when the catalogue changes in between. The [`Answer`] refers to the rows' bytes: a door writes them in its own
//! format.
//!
//! Invariant: nothing here depends on a protocol. Errors have a [`Kind`], which each door maps to its own codes.

#![warn(clippy::unwrap_used)]

mod answer;
pub mod cell;
pub mod coerce;
mod error;
mod gather;
mod input;
mod modules;
pub mod plan;
mod project;
pub mod python;
mod reader;
mod release;
mod scratch;

pub use answer::Answer;
pub use cell::Cell;
pub use error::{Error, Kind};
pub use input::Input;
pub use plan::{Extra, Plan, Prepared, Shape, Wanted};
pub use project::ProjectReader;
pub use reader::{Executed, Limits, Read, Reader, Wait};
