//! The network in which a link listens, and from which it connects.

use crate::network::Hub;
use std::{io, net::SocketAddr};
use tokio::net::TcpSocket;

/// A place for links. A socket belongs to the network in which it was opened, whichever thread uses it.
#[derive(Clone, Debug, Default)]
pub struct LinkNetwork(Option<Hub>);

impl LinkNetwork {
    /// Returns this process's own network.
    #[must_use]
    pub fn here() -> Self {
        Self::default()
    }

    /// Returns the place between the sites of a [`Network`](crate::Network): forwarded bytes pass the sites' trunks.
    #[must_use]
    pub fn between(hub: Hub) -> Self {
        Self(Some(hub))
    }

    /// Opens an unbound socket of the address's family.
    pub(super) fn socket(&self, address: SocketAddr) -> io::Result<TcpSocket> {
        let open = move || if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        match &self.0 {
            None => open(),
            Some(hub) => hub.within(open).and_then(|socket| socket),
        }
    }
}
