//! Replication of other regions' records: what follows from each message of another leader's feed, without IO.

mod catalogue;
mod region_feed;

pub use region_feed::{Done, Fault, RegionFeed, Step};
