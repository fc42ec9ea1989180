//! littoral-gateway
