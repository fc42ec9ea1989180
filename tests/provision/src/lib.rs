//! littoral-provision
