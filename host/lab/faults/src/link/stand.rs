//! Where a link stands: in which network it listens and from which it dials.

use crate::network::Hub;
use std::{io, net::SocketAddr};
use tokio::net::TcpSocket;

/// A place for links. A socket belongs to the network that it was opened in, whoever uses it.
#[derive(Clone, Debug, Default)]
pub struct Stand(Option<Hub>);

impl Stand {
    /// In this process's own network.
    #[must_use]
    pub fn here() -> Self {
        Self::default()
    }

    /// Between the sites of a [`Network`](crate::Network): what the link carries passes their trunks.
    #[must_use]
    pub fn between(hub: Hub) -> Self {
        Self(Some(hub))
    }

    /// A socket that is bound to nothing yet, for this address or to reach it.
    pub(super) fn socket(&self, address: SocketAddr) -> io::Result<TcpSocket> {
        let open = move || if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        match &self.0 {
            None => open(),
            Some(hub) => hub.within(open).and_then(|socket| socket),
        }
    }
}
