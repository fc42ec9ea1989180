//! littoral-leader
