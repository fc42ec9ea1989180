//! The responder's sockets: datagrams, and connections with a length before each message.

use crate::{
    dns::{
        answer::{Transport, answer},
        config::Config,
        zone::Zone,
    },
    router::Router,
};
use std::{io, net::IpAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::Semaphore,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// The largest query in a datagram: no valid query is larger.
const QUERY_MAX: usize = 4_096;

/// The pause after a socket error that no single client caused.
const ERROR_PAUSE: Duration = Duration::from_millis(50);

/// Answers queries until cancelled.
pub async fn serve(udp: UdpSocket, tcp: TcpListener, router: Router, zone: Zone, stop: CancellationToken) {
    let zone = Arc::new(zone);
    let datagrams = datagrams(udp, router.clone(), zone.clone());
    let connections = connections(tcp, router, zone, stop.clone());
    let both = async { tokio::join!(datagrams, connections) };
    let _ = stop.run_until_cancelled(both).await;
}

async fn datagrams(socket: UdpSocket, router: Router, zone: Arc<Zone>) {
    let mut query = vec![0; QUERY_MAX];
    loop {
        let (length, from) = match socket.recv_from(&mut query).await {
            Ok(received) => received,
            // Linux reports an earlier answer that could not be delivered.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(error) => {
                tracing::warn!(%error, "a datagram could not be received; retrying");
                tokio::time::sleep(ERROR_PAUSE).await;
                continue;
            }
        };
        let query = query.get(..length).unwrap_or_default();
        if let Some(bytes) = answer(&router, &zone, query, from.ip().to_canonical(), Transport::Udp)
            && let Err(error) = socket.send_to(&bytes, from).await
        {
            tracing::debug!(%from, %error, "an answer could not be sent");
        }
    }
}

async fn connections(listener: TcpListener, router: Router, zone: Arc<Zone>, stop: CancellationToken) {
    let config = router.config().dns.clone();
    let places = Arc::new(Semaphore::new(config.connections_max.clamp(1, Semaphore::MAX_PERMITS)));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, from)) => {
                let (router, zone, config, stop) = (router.clone(), zone.clone(), config.clone(), stop.clone());
                tokio::spawn(async move {
                    let _place = place;
                    let served = connection(stream, from.ip().to_canonical(), &router, &zone, &config);
                    if let Some(Err(error)) = stop.run_until_cancelled(served).await {
                        tracing::debug!(%from, %error, "a DNS connection ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a DNS connection could not be accepted; retrying");
                tokio::time::sleep(ERROR_PAUSE).await;
            }
        }
    }
}

async fn connection(
    mut stream: TcpStream,
    from: IpAddr,
    router: &Router,
    zone: &Zone,
    config: &Config,
) -> io::Result<()> {
    let idle = Duration::from_millis(config.idle_ms.max(1));
    let mut query = Vec::new();
    loop {
        let length = match timeout(idle, stream.read_u16()).await? {
            Ok(length) => usize::from(length),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        };
        query.resize(length, 0);
        timeout(idle, stream.read_exact(&mut query)).await??;
        let Some(bytes) = answer(router, zone, &query, from, Transport::Tcp) else { return Ok(()) };
        let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
        let mut framed = Vec::with_capacity(bytes.len() + 2);
        framed.extend_from_slice(&length.to_be_bytes());
        framed.extend_from_slice(&bytes);
        timeout(idle, stream.write_all(&framed)).await??;
    }
}
