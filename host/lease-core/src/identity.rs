//! The identity of a lease store, without IO. It distinguishes the store that a process used before from an empty or
//! another one.
//!
//! An unmounted directory, a recreated bucket and a wiped etcd all answer like a store that was never used. A process
//! that claimed the lease there would lead next to the holder in the real store. So the first claim generates an
//! identity, every later claim repeats it, and each process remembers it across restarts. From then on an empty store
//! counts as lost.
//!
//! Claims of older versions have no identity. They are accepted, so that members can be upgraded one at a time; the
//! first claim of this version identifies the store. `host/decisions/0012-the-lease-store-has-an-identity.md` has the
//! reasons.

use crate::claim::Claim;
use littoral_model::mutation::{Mutation, active};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};

/// Identifies one store. Generated at random by the first claim; displayed as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreId(pub u64);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A text that is not a store identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a store identity; it must have 16 hexadecimal digits")]
pub struct InvalidStoreId(String);

impl FromStr for StoreId {
    type Err = InvalidStoreId;

    fn from_str(text: &str) -> Result<Self, InvalidStoreId> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = digits.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        id.map(Self).ok_or_else(|| InvalidStoreId(text.chars().take(32).collect()))
    }
}

impl Serialize for StoreId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StoreId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// What was found in place of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// An empty store.
    #[error(
        "it is empty, but it held this region's lease before{}: it is not mounted, or was wiped; restore it, and the election continues",
        known.map_or_else(String::new, |id| format!(" (store {id})"))
    )]
    Empty {
        /// The store that was used before, if it had an identity.
        known: Option<StoreId>,
    },
    /// A store with a claim written for another store.
    #[error(
        "it is store {found}, but this region's lease is in store {known}; check where lease.store points on this host"
    )]
    Other {
        /// The store that was used before.
        known: StoreId,
        /// The store that answers.
        found: StoreId,
    },
}

/// What one process knows about its store.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    known: Option<StoreId>,
    /// Whether this process has seen a claim there, with or without an identity.
    claimed: bool,
}

impl Identity {
    /// Creates the state of a process that remembers this store, if any.
    #[must_use]
    pub fn remembered(known: Option<StoreId>) -> Self {
        Self { known, claimed: false }
    }

    /// Returns the identity, once it is known.
    #[must_use]
    pub fn known(&self) -> Option<StoreId> {
        self.known
    }

    /// Checks the result of a read. Returns an identity that is new to this process: store it durably before using the
    /// result.
    ///
    /// # Errors
    /// [`Lost`]: the result does not describe the lease of this region.
    pub fn check(&mut self, claim: Option<&Claim>) -> Result<Option<StoreId>, Lost> {
        if active(Mutation::AcceptEmptyStore) {
            return Ok(None);
        }
        let Some(claim) = claim else {
            return match (self.known, self.claimed) {
                (None, false) => Ok(None),
                (known, _) => Err(Lost::Empty { known }),
            };
        };
        match (claim.store, self.known) {
            (Some(found), Some(known)) if found != known => return Err(Lost::Other { known, found }),
            (Some(found), None) => {
                (self.known, self.claimed) = (Some(found), true);
                return Ok(Some(found));
            }
            _ => self.claimed = true,
        }
        Ok(None)
    }

    /// Forgets an identity that could not be stored durably. The next access returns it again.
    pub fn forget(&mut self) {
        self.known = None;
    }

    /// Notes a successful swap of a claim that names `id`. Returns `id` if it is new to this process, like
    /// [`Identity::check`].
    pub fn claimed(&mut self, id: StoreId) -> Option<StoreId> {
        self.claimed = true;
        self.known.is_none().then(|| *self.known.insert(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::{Committed, Holder};
    use littoral_model::position::Epoch;

    fn claim(store: Option<u64>) -> Claim {
        Claim {
            epoch: Epoch(3),
            holder: Holder { name: "a".into(), process: 1 },
            attempt: 1,
            term_ms: 2_000,
            released: false,
            contact: String::new(),
            committed: Committed::default(),
            store: store.map(StoreId),
        }
    }

    #[test]
    fn an_identity_is_parsed_from_its_text() {
        let id = StoreId(0x00ab_cdef);
        assert_eq!((id.to_string().parse(), id.to_string().len()), (Ok(id), 16));
        for text in ["", "abc", "+000000000000001", "000000000000000g", "00000000000000001"] {
            assert!(text.parse::<StoreId>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_unused_store_is_new_until_a_claim_was_seen_in_it() {
        let mut identity = Identity::default();
        assert_eq!(identity.check(None), Ok(None));
        assert_eq!(identity.claimed(StoreId(5)), Some(StoreId(5)));
        assert_eq!(identity.claimed(StoreId(5)), None, "it is remembered once");
        assert_eq!(identity.check(None), Err(Lost::Empty { known: Some(StoreId(5)) }));
    }

    #[test]
    fn a_remembered_store_is_lost_if_it_is_empty_or_another() {
        let mut identity = Identity::remembered(Some(StoreId(5)));
        assert_eq!(identity.check(None), Err(Lost::Empty { known: Some(StoreId(5)) }));
        let other = Lost::Other { known: StoreId(5), found: StoreId(6) };
        assert_eq!(identity.check(Some(&claim(Some(6)))), Err(other));
        assert_eq!(identity.check(Some(&claim(Some(5)))), Ok(None), "restored");
    }

    #[test]
    fn claims_of_older_versions_are_accepted_and_count_as_use() {
        let mut identity = Identity::default();
        assert_eq!(identity.check(Some(&claim(None))), Ok(None));
        assert_eq!(identity.check(None), Err(Lost::Empty { known: None }));
        assert_eq!(identity.check(Some(&claim(Some(5)))), Ok(Some(StoreId(5))), "the first member was upgraded");
        assert_eq!(identity.check(Some(&claim(None))), Ok(None), "the last was not");
        assert_eq!(identity.known(), Some(StoreId(5)));
    }
}
