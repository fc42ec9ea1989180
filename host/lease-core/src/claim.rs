//! What is written into the store: who holds the lease, in which epoch, and for how long from when it was written.

use crate::identity::StoreId;
use littoral_model::position::{Epoch, Incarnation, Lsn};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// The longest name of a holder, in bytes.
pub const NAME_MAX: usize = 64;
/// The longest contact, in bytes.
pub const CONTACT_MAX: usize = 256;
/// The longest claim as bytes.
pub const BYTES_MAX: usize = 4 << 10;
/// The longest term. A longer one in a store is no claim: nobody could ever wait for its end.
pub const TERM_MAX: Duration = Duration::from_secs(300);

/// A process that stands for the lease. One that was started again is another: it does not know what the one before had
/// promised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The node's name.
    pub name: String,
    /// Drawn at random when the process starts.
    pub life: u64,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:016x}", self.name, self.life)
    }
}

/// A record of a region's log that is committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// Which life of the log.
    pub incarnation: Incarnation,
    /// The epoch of the leader that appended it; zero when that is not known.
    pub epoch: Epoch,
    /// Its number; everything before it is committed too.
    pub lsn: Lsn,
}

/// A claim to the lease, as it lies in the store. It holds for `term` from when its holder began to write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The leadership that this claim began or prolongs.
    pub epoch: Epoch,
    /// Who claims.
    pub holder: Holder,
    /// Counts what this holder has tried to write. No two claims are equal, so whoever reads its own claim knows which
    /// attempt it was, and when that began.
    pub attempt: u64,
    /// For how long, in milliseconds.
    pub term_ms: u64,
    /// The holder leads no more: anyone may claim at once.
    pub released: bool,
    /// Where the holder's feed is reached, for those that follow it. Decides nothing.
    pub contact: String,
    /// What the holder, and every holder before it, knew to be committed in the region's log: whoever leads next must have it.
    /// Of no log in claims of versions that did not write it.
    #[serde(default)]
    pub committed: Committed,
    /// The store that the claim was written for. The store's guard writes and checks it; the election sees `None`. Versions
    /// that did not write it leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreId>,
}

/// Why bytes are not a claim.
#[derive(Debug, thiserror::Error)]
pub enum InvalidClaim {
    /// Too long.
    #[error("{0} bytes are too many for a claim, which has at most {BYTES_MAX}")]
    TooLong(usize),
    /// Not the JSON that it should be.
    #[error("it is not a claim: {0}")]
    Form(#[from] serde_json::Error),
    /// A field is outside its bounds.
    #[error("its {field} is outside its bounds")]
    Bounds {
        /// The field.
        field: &'static str,
    },
}

impl Claim {
    /// For how long it holds.
    #[must_use]
    pub const fn term(&self) -> Duration {
        Duration::from_millis(self.term_ms)
    }

    /// The claim as bytes: JSON, so that a person who looks into the store can read it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Strings and integers only: nothing of that can fail to become JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The claim that these bytes are.
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
            holder: Holder { name: "a".into(), life: 3 },
            attempt: 2,
            term_ms: 2_000,
            released: false,
            contact: "127.0.0.1:1".into(),
            committed: Committed { incarnation: Incarnation(0xabc), epoch: Epoch(3), lsn: Lsn(9) },
            store: Some(StoreId(0xfeed)),
        }
    }

    #[test]
    fn a_claim_is_read_back_as_it_was_written() {
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
    fn what_is_out_of_bounds_is_refused_by_name() {
        let refused = |change: fn(&mut Claim)| {
            let mut claim = claim();
            change(&mut claim);
            Claim::decode(&claim.encode()).unwrap_err().to_string()
        };
        assert!(refused(|claim| claim.epoch = Epoch(0)).contains("epoch"));
        assert!(refused(|claim| claim.epoch = Epoch(u64::MAX)).contains("epoch"));
        assert!(refused(|claim| claim.term_ms = 0).contains("term_ms"));
        assert!(refused(|claim| claim.term_ms = u64::MAX).contains("term_ms"));
        assert!(refused(|claim| claim.holder.name = "n".repeat(NAME_MAX + 1)).contains("holder"));
        assert!(refused(|claim| claim.contact = "c".repeat(CONTACT_MAX + 1)).contains("contact"));
        assert!(refused(|claim| claim.contact = "c".repeat(BYTES_MAX)).contains("too many"));
    }

    #[test]
    fn garbage_is_no_claim() {
        for bytes in [&b""[..], b"{}", b"null", b"\xff\xfe", br#"{"epoch":"1"}"#] {
            assert!(Claim::decode(bytes).is_err());
        }
    }
}
