//! RegionFeed other regions' records: what each message of another leader's feed leads to, without IO.

mod catalogue;
mod region_feed;

pub use region_feed::{Done, Fault, RegionFeed, Step};
