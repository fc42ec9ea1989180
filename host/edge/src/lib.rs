//! littoral-edge
