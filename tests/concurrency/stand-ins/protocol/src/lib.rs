//! What modelled sources take for `littoral_protocol`.

pub mod fill;
