//! littoral-module-build
