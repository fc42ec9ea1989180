//! littoral-protocol
