//! The sandbox from outside: real guests, built from `/guest`, well-behaved and not.

mod examples;
mod faults;
mod hostile;
mod isolation;
mod joined;
mod logs;
mod lookups;
mod refusals;
mod rows;
mod support;
mod versions;
