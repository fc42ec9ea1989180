//! Write a Littoral module in Rust.
//!
//! A module declares what it reads and what it makes, and computes a batch of rows at a time:
//!
//! ```
//! use littoral_guest::{Batch, Error, FeatureModule, Lookup, Manifest, Outputs, ValueType};
//!
//! struct Doubled;
//!
//! impl FeatureModule for Doubled {
//!     fn describe() -> Manifest {
//!         Manifest::new().input("trips", "distance", ValueType::Double).output("doubled", ValueType::Double)
//!     }
//!
//!     fn transform(batch: &Batch, _: &dyn Lookup) -> Result<Outputs, Error> {
//!         let distance = batch.doubles("trips:distance")?;
//!         Ok(Outputs::new().doubles("doubled", batch.each(|row| distance.get(row).map(|miles| miles * 2.0))))
//!     }
//! }
//!
//! littoral_guest::export!(Doubled);
//! ```
//!
//! What is absent (null, not found, older than its view allows) is `None`, with [`Values::status`] to tell which. A row that the
//! host does not hold and cannot ask for is unknown, which is not absent: see [`FeatureModule::HANDLES_UNKNOWN`]. The same code runs natively under `cargo test`: see [`testing`]. A module whose rows stand for themselves says so
//! ([`Manifest::row_wise`]): it is then called once for the rows of many requests.

#[cfg(any(target_arch = "wasm32", test))]
mod arena;
mod batch;
mod column;
mod error;
mod guest;
mod log;
mod lookup;
mod manifest;
mod outputs;
pub mod testing;
mod unknown;

#[doc(hidden)]
pub mod bindings;

pub use batch::{Batch, Values};
pub use column::{Column, ColumnData, Status};
pub use error::Error;
pub use guest::FeatureModule;
#[doc(hidden)]
pub use guest::run;
pub use log::{Level, log};
pub use lookup::{Lookup, Rows};
pub use manifest::{Manifest, ValueType};
pub use outputs::Outputs;
