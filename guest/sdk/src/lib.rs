//! The SDK for writing Littoral modules in Rust.
//!
//! A module declares what it reads and what it produces, and computes one batch of rows at a time:
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
//! An absent value (null, not found, or older than its view allows) is `None`; [`Values::status`] states which. A row
//! that the host does not hold and cannot fetch is unknown, which is not absent: see
//! [`FeatureModule::HANDLES_UNKNOWN`].
//!
//! The same code runs natively under `cargo test`: see [`testing`]. A module whose output rows depend only on their own
//! input rows declares itself [`Manifest::row_wise`], and is then called once for the rows of many requests.

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
