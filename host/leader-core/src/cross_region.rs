//! Replicates other regions' records: decides, without IO, what each message of another leader's feed requires.

mod catalogue;
mod region_feed;

pub use region_feed::{Done, Fault, RegionFeed, Step};
