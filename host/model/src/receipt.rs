//! What is remembered of a write with an idempotency key.

use crate::{hlc::Hlc, outranked::Outranked, position::Lsn};
use serde::{Deserialize, Serialize};

/// An idempotency key and the write that it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The writer's key.
    pub idempotency_key: String,
    /// Hash of the write's content.
    pub content: u64,
    /// The write's first record.
    pub first: Lsn,
    /// The write's last record.
    pub last: Lsn,
    /// When the write was accepted.
    pub hlc: Hlc,
    /// Its rows that changed nothing. Snapshots keep them in blocks of their own, because older
    /// programs wrote receipts without them.
    #[serde(skip)]
    pub outranked: Outranked,
}
