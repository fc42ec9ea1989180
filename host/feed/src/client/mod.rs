//! The client side: for subscribers and callers.

mod address;
mod calls;
mod config;
mod connection;
mod error;
mod feed;
mod leader_rows;
mod pause;

pub use address::host_and_port;
pub use calls::{CallClient, CallError};
pub use config::Config;
pub use connection::{Connection, connect, connect_calls, connect_from, connect_over};
pub use error::Error;
pub use feed::{FeedReceiver, FeedSender};
pub use leader_rows::LeaderRows;
pub use pause::Pause;
