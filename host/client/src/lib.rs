//! A typed client of a node's door: the native API under `/v1`, and Feast's read to compare the two.
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
//! Every attempt of a call has a timeout and a bound on the size of its response. The client retries a call only if it
//! never reached the node, or if it is idempotent and failed for a reason that may pass: the node is busy, the
//! connection broke, or there was no response in time.

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
mod projects;
mod push_sources;
mod read;
mod routes;
mod rows;
mod services;
mod tails;
mod views;

pub use client::Client;
pub use config::Config;
pub use error::Error;
pub use littoral_api::{
    ChangeReceipt, Object, Problem, RowsReceipt,
    conflicts::{Conflict, ConflictSide, Conflicts},
    feast::{FeastAnswer, FeastColumn, FeastMetadata},
    modules::{Edges, ModuleInfo, ModulePut},
    projects::{Project, ProjectBody},
    read::{Demand, Freshness, Read, ReadAnswer, ReadColumn},
    receipt::{Outranked, RowPlace},
    routes::{Routed, RoutedDoor, RoutedRegion, Routes},
    rows::{HeldRow, RowDelete, RowDocument, RowPage, ViewRows},
    tails::{Tail, TailPage, TailRecord},
};
pub use littoral_model::{
    caller::Credential,
    project::{InvalidProject, ProjectName},
};
pub use littoral_tls::ClientFiles;
pub use node::{Catalogue, Readiness};
pub use views::ViewPut;
