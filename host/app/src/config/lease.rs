//! `[lease]`: the lease by which a region's members elect their leader.

use crate::config::load::Misfit;
use littoral_lease::{Profile, store::open};
use serde::Deserialize;

/// The lease store, and the times of the lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lease {
    /// `dir:/PATH`, `s3://BUCKET/PREFIX` or `etcd://HOST:PORT,HOST:PORT/PREFIX`; the same for every member.
    pub store: Option<String>,
    /// How quickly a lost leader is replaced.
    pub profile: Profile,
}

impl Lease {
    /// Checks that there is a lease if there are members, and only then.
    ///
    /// # Errors
    /// [`Misfit`].
    pub fn check(&self, members: bool) -> Result<(), Misfit> {
        let misfit = |key: &str, what: &str, remedy: &str| {
            Err(Misfit { key: key.to_owned(), what: what.to_owned(), remedy: remedy.to_owned() })
        };
        match &self.store {
            None if members => misfit(
                "members",
                "the region has several members and no lease to elect a leader",
                "add [lease] with store = \"dir:/PATH\", \"s3://BUCKET/PREFIX\" or \"etcd://HOST:PORT/PREFIX\", the same for every \
                 member",
            ),
            Some(_) if !members => misfit(
                "lease.store",
                "there is a lease but no members; a leader that is the only member needs none",
                "list all members in [[members]] (name, peer), including this one, or remove [lease]",
            ),
            None if self.profile != Profile::default() => misfit(
                "lease.profile",
                "there is no lease for this profile",
                "add [[members]] and lease.store, or remove it",
            ),
            None => Ok(()),
            Some(store) => {
                open::check(store).or_else(|error| misfit("lease.store", &error.to_string(), "use one of these forms"))
            }
        }
    }
}
