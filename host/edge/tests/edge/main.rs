//! Tests of an edge against an in-memory leader, served by the real feed server over real sockets.

#![allow(clippy::unwrap_used, reason = "a test's unwrap is its assertion")]

mod embed;
mod follow;
mod leader;
mod modules;
mod reads;
mod relay;
mod restart;
mod support;
mod tails;
mod writes;
