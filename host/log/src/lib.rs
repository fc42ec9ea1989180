//! littoral-log
