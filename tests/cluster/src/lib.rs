//! What the tests of real processes share: one view, its writes and reads, and comparison of nodes row by row.

pub mod accounts;
pub mod copies;
pub mod damage;
pub mod disk;
pub mod equality;
pub mod load;
pub mod pair;
pub mod truth;
