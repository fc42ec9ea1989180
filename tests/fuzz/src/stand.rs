//! The node in memory that the doors' own tests stand before.

#[allow(dead_code, missing_docs, reason = "it is a test's, and a part of it is used")]
#[path = "../../../host/doors/tests/doors/node.rs"]
pub(crate) mod memory;
