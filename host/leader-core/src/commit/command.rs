//! Commands that append to the log, and their effects once they are durable.

use crate::{import::Import, published::Records};
use bytes::Bytes;
use littoral_model::{
    catalogue::CatalogueChange,
    cluster::Affiliation,
    hlc::Hlc,
    lineage::Start,
    position::{Incarnation, Lsn},
    write::WriteRequest,
};

/// A command that appends to the log.
#[derive(Debug)]
pub enum LogCommand {
    /// A write that was checked against the catalogue of this generation; `content` is its hash.
    Write {
        /// The rows.
        request: WriteRequest,
        /// [`crate::receipts::content_hash`], if the write has an idempotency key.
        content: u64,
        /// The generation of the catalogue against which it was checked.
        generation: u64,
    },
    /// A change of the catalogue.
    Change(CatalogueChange),
    /// Collect the tombstones of writes older than this clock reading. The command is a record, so that all replicas
    /// collect at the same position.
    Collect(Hlc),
    /// Another region's records.
    Import(Import),
    /// Begin another life of the log with this record.
    Begin {
        /// A random number that names the life.
        life: Incarnation,
        /// Whether the log was found to be rolled back while its process ran.
        rolled_back: bool,
    },
    /// Set the affiliation of the log.
    Affiliate(Affiliation),
    /// Merge rows and deletions that this region had accepted and its log has lost. They keep their versions, as if
    /// they arrived late.
    Merge {
        /// The records, encoded as in a log. Other kinds of records are skipped.
        records: Bytes,
        /// An idempotency key that names the piece and the log.
        piece: String,
        /// [`crate::receipts::bytes_hash`] of the records.
        content: u64,
    },
}

/// The effect of a command. It is applied once the command's batch is durable, and committed.
#[derive(Debug)]
pub enum CommandEffect {
    /// Rows. Their LSNs and clock readings follow the first one's, ascending by one.
    Rows {
        /// The rows.
        request: WriteRequest,
        /// The first row's LSN.
        first: Lsn,
        /// The last row's LSN.
        last: Lsn,
        /// The first row's clock reading.
        hlc: Hlc,
    },
    /// A catalogue change.
    Change {
        /// The change as in the log.
        change: CatalogueChange,
        /// The LSN of its record.
        lsn: Lsn,
    },
    /// A collection of tombstones.
    Collect {
        /// The tombstones of writes older than this are collected.
        before: Hlc,
        /// The LSN of its record.
        lsn: Lsn,
    },
    /// Another region's records, to be applied one by one.
    Import {
        /// The records as in this log.
        records: Bytes,
        /// The first LSN.
        first: Lsn,
        /// The last LSN.
        last: Lsn,
    },
    /// A new life of the log.
    Begin {
        /// Its first record.
        start: Start,
    },
    /// A new affiliation of the log.
    Affiliated {
        /// The affiliation.
        belongs: Affiliation,
        /// The LSN of its record.
        lsn: Lsn,
    },
    /// None: the request's records are already in the log, or earlier in this batch. The request is acknowledged once
    /// they are durable.
    Before {
        /// The first record of the request.
        first: Lsn,
        /// The last record of the request.
        last: Lsn,
        /// Whether the request is a retry.
        duplicate: bool,
    },
}

impl CommandEffect {
    /// Returns the records of the request.
    #[must_use]
    pub fn records(&self) -> Records {
        let (first, last, duplicate) = match self {
            Self::Rows { first, last, .. } | Self::Import { first, last, .. } => (*first, *last, false),
            Self::Change { lsn, .. } | Self::Collect { lsn, .. } | Self::Affiliated { lsn, .. } => (*lsn, *lsn, false),
            Self::Begin { start } => (start.first, start.first, false),
            Self::Before { first, last, duplicate } => (*first, *last, *duplicate),
        };
        Records { first, last, duplicate }
    }
}
