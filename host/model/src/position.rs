//! Where something stands in a region's log.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Log sequence number: the dense number of a record in one region's log. The first record is [`Lsn::OLDEST`]; zero
/// stands before every record, so "applied through `Lsn::NONE`" means that nothing has been applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lsn(pub u64);

impl Lsn {
    /// Before every record.
    pub const NONE: Lsn = Lsn(0);
    /// The first record of a log.
    pub const OLDEST: Lsn = Lsn(1);

    /// The number of the record that follows.
    #[must_use]
    pub const fn next(self) -> Lsn {
        Lsn(self.0 + 1)
    }

    /// The number `records` further on.
    #[must_use]
    pub const fn advance(self, records: u64) -> Lsn {
        Lsn(self.0 + records)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Grows with each change of leader in a region. Whatever carries an older epoch is refused (fencing).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch of a log's first leader.
    pub const FIRST: Epoch = Epoch(1);

    /// The epoch of the next leader.
    #[must_use]
    pub const fn next(self) -> Epoch {
        Epoch(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names one life of a log. A log that was lost and begun anew has another incarnation, so that its LSNs are never
/// taken for those of the log before. Drawn at random when the log is made; written as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A point in one life of one region's log: every record up to and including `lsn` is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Which life of the log.
    pub incarnation: Incarnation,
    /// The last record that is included; [`Lsn::NONE`] for none.
    pub lsn: Lsn,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.incarnation, self.lsn)
    }
}
