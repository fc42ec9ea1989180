//! A typed client of a node's doors: the native API under `/v1`, and Feast's read for those who compare the two.
//!
//! ```no_run
//! # async fn example() -> Result<(), littoral_client::Error> {
//! use littoral_client::{Client, Config, Read};
//! let client = Client::new("http://127.0.0.1:6566", Config::default())?;
//! let read = Read::features(["airport_hourly:mean_delay_1h"]).entity("airport", ["ATL", "ORD"]);
//! println!("{:?}", client.read(&read).await?.columns);
//! # Ok(()) }
//! ```
//!
//! Every call has a deadline and a bound on the answer's size. A call is repeated only where that cannot do harm: it
//! never reached the node, or it is idempotent and the node says that it is busy.

#![warn(clippy::unwrap_used)]

mod address;
mod call;
mod client;
mod config;
mod conflicts;
mod error;
mod exchange;
mod feast;
mod modules;
mod node;
mod push_sources;
mod read;
mod receipt;
mod routes;
mod rows;
mod services;
mod tails;
mod views;
mod whole;
mod wire_view;

pub use client::Client;
pub use config::Config;
pub use conflicts::{Conflict, ConflictSide, Conflicts};
pub use error::{Error, Problem};
pub use feast::{FeastAnswer, FeastColumn, FeastMetadata};
pub use modules::{Edges, ModuleInfo, ModulePut};
pub use node::{Catalogue, Readiness};
pub use read::{Demand, Freshness, Read, ReadAnswer, ReadColumn};
pub use receipt::{ChangeReceipt, Outranked, RowsReceipt};
pub use routes::{Routed, RoutedDoor, RoutedRegion, Routes};
pub use rows::{HeldRow, RowDelete, RowDocument, RowPage, ViewRows};
pub use tails::{Tail, TailPage, TailRecord};
pub use views::ViewPut;

/// A JSON object, as keys and values of rows travel.
pub type Object = serde_json::Map<String, serde_json::Value>;
