//! The DNS responder: an authoritative server for one zone, whose answers come from the decision core.
//!
//! The zone's apex answers with addresses of edges of the best region for the client. Below it, each region's name
//! answers with addresses of that region's healthy edges, or, if there are none, of its edges that have data.

mod answer;
mod config;
mod serve;
mod subnet;
mod zone;

pub use answer::{Transport, answer};
pub use config::{Config, Nameserver};
pub use serve::serve;
pub use zone::{Invalid, Zone};
