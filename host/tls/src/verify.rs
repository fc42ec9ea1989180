//! Verifies certificates of nodes: the chain and the dates here, the identity once the handshake has ended.

use crate::{Mapping, PeerCertificate, PeerIdentity, files::provider};
use rustls::{
    DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use std::sync::Arc;

/// Verifies that a trusted root signed a node's certificate. The name of the host does not matter: nodes move between
/// addresses, and their identity states which node it is.
#[derive(Debug)]
pub(crate) struct NodeVerifier {
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl NodeVerifier {
    pub(crate) fn new(roots: Arc<RootCertStore>) -> Self {
        Self { roots, algorithms: provider().signature_verification_algorithms }
    }
}

impl ServerCertVerifier for NodeVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, self.algorithms.all)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Returns the certificate that the other end of a connection has presented and the handshake has verified.
pub(crate) fn presented(
    chain: Option<&[CertificateDer<'_>]>,
    mappings: &[Mapping],
) -> Result<Option<PeerIdentity>, String> {
    let Some(first) = chain.and_then(<[_]>::first) else { return Ok(None) };
    let parsed = PeerCertificate::parse(first, mappings);
    let parsed = parsed.map_err(|error| format!("the certificate of the other end cannot be used: {error}"))?;
    Ok(Some(PeerIdentity::new(parsed)))
}
