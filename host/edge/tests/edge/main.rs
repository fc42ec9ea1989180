//! An edge against a leader in memory, served by the real feed server over real sockets.

mod follow;
mod leader;
mod modules;
mod proof;
mod reads;
mod relay;
mod restart;
mod support;
mod tails;
mod writes;
