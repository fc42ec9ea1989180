//! Clients that are slow, silent, broken or too many, over real sockets: each receives an error or is disconnected, and
//! others are served.

#[path = "../../../http/tests/support/alone.rs"]
mod alone;
mod browsers;
mod clients;
mod door;
mod draining;
mod limits;
mod waiting;
