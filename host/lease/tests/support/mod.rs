//! Shared code of this crate's tests.

pub mod s3;
