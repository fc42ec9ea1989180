//! One state of a node's TLS: the configurations of its listeners and connections, built from one version of its files.

use crate::{
    Config, Error, Identity, PeerCertificate,
    error::explain_tls,
    files::{Files, provider},
    verify::NodeVerifier,
};
use rustls::{
    ClientConfig, ServerConfig,
    client::{Resumption, danger::ServerCertVerifier as _},
    pki_types::{ServerName, UnixTime},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

pub(crate) struct Material {
    pub(crate) own: PeerCertificate,
    pub(crate) identity: Identity,
    pub(crate) key: Arc<CertifiedKey>,
    /// The SHA-256 of the bundle of roots, in hexadecimal.
    pub(crate) trust_digest: String,
    /// The bundle of roots, as PEM.
    pub(crate) trust_pem: String,
    /// For clients: HTTP/1.1 and HTTP/2.
    pub(crate) door: Arc<ServerConfig>,
    /// For peers: HTTP/2, and a certificate is required.
    pub(crate) peers: Arc<ServerConfig>,
    pub(crate) to_peers: Arc<ClientConfig>,
    pub(crate) to_doors: Arc<ClientConfig>,
}

impl Material {
    /// Loads the files and checks everything that would fail later.
    pub(crate) fn load(config: &Config) -> Result<Self, Error> {
        let files = Files::read(config)?;
        let bad = |what: String, remedy: &str| Error::new(config.cert_file(), what, remedy);
        let unusable = |error: rustls::Error| bad(explain_tls(&error), "the last good state stays in force");
        let end_entity = files.key.cert.first().ok_or_else(|| bad("it has no certificate".to_owned(), "issue one"))?;
        let own = PeerCertificate::parse(end_entity, &config.spiffe)
            .map_err(|error| bad(error, "issue another (`littoral certs issue`)"))?;
        let Some(identity) = own.identity.clone() else {
            let what = format!("its names ({}) have no identity of Littoral", own.uris.join(", "));
            return Err(bad(
                what,
                "issue it with one (`littoral certs issue`), or map its SPIFFE id with [[tls.spiffe]]",
            ));
        };
        let clients = |is_required: bool| -> Result<Arc<dyn ClientCertVerifier>, Error> {
            let builder = WebPkiClientVerifier::builder_with_provider(files.roots.clone(), provider());
            let builder = if is_required { builder } else { builder.allow_unauthenticated() };
            builder
                .build()
                .map_err(|error| Error::new(config.trust_file(), error.to_string(), "replace the bundle of roots"))
        };
        let (now, intermediates) = (UnixTime::now(), &files.key.cert[1..]);
        let nodes = Arc::new(NodeVerifier::new(files.roots.clone()));
        let nowhere = ServerName::from(std::net::IpAddr::from([127, 0, 0, 1]));
        nodes.verify_server_cert(end_entity, intermediates, &nowhere, &[], now).map_err(unusable)?;
        clients(true)?.verify_client_cert(end_entity, intermediates, now).map_err(unusable)?;
        let server = |verifier: Arc<dyn ClientCertVerifier>, protocols: &[&[u8]]| -> Result<Arc<ServerConfig>, Error> {
            let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
            let builder = builder.map_err(unusable)?.with_client_cert_verifier(verifier);
            let mut server =
                builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::clone(&files.key))));
            server.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            server.ticketer = rustls::crypto::ring::Ticketer::new().map_err(unusable)?;
            Ok(Arc::new(server))
        };
        let client = |protocols: &[&[u8]]| -> Result<Arc<ClientConfig>, Error> {
            let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
            let builder = builder.map_err(unusable)?.dangerous().with_custom_certificate_verifier(nodes.clone());
            let mut client =
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::clone(&files.key))));
            client.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            // Sessions are stored by host, and several nodes may share one.
            client.resumption = Resumption::disabled();
            Ok(Arc::new(client))
        };
        Ok(Self {
            own,
            identity,
            trust_digest: digest(&files.trust_pem),
            door: server(clients(config.require_client_cert)?, &[b"h2", b"http/1.1"])?,
            peers: server(clients(true)?, &[b"h2"])?,
            to_peers: client(&[b"h2"])?,
            to_doors: client(&[b"http/1.1"])?,
            key: files.key,
            trust_pem: files.trust_pem,
        })
    }
}

impl PartialEq for Material {
    /// Whether the same files were loaded. Keys need no comparison, because a key belongs to its certificate.
    fn eq(&self, other: &Self) -> bool {
        self.key.cert == other.key.cert && self.trust_digest == other.trust_digest
    }
}

/// Returns the SHA-256 of a bundle, in hexadecimal.
pub(crate) fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
