//! Renews the certificates of nodes, and records which roots and certificates they have.

use super::{Ca, LIFETIME, Leaf, Root};
use crate::{
    Error, Identity, PeerCertificate,
    error::explain_tls,
    files,
    material::digest,
    renewal::{Reply, Request, SignedTrust},
    tls::now_s,
};
use parking_lot::Mutex;
use rcgen::{CertificateSigningRequestParams, SigningKey as _};
use rustls::{
    SignatureScheme,
    pki_types::{CertificateDer, CertificateSigningRequestDer, UnixTime},
    server::WebPkiClientVerifier,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

pub(super) const NODES: &str = "nodes.json";

/// The shortest time between two writes of the record of nodes while nothing but times changes.
const RECORD_EVERY: Duration = Duration::from_secs(1);

/// Signs the requests of nodes with the authority's active root.
#[derive(Debug)]
pub struct Signer {
    ca: Ca,
    lifetime: Duration,
    record: Mutex<Record>,
}

#[derive(Debug)]
struct Record {
    nodes: BTreeMap<String, Node>,
    written: Option<Instant>,
}

/// What a node has, as of its last request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Node {
    /// The SHA-256 of its trusted roots.
    pub(super) trust: String,
    /// The common name of the root of its certificate.
    pub(super) root: String,
    /// When its certificate expires, in seconds since 1970.
    pub(super) not_after_s: u64,
    /// When it sent the request, in seconds since 1970.
    pub(super) seen_s: u64,
}

impl Signer {
    /// Opens the authority in a directory. `lifetime` is that of the certificates that it signs; default [`LIFETIME`].
    ///
    /// # Errors
    /// As [`Ca::open`].
    pub fn open(dir: &Path, lifetime: Option<Duration>) -> Result<Self, Error> {
        let ca = Ca::open(dir)?;
        let nodes = ca.nodes()?;
        Ok(Self { ca, lifetime: lifetime.unwrap_or(LIFETIME), record: Mutex::new(Record { nodes, written: None }) })
    }

    /// Answers a node's request: verifies that the node has the certificate that it shows, and signs its successor for
    /// the same names.
    ///
    /// # Errors
    /// Why the request is rejected.
    pub fn answer(&self, request: &Request) -> Result<Reply, String> {
        let chain: Vec<CertificateDer<'_>> = request.chain.iter().map(|der| CertificateDer::from(&der[..])).collect();
        let first = chain.first().ok_or("the request has no certificate")?;
        let (roots, trust) = files::roots(&self.ca.trust_file()).map_err(|error| error.to_string())?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), files::provider()).build();
        let verifier = verifier.map_err(|error| error.to_string())?;
        verifier
            .verify_client_cert(first, &chain[1..], UnixTime::now())
            .map_err(|error| format!("the request is rejected: {}", explain_tls(&error)))?;
        verify_signature(first, request)?;
        let own = PeerCertificate::parse(first, &[])?;
        let identity = own.identity.clone().ok_or("the certificate of the request has no identity of Littoral")?;
        let active = self.ca.root(super::ROOT).map_err(|error| error.to_string())?;
        self.note(&identity, &own, request);
        let chain = request.csr.as_ref().map(|csr| self.sign(&identity, &own, csr)).transpose()?;
        Ok(Reply {
            renew: active.certificate.common_name.as_deref() != Some(&own.issuer),
            trust: (request.trust != digest(&trust)).then(|| active.sign_trust(&request.nonce, trust)).transpose()?,
            chain,
        })
    }

    fn sign(&self, identity: &Identity, own: &PeerCertificate, csr: &[u8]) -> Result<String, String> {
        let csr = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(csr));
        let csr = csr.map_err(|error| format!("the certificate request is invalid: {error}"))?;
        // The signer uses only the key of the request, so a node cannot choose its names.
        let leaf = Leaf {
            identity: identity.clone(),
            dns_names: own.dns_names.clone(),
            addresses: own.addresses.clone(),
            lifetime: self.lifetime,
        };
        let chain = self.ca.sign(&leaf, &csr.public_key).map_err(|error| error.to_string())?;
        metrics::counter!("littoral_tls_signed_total").increment(1);
        tracing::info!(%identity, "a certificate was renewed");
        Ok(chain)
    }

    fn note(&self, identity: &Identity, own: &PeerCertificate, request: &Request) {
        let now = now_s();
        let node =
            Node { trust: request.trust.clone(), root: own.issuer.clone(), not_after_s: own.not_after_s, seen_s: now };
        let mut record = self.record.lock();
        let before = record.nodes.insert(identity.to_string(), node.clone());
        record.nodes.retain(|_, node| node.not_after_s > now);
        let is_same = before.is_some_and(|before| before.trust == node.trust && before.root == node.root);
        if is_same && record.written.is_some_and(|written| written.elapsed() < RECORD_EVERY) {
            return;
        }
        record.written = Some(Instant::now());
        let text = serde_json::to_string_pretty(&record.nodes).unwrap_or_default();
        if let Err(error) = files::replace(&self.ca.path(NODES), &text, 0o600) {
            tracing::error!(%error, "the record of nodes cannot be written; a rotation of the root would not end");
        }
    }
}

impl Ca {
    /// Returns the nodes that have sent requests.
    pub(super) fn nodes(&self) -> Result<BTreeMap<String, Node>, Error> {
        let path = self.path(NODES);
        if !path.exists() {
            return Ok(BTreeMap::new());
        }
        serde_json::from_str(&files::read(&path)?).map_err(|error| {
            Error::new(&path, format!("it is not a record of nodes: {error}"), "remove it; the nodes report again")
        })
    }
}

impl Root {
    fn sign_trust(&self, nonce: &[u8; 16], pem: String) -> Result<SignedTrust, String> {
        let message = SignedTrust::message(nonce, &pem);
        let signature = self.issuer.key().sign(&message).map_err(|error| error.to_string())?;
        Ok(SignedTrust { pem, signature })
    }
}

fn verify_signature(certificate: &CertificateDer<'_>, request: &Request) -> Result<(), String> {
    let wrong = || "the request was not signed with the key of its certificate".to_owned();
    let certificate = webpki::EndEntityCert::try_from(certificate).map_err(|error| error.to_string())?;
    let scheme = SignatureScheme::from(request.scheme);
    let provider = files::provider();
    let known = provider.signature_verification_algorithms.mapping.iter().find(|(known, _)| *known == scheme);
    let (_, algorithms) = known.ok_or_else(wrong)?;
    let message = request.message();
    let verified = |algorithm: &&dyn rustls::pki_types::SignatureVerificationAlgorithm| {
        certificate.verify_signature(*algorithm, &message, &request.signature).is_ok()
    };
    if algorithms.iter().any(verified) { Ok(()) } else { Err(wrong()) }
}
