//! The stand-in for `littoral_protocol` in modelled sources.

pub mod fill;
