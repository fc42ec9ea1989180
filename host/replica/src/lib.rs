//! littoral-replica
