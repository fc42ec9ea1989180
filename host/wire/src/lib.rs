//! littoral-wire
