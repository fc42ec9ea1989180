//! The line with which a server says that its doors are open.

use std::net::SocketAddr;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// HTTP for clients.
    pub door: SocketAddr,
    /// Where edges connect to a leader.
    pub peer: Option<SocketAddr>,
}

impl Ready {
    /// Reads `ready door=ADDR peer=ADDR ...`; `None` for another line.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let words = line.trim().strip_prefix("ready ")?;
        let address =
            |key: &str| words.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse().ok());
        Some(Self { door: address("door")?, peer: address("peer") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ready_line_gives_its_addresses() {
        let ready = Ready::parse("ready door=127.0.0.1:1 peer=127.0.0.1:2 role=leader name=leader\n").unwrap();
        assert_eq!((ready.door.port(), ready.peer.unwrap().port()), (1, 2));
        assert!(Ready::parse("listening on 127.0.0.1:1").is_none());
    }
}
