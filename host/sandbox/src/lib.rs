//! littoral-sandbox
