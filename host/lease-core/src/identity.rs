//! Which store the lease lies in, without IO: distinguishes the store that a process used from an empty or another one.
//!
//! A directory that is not mounted, a bucket that was made anew and a wiped etcd all answer like a store that nobody has used yet.
//! Whoever claimed there would lead beside the holder in the real store. So the first claim draws an identity, every later claim
//! repeats it, and each process remembers it across restarts. From then on an empty store is a lost one.
//!
//! Claims of older versions have no identity. They are accepted, so that members can be upgraded one at a time; the first claim
//! of this version identifies the store. The reasons stand in `host/decisions/0012-the-lease-store-has-an-identity.md`.

use crate::claim::Claim;
use littoral_model::mutation::{Mutation, active};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};

/// Names one store for as long as it exists. Drawn at random by whoever claims there first; shown as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreId(pub u64);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A text that names no store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a store's identity, which has 16 hexadecimal digits")]
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

/// What answers in the place of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// Nothing lies there any more.
    #[error(
        "it is empty, and it held this region's lease before{}: it is not mounted, or was wiped; bring it back, and the lease goes on",
        known.map_or_else(String::new, |id| format!(" (store {id})"))
    )]
    Empty {
        /// The store that was used before, if it had an identity.
        known: Option<StoreId>,
    },
    /// A claim for another store lies there.
    #[error(
        "it is store {found}, and this region's lease lies in store {known}; check where lease.store leads on this host"
    )]
    Other {
        /// The store that was used before.
        known: StoreId,
        /// The one that answers.
        found: StoreId,
    },
}

/// What one process knows of its store.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    known: Option<StoreId>,
    /// A claim was seen there in this life of the process, with an identity or without.
    claimed: bool,
}

impl Identity {
    /// A process that remembers this store, if any.
    #[must_use]
    pub fn remembered(known: Option<StoreId>) -> Self {
        Self { known, claimed: false }
    }

    /// The store, once it is known.
    #[must_use]
    pub fn known(&self) -> Option<StoreId> {
        self.known
    }

    /// Judges what a read has found. Returns an identity that is new here: remember it durably before anything is done with what was
    /// read.
    ///
    /// # Errors
    /// [`Lost`]: what was read says nothing about the lease.
    pub fn found(&mut self, claim: Option<&Claim>) -> Result<Option<StoreId>, Lost> {
        if active(Mutation::TakeEmptyStoreForNew) {
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

    /// The identity could not be remembered: the next access finds it anew.
    pub fn forget(&mut self) {
        self.known = None;
    }

    /// A claim that names `id` was swapped in. Returns it if it is new here, as [`Identity::found`] does.
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
            holder: Holder { name: "a".into(), life: 1 },
            attempt: 1,
            term_ms: 2_000,
            released: false,
            contact: String::new(),
            committed: Committed::default(),
            store: store.map(StoreId),
        }
    }

    #[test]
    fn an_identity_is_read_back_from_its_text() {
        let id = StoreId(0x00ab_cdef);
        assert_eq!((id.to_string().parse(), id.to_string().len()), (Ok(id), 16));
        for text in ["", "abc", "+000000000000001", "000000000000000g", "00000000000000001"] {
            assert!(text.parse::<StoreId>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_unused_store_is_new_until_a_claim_was_seen_in_it() {
        let mut identity = Identity::default();
        assert_eq!(identity.found(None), Ok(None));
        assert_eq!(identity.claimed(StoreId(5)), Some(StoreId(5)));
        assert_eq!(identity.claimed(StoreId(5)), None, "it is remembered once");
        assert_eq!(identity.found(None), Err(Lost::Empty { known: Some(StoreId(5)) }));
    }

    #[test]
    fn a_remembered_store_is_lost_when_it_is_empty_or_another() {
        let mut identity = Identity::remembered(Some(StoreId(5)));
        assert_eq!(identity.found(None), Err(Lost::Empty { known: Some(StoreId(5)) }));
        let other = Lost::Other { known: StoreId(5), found: StoreId(6) };
        assert_eq!(identity.found(Some(&claim(Some(6)))), Err(other));
        assert_eq!(identity.found(Some(&claim(Some(5)))), Ok(None), "it is back");
    }

    #[test]
    fn claims_of_older_versions_are_accepted_and_count_as_use() {
        let mut identity = Identity::default();
        assert_eq!(identity.found(Some(&claim(None))), Ok(None));
        assert_eq!(identity.found(None), Err(Lost::Empty { known: None }));
        assert_eq!(identity.found(Some(&claim(Some(5)))), Ok(Some(StoreId(5))), "the first member was upgraded");
        assert_eq!(identity.found(Some(&claim(None))), Ok(None), "the last was not");
        assert_eq!(identity.known(), Some(StoreId(5)));
    }
}
