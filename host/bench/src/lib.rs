//! littoral-bench
