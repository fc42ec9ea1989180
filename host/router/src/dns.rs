//! The DNS responder: an authoritative server for one zone, whose answers come from the decision core.
//!
//! The zone's apex answers with addresses of healthy edges of the best region for the client. Below it, each region's
//! name answers with that region's edges while it has healthy ones.

mod answer;
mod config;
mod serve;
mod subnet;
mod zone;

pub use answer::{Transport, answer};
pub use config::{Config, Nameserver};
pub use serve::serve;
pub use zone::{Invalid, Zone};
