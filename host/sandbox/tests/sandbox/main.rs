//! Tests the sandbox from outside with real guests, built from `/guest`, well-behaved and not.

mod examples;
mod faults;
mod hostile;
mod isolation;
mod logs;
mod lookups;
mod rejections;
mod rows;
mod sharing;
mod support;
mod versions;
