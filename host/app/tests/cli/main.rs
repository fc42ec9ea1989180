//! The `littoral` executable as people and programs meet it: what it prints, and how it ends.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod demo;
mod dev;
mod exit_codes;
mod support;
