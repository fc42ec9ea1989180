//! littoral-runtime
