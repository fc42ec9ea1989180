//! Listening.

use crate::failure::Failure;
use std::{io::ErrorKind, net::SocketAddr};
use tokio::net::TcpListener;

/// Listens on an address; port 0 lets the system choose. Gives the address that it became.
///
/// # Errors
/// When the address is taken, not this host's, or not allowed; `key` is the setting that says otherwise.
pub async fn bind(address: SocketAddr, key: &str) -> Result<(TcpListener, SocketAddr), Failure> {
    let refused = |error: std::io::Error| {
        let remedy = match error.kind() {
            ErrorKind::AddrInUse => {
                format!("stop what listens there, or set '{key}' to another port (0 lets the system choose)")
            }
            ErrorKind::PermissionDenied => format!("set '{key}' to a port above 1023"),
            _ => format!("set '{key}' to an address of this host"),
        };
        Failure::usage(format!("cannot listen on {address}: {error}; {remedy}"))
    };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    Ok((listener, bound))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_an_error_with_its_remedy() {
        let (_held, taken) = bind(SocketAddr::from(([127, 0, 0, 1], 0)), "listen").await.unwrap();
        let error = bind(taken, "peer_listen").await.unwrap_err().to_string();
        assert!(error.contains(&taken.to_string()) && error.contains("'peer_listen'"), "{error}");
    }
}
