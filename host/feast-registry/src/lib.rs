//! littoral-feast-registry
