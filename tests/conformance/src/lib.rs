//! littoral-conformance
