//! The replication protocol without IO: its messages and its decisions, event in and effect out, time as an argument.

pub mod call;
pub mod fill;
pub mod frame;
