//! What modelled sources take for `moka`.

pub mod notification;
pub mod sync;
