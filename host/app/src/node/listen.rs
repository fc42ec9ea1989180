//! Binds the listeners.

use crate::failure::Failure;
use std::{io, io::ErrorKind, net::SocketAddr, time::Duration};
use tokio::{net::TcpListener, time::Instant};

/// How long to wait for a port in use: a draining process releases its port within its notice.
const TAKEN_MAX: Duration = Duration::from_secs(4);

/// How often binding is retried.
const TAKEN_EVERY: Duration = Duration::from_millis(100);

/// Listens on an address; with port 0 the system chooses. Returns the listener and its address. Waits for a port that
/// is in use, because the previous process may still be draining.
///
/// # Errors
/// When the address is in use, not this host's, or not permitted; `key` is the setting that changes it.
pub async fn bind(address: SocketAddr, key: &str) -> Result<(TcpListener, SocketAddr), Failure> {
    let rejected = |error: std::io::Error| {
        let remedy = match error.kind() {
            ErrorKind::AddrInUse => {
                format!("stop what listens there, or set '{key}' to another port (0 lets the system choose)")
            }
            ErrorKind::PermissionDenied => format!("set '{key}' to a port above 1023"),
            _ => format!("set '{key}' to an address of this host"),
        };
        Failure::usage(format!("cannot listen on {address}: {error}; {remedy}"))
    };
    let listener = when_free(address).await.map_err(rejected)?;
    let bound = listener.local_addr().map_err(rejected)?;
    Ok((listener, bound))
}

async fn when_free(address: SocketAddr) -> io::Result<TcpListener> {
    let deadline = Instant::now() + TAKEN_MAX;
    loop {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                tokio::time::sleep(TAKEN_EVERY).await;
            }
            bound => return bound,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bind_waits_for_a_port_that_is_about_to_be_released() {
        let (held, taken) = bind(SocketAddr::from(([127, 0, 0, 1], 0)), "listen").await.unwrap();
        let release = async {
            tokio::time::sleep(TAKEN_EVERY * 3).await;
            drop(held);
        };
        let (bound, ()) = tokio::join!(bind(taken, "listen"), release);
        assert_eq!(bound.unwrap().1, taken);
    }

    #[tokio::test]
    async fn a_port_in_use_is_an_error_with_its_remedy() {
        let (_held, taken) = bind(SocketAddr::from(([127, 0, 0, 1], 0)), "listen").await.unwrap();
        let error = bind(taken, "peer_listen").await.unwrap_err().to_string();
        assert!(error.contains(&taken.to_string()) && error.contains("'peer_listen'"), "{error}");
    }
}
