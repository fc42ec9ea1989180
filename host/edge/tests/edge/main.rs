//! Tests of an edge against an in-memory leader, served by the real feed server over real sockets.

mod anti_entropy;
mod at_rest;
mod embed;
mod follow;
mod leader;
mod modules;
mod reads;
mod relay;
mod residency;
mod restart;
mod support;
mod tails;
mod writes;
