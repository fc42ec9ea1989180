//! The `littoral` executable as people and programs meet it: what it prints, and how it ends.

mod demo;
mod dev;
mod doctor;
mod exit_codes;
mod support;
