//! The common code of the tests with real processes: one view, its writes and reads, and the comparison of nodes row by
//! row.

pub mod accounts;
pub mod copies;
pub mod damage;
pub mod disk;
pub mod equality;
pub mod load;
pub mod pair;
pub mod truth;
