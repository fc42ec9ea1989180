//! The client's side of TLS connections.

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::ring::default_provider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::{
    io,
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

/// How long a server may take to accept a connection, and to take a step of a handshake.
const STEP_MAX: Duration = Duration::from_secs(10);

/// A connection with TLS.
pub type Secured = StreamOwned<ClientConnection, TcpStream>;

/// Accepts every certificate, without any cryptography.
#[derive(Debug)]
struct Trusting(Vec<SignatureScheme>);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}

/// Returns the configuration of clients that check nothing and resume nothing: they share the machine with the server
/// that is measured, so a handshake should cost them as little as possible.
///
/// # Errors
/// When the cryptography cannot be set up.
pub fn unchecking() -> Result<Arc<ClientConfig>, Error> {
    let provider = default_provider();
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    let builder = ClientConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions()?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Trusting(schemes)));
    let mut config = builder.with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Connects and performs a handshake.
///
/// # Errors
/// When the connection fails.
pub fn secured(config: Arc<ClientConfig>, address: SocketAddr) -> io::Result<Secured> {
    let mut socket = TcpStream::connect_timeout(&address, STEP_MAX)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(STEP_MAX))?;
    let mut connection = ClientConnection::new(config, address.ip().into()).map_err(io::Error::other)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(connection, socket))
}

/// Waits until the server has completed a handshake of TLS 1.3, which it shows by a session ticket.
///
/// # Errors
/// When the connection fails, or the server sends something else.
pub fn ticket(stream: &mut Secured) -> io::Result<()> {
    while stream.conn.tls13_tickets_received() == 0 {
        let (read, _) = stream.conn.complete_io(&mut stream.sock)?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server sent no session ticket"));
        }
    }
    Ok(())
}
