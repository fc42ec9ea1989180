//! Limits file descriptors: raises the process's limit when it starts, and reserves the last descriptors.
//!
//! A node without a free descriptor cannot open the next segment of its log, so idle connections would stop durable
//! writes. The kernel always assigns the lowest free number. A connection whose number is in the reserved range is
//! therefore closed, whatever the other descriptors are used for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    fmt::Write as _,
    os::fd::{AsRawFd, RawFd},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// The number of descriptors that a process needs, by purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Descriptors for files and for the connections that the process opens.
    pub own: u64,
    /// Connections of peers, and the key that bounds them. `None` if there is no peer listener.
    pub peers: Option<Bound>,
    /// Connections of clients.
    pub clients: Bound,
}

/// A number of connections, and the key of the configuration that sets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The key, with its sections.
    pub key: &'static str,
    /// The value of the key.
    pub connections: u64,
    /// The number of further connections that the listener accepts beyond the value.
    pub reserve: u64,
}

/// A configuration that needs more descriptors than the process may open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TooMany(String);

/// Which listener accepted a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The door: a client connected.
    Client,
    /// The peer listener: an edge, another region or another member connected.
    Peer,
}

/// The descriptors of each side's connections must be below these numbers.
static CLIENTS_BELOW: AtomicU64 = AtomicU64::new(u64::MAX);
static PEERS_BELOW: AtomicU64 = AtomicU64::new(u64::MAX);

/// Raises the process's limit as far as the system allows, and reserves the descriptors that `needs` names.
///
/// # Errors
/// [`TooMany`], which states the values that fit.
pub fn prepare(needs: &Needs) -> Result<(), TooMany> {
    let limit = raise(needs.all());
    needs.check(limit)?;
    let peers = needs.peers.as_ref().map_or(0, |peers| peers.connections);
    PEERS_BELOW.store(limit.saturating_sub(needs.own), Relaxed);
    CLIENTS_BELOW.store(limit.saturating_sub(needs.own.saturating_add(peers)), Relaxed);
    Ok(())
}

/// Returns whether a connection's descriptor is outside the range that is reserved: for the process itself, and for
/// peers if the connection is a client's.
#[must_use]
pub fn leaves_room(connection: &impl AsRawFd, side: Side) -> bool {
    let below = match side {
        Side::Client => &CLIENTS_BELOW,
        Side::Peer => &PEERS_BELOW,
    };
    fits(connection.as_raw_fd(), below.load(Relaxed))
}

fn fits(number: RawFd, below: u64) -> bool {
    u64::try_from(number).is_ok_and(|number| number < below)
}

/// Raises the soft limit to the hard limit, or to `needed` on systems that reject that. Returns the limit that then
/// applies.
fn raise(needed: u64) -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let allowed = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
    if allowed(current) >= allowed(maximum) {
        return allowed(current);
    }
    // Some systems report that there is no hard limit, and reject a soft limit without a bound.
    let wanted = [maximum, Some(needed.min(allowed(maximum)))];
    for wanted in wanted.into_iter().filter(|wanted| allowed(*wanted) > allowed(current)) {
        match setrlimit(Resource::Nofile, Rlimit { current: wanted, maximum }) {
            Ok(()) => return allowed(wanted),
            Err(error) => {
                tracing::debug!(%error, ?wanted, "the limit of file descriptors could not be raised to this value");
            }
        }
    }
    allowed(current)
}

impl Needs {
    fn all(&self) -> u64 {
        self.besides_clients().saturating_add(self.clients.connections)
    }

    /// Returns the number without the clients' connections up to their bound.
    fn besides_clients(&self) -> u64 {
        let peers = self.peers.as_ref().map_or(0, |peers| peers.connections);
        self.own.saturating_add(peers).saturating_add(self.clients.reserve)
    }

    /// Rejects needs that exceed `limit` descriptors.
    fn check(&self, limit: u64) -> Result<(), TooMany> {
        let all = self.all();
        if all <= limit {
            return Ok(());
        }
        let Bound { key, connections, reserve } = &self.clients;
        let mut text = format!(
            "{key} = {connections} is too large: this process may open {limit} file descriptors (the hard limit), and would need {all}: \
             {connections} for clients"
        );
        // Writing to a string does not fail.
        if let Some(Bound { key, connections, .. }) = &self.peers {
            let _ = write!(text, ", {connections} for peers ({key})");
        }
        let _ = write!(
            text,
            ", {} for its own files and connections; raise the limit (ulimit -Hn, LimitNOFILE=)",
            self.own.saturating_add(*reserve)
        );
        match limit.checked_sub(self.besides_clients()).filter(|left| *left > 0) {
            Some(left) => {
                let _ = write!(text, ", or set {key} to at most {left}");
            }
            None => {
                if let Some(Bound { key: peers_key, .. }) = &self.peers {
                    let _ = write!(text, ", or lower {peers_key} and {key}");
                }
            }
        }
        Err(TooMany(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(clients: u64, peers: Option<u64>) -> Needs {
        let peers = peers.map(|connections| Bound { key: "feed.connections_max", connections, reserve: 0 });
        Needs { own: 60, peers, clients: Bound { key: "door.connections_max", connections: clients, reserve: 40 } }
    }

    #[test]
    fn needs_that_fit_exactly_are_accepted_and_one_more_is_rejected_with_a_value_that_fits() {
        assert_eq!(needs(500, Some(400)).check(1_000), Ok(()));
        let error = needs(501, Some(400)).check(1_000).unwrap_err().to_string();
        for part in ["door.connections_max = 501", "1000 file", "1001", "feed.connections_max", "to at most 500"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert_eq!(needs(900, None).check(1_000), Ok(()));
        assert!(needs(901, None).check(1_000).unwrap_err().to_string().contains("at most 900"));
        let error = needs(1, Some(2_000)).check(1_000).unwrap_err().to_string();
        assert!(error.contains("lower feed.connections_max and door.connections_max"), "{error}");
        assert!(needs(u64::MAX, Some(u64::MAX)).check(u64::MAX - 1).is_err(), "sums do not overflow");
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let limit = raise(1);
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!((current, maximum.unwrap_or(u64::MAX)), (maximum, limit));
    }

    #[test]
    fn a_reserved_number_is_not_used_for_a_connection() {
        assert!(fits(99, 100));
        assert!(!fits(100, 100));
        assert!(!fits(-1, 100));
    }
}
