//! littoral-client
