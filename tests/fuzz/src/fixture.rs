//! The node in memory of the doors' own tests.

#[allow(clippy::unwrap_used, dead_code, missing_docs, reason = "the file belongs to a test, and a part of it is used")]
#[path = "../../../host/doors/tests/doors/node.rs"]
pub(crate) mod memory;
