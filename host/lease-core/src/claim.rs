//! Claims: what a holder writes into the lease store. A claim names the holder and the epoch, and how long the lease
//! lasts from the moment the write began.

use crate::identity::StoreId;
use littoral_model::position::{Epoch, Incarnation, Lsn};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// The longest name of a holder, in bytes.
pub const NAME_MAX: usize = 64;
/// The longest contact, in bytes.
pub const CONTACT_MAX: usize = 256;
/// The longest encoded claim, in bytes.
pub const BYTES_MAX: usize = 4 << 10;
/// The longest term. A claim with a longer one is invalid, because other processes would have to wait for its end.
pub const TERM_MAX: Duration = Duration::from_secs(300);

/// A process that competes for the lease. After a restart it is another holder, because it does not know what it
/// promised before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The node's name.
    pub name: String,
    /// Identifies the process: a random number, generated when it starts.
    #[serde(rename = "life")]
    pub process: u64,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:016x}", self.name, self.process)
    }
}

/// A committed record of a region's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// The name of the log.
    pub incarnation: Incarnation,
    /// The epoch of the leader that appended it; zero if unknown.
    pub epoch: Epoch,
    /// Its LSN; everything before it is committed too.
    pub lsn: Lsn,
}

/// A claim to the lease, as stored. It is valid for `term` from the moment at which its holder began to write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The epoch that this claim begins or prolongs.
    pub epoch: Epoch,
    /// The process that claims the lease.
    pub holder: Holder,
    /// Counts this holder's attempts to write. No two claims are equal, so a process that reads its own claim knows
    /// which attempt wrote it, and when that attempt began.
    pub attempt: u64,
    /// The term in milliseconds.
    pub term_ms: u64,
    /// The holder has resigned: any process may claim the lease at once.
    pub released: bool,
    /// The address of the holder's feed, for its followers. The election does not use it.
    pub contact: String,
    /// The newest record of the region's log that this holder or any holder before it knew to be committed. The next
    /// leader must have it. Older versions omit it; it then names no log.
    #[serde(default)]
    pub committed: Committed,
    /// The identity of the store for which the claim was written. Only the store's guard writes and checks it; the
    /// election sees `None`. Older versions omit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreId>,
}

/// Why bytes are not a claim.
#[derive(Debug, thiserror::Error)]
pub enum InvalidClaim {
    /// Too long.
    #[error("{0} bytes are too many for a claim; at most {BYTES_MAX} are allowed")]
    TooLong(usize),
    /// It is not the expected JSON.
    #[error("not a claim: {0}")]
    Form(#[from] serde_json::Error),
    /// A field is outside its bounds.
    #[error("not a claim: its field {field} is out of bounds")]
    Bounds {
        /// The field.
        field: &'static str,
    },
}

impl Claim {
    /// Returns how long the claim is valid.
    #[must_use]
    pub const fn term(&self) -> Duration {
        Duration::from_millis(self.term_ms)
    }

    /// Encodes the claim as JSON, so that operators can read it in the store.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Cannot fail: a claim has only strings and integers.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Decodes a claim.
    ///
    /// # Errors
    /// [`InvalidClaim`].
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidClaim> {
        if bytes.len() > BYTES_MAX {
            return Err(InvalidClaim::TooLong(bytes.len()));
        }
        let claim: Self = serde_json::from_slice(bytes)?;
        let bounds = [
            ("epoch", claim.epoch >= Epoch::FIRST && claim.epoch.0 < u64::MAX),
            ("holder", claim.holder.name.len() <= NAME_MAX),
            ("term_ms", claim.term_ms > 0 && claim.term() <= TERM_MAX),
            ("contact", claim.contact.len() <= CONTACT_MAX),
        ];
        match bounds.into_iter().find(|(_, within)| !within) {
            Some((field, _)) => Err(InvalidClaim::Bounds { field }),
            None => Ok(claim),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim() -> Claim {
        Claim {
            epoch: Epoch(7),
            holder: Holder { name: "a".into(), process: 3 },
            attempt: 2,
            term_ms: 2_000,
            released: false,
            contact: "127.0.0.1:1".into(),
            committed: Committed { incarnation: Incarnation(0xabc), epoch: Epoch(3), lsn: Lsn(9) },
            store: Some(StoreId(0xfeed)),
        }
    }

    #[test]
    fn an_encoded_claim_decodes_to_itself() {
        assert_eq!(Claim::decode(&claim().encode()).unwrap(), claim());
    }

    #[test]
    fn a_claim_of_an_older_version_is_read() {
        let old = br#"{"epoch":7,"holder":{"name":"a","life":3},"attempt":2,"term_ms":2000,"released":false,"contact":"127.0.0.1:1"}"#;
        assert_eq!(Claim::decode(old).unwrap(), Claim { committed: Committed::default(), store: None, ..claim() });
        let text = String::from_utf8(Claim { store: None, ..claim() }.encode()).unwrap();
        assert!(!text.contains("store"), "an unidentified claim is written as older versions write it: {text}");
    }

    #[test]
    fn a_field_out_of_bounds_is_named() {
        let error = |change: fn(&mut Claim)| {
            let mut claim = claim();
            change(&mut claim);
            Claim::decode(&claim.encode()).unwrap_err().to_string()
        };
        assert!(error(|claim| claim.epoch = Epoch(0)).contains("epoch"));
        assert!(error(|claim| claim.epoch = Epoch(u64::MAX)).contains("epoch"));
        assert!(error(|claim| claim.term_ms = 0).contains("term_ms"));
        assert!(error(|claim| claim.term_ms = u64::MAX).contains("term_ms"));
        assert!(error(|claim| claim.holder.name = "n".repeat(NAME_MAX + 1)).contains("holder"));
        assert!(error(|claim| claim.contact = "c".repeat(CONTACT_MAX + 1)).contains("contact"));
        assert!(error(|claim| claim.contact = "c".repeat(BYTES_MAX)).contains("too many"));
    }

    #[test]
    fn garbage_is_not_a_claim() {
        for bytes in [&b""[..], b"{}", b"null", b"\xff\xfe", br#"{"epoch":"1"}"#] {
            assert!(Claim::decode(bytes).is_err());
        }
    }
}
