//! The stand-in for `moka` in modelled sources.

pub mod notification;
pub mod sync;
