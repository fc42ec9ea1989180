//! littoral-cluster
