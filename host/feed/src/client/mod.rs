//! The subscriber's and caller's end.

mod calls;
mod config;
mod connection;
mod error;
mod feed;
mod pause;

pub use calls::{CallClient, CallError, LeaderRows};
pub use config::Config;
pub use connection::{Connection, connect, connect_calls, connect_from, connect_over};
pub use error::Error;
pub use feed::{FeedReceiver, FeedSender};
pub use pause::Pause;
