//! `[lease]`: how the members of a region's log agree on who leads.

use crate::config::load::Misfit;
use littoral_lease::{Timing, store::open};
use serde::Deserialize;

/// Where the lease lies, and its times.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lease {
    /// `dir:/PATH`, `s3://BUCKET/PREFIX` or `etcd://HOST:PORT,HOST:PORT/PREFIX`; the same at every member.
    pub store: Option<String>,
    /// How long a lost leader is waited for.
    pub profile: Profile,
}

/// Times of a lease that go together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// A new leader within 3 s of the loss of the old one. Bears a store that does not answer for a second.
    #[default]
    Default,
    /// A new leader within 1 s. For stores that answer within 100 ms.
    Aggressive,
}

impl Profile {
    /// The times.
    pub fn timing(self) -> Timing {
        match self {
            Self::Default => Timing::DEFAULT,
            Self::Aggressive => Timing::AGGRESSIVE,
        }
    }

    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Aggressive => "aggressive",
        }
    }
}

impl Lease {
    /// Checks that there is a lease where there are members, and only there.
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
                "several members keep the region's log, and nothing says which of them leads",
                "add [lease] with store = \"dir:/PATH\", \"s3://BUCKET/PREFIX\" or \"etcd://HOST:PORT/PREFIX\", the same at every \
                 member",
            ),
            Some(_) if !members => misfit(
                "lease.store",
                "there is a lease, and nobody to share it with: a leader that keeps its log alone needs none",
                "name all that keep the log in [[members]] (name, peer), this one among them, or remove [lease]",
            ),
            None if self.profile != Profile::default() => misfit(
                "lease.profile",
                "there is no lease whose times it could be",
                "add [[members]] and lease.store, or remove it",
            ),
            None => Ok(()),
            Some(store) => {
                open::check(store).or_else(|error| misfit("lease.store", &error.to_string(), "give one of those"))
            }
        }
    }
}
