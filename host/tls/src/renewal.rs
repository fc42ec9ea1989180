//! Renews a node's certificate and its trusted roots while it runs.
//!
//! A node regularly sends a [`Request`] to a node that signs, or to one that forwards it. The request shows the node's
//! certificate and is signed with its key, so nodes on the way need not be trusted. After 60% to 67% of the
//! certificate's lifetime, or when the reply demands it because the root is rotated, the request also carries a
//! certificate request for a new key.

use crate::{
    Error, Tls,
    ca::Issued,
    files::{install, provider, replace},
    tls::now_s,
};
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    SignatureScheme,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The version of requests and replies, their first byte.
pub const VERSION: u8 = 1;

/// The most nodes that forward one request.
const HOPS_MAX: u8 = 4;

/// The longest message, in bytes.
const MESSAGE_LEN_MAX: usize = 256 << 10;

/// A node's request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// How many nodes have forwarded it.
    hops: u8,
    /// The node's certificate chain.
    pub(crate) chain: Vec<Vec<u8>>,
    /// The SHA-256 of its trusted roots, in hexadecimal.
    pub(crate) trust: String,
    /// A certificate request for its next key (PKCS #10), if it requests its next certificate.
    pub(crate) csr: Option<Vec<u8>>,
    /// Random bytes, which the signature of the reply's roots covers, so that no node can send an earlier reply again.
    pub(crate) nonce: [u8; 16],
    /// The scheme of the signature, as TLS numbers it.
    pub(crate) scheme: u16,
    /// The signature of the node's current key.
    pub(crate) signature: Vec<u8>,
}

/// The reply to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The roots to trust from now on, if they differ.
    pub(crate) trust: Option<SignedTrust>,
    /// The next certificate, as PEM.
    pub(crate) chain: Option<String>,
    /// Whether to request the next certificate now.
    pub(crate) renew: bool,
}

/// A bundle of roots, signed with the key of the authority's active root. A node accepts it if it trusts that root
/// already, so nodes that forward it cannot add one of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SignedTrust {
    /// The roots as PEM.
    pub(crate) pem: String,
    /// The signature (ECDSA with P-256 and SHA-256).
    pub(crate) signature: Vec<u8>,
}

impl SignedTrust {
    /// Returns what the root signs, for the request with this nonce.
    pub(crate) fn message(nonce: &[u8; 16], pem: &str) -> Vec<u8> {
        let mut message = b"littoral trust bundle 1\0".to_vec();
        message.extend_from_slice(nonce);
        message.extend_from_slice(pem.as_bytes());
        message
    }

    /// Checks that one of the trusted roots signed the bundle for the request with this nonce.
    fn verify(&self, nonce: &[u8; 16], trusted_pem: &str) -> Result<(), String> {
        let message = Self::message(nonce, &self.pem);
        let signed_by = |root: &CertificateDer<'_>| {
            webpki::EndEntityCert::try_from(root).is_ok_and(|root| {
                root.verify_signature(webpki::ring::ECDSA_P256_SHA256, &message, &self.signature).is_ok()
            })
        };
        match CertificateDer::pem_slice_iter(trusted_pem.as_bytes()).flatten().any(|root| signed_by(&root)) {
            true => Ok(()),
            false => {
                Err("the reply has roots that no trusted root signed for this request; they are ignored".to_owned())
            }
        }
    }
}

impl Request {
    /// Decodes a request that a node has received.
    ///
    /// # Errors
    /// When the bytes are not a request of this version, or too many nodes have forwarded it.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let request: Self = decode(bytes)?;
        if request.hops > HOPS_MAX {
            return Err(format!(
                "{HOPS_MAX} nodes have forwarded the request and none signs; set tls.ca at a leader of the catalogue home"
            ));
        }
        Ok(request)
    }

    /// Encodes a request that is sent on to the next node.
    ///
    /// # Errors
    /// When it is too large.
    pub fn forwarded(&self) -> Result<Vec<u8>, String> {
        encode(&Self { hops: self.hops.saturating_add(1), ..self.clone() })
    }

    /// Returns what the node signs.
    pub(crate) fn message(&self) -> Vec<u8> {
        let mut message = b"littoral certificate renewal 1\0".to_vec();
        message.extend_from_slice(self.trust.as_bytes());
        message.push(0);
        message.extend_from_slice(&self.nonce);
        message.extend_from_slice(self.csr.as_deref().unwrap_or_default());
        message
    }

    fn signed(tls: &Tls, csr: Option<Vec<u8>>) -> Result<Self, String> {
        let key = tls.key();
        let chain = key.cert.iter().map(|der| der.to_vec()).collect();
        let mut nonce = [0; 16];
        let filled = provider().secure_random.fill(&mut nonce);
        filled.map_err(|_| "the system provides no random bytes".to_owned())?;
        let (trust, signature) = (tls.trust_digest(), Vec::new());
        let mut request = Self { hops: 0, chain, trust, csr, nonce, scheme: 0, signature };
        let schemes = [
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ED25519,
            SignatureScheme::RSA_PSS_SHA256,
        ];
        let signer = key.key.choose_scheme(&schemes).ok_or("this node's key cannot sign a request")?;
        request.scheme = u16::from(signer.scheme());
        request.signature = signer.sign(&request.message()).map_err(|error| error.to_string())?;
        Ok(request)
    }
}

impl Reply {
    /// Encodes the reply.
    ///
    /// # Errors
    /// When it is too large.
    pub fn encode(&self) -> Result<Vec<u8>, String> {
        encode(self)
    }
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, String> {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, value).map_err(|error| error.to_string())?;
    if bytes.len() > MESSAGE_LEN_MAX {
        return Err(format!("the message has {} bytes, more than {MESSAGE_LEN_MAX}", bytes.len()));
    }
    Ok(bytes)
}

fn decode<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Result<T, String> {
    if bytes.len() > MESSAGE_LEN_MAX {
        return Err(format!("the message has {} bytes, more than {MESSAGE_LEN_MAX}", bytes.len()));
    }
    match bytes.split_first() {
        Some((&VERSION, json)) => serde_json::from_slice(json).map_err(|error| format!("it is not a message: {error}")),
        _ => Err(format!("the message is not of version {VERSION}; upgrade the older of the two nodes")),
    }
}

/// Checks regularly whether the certificate or the roots must be renewed, and renews them, until `stop`. `ask` sends a
/// request to a node that signs or forwards, and returns its reply.
pub async fn keep<F>(tls: Tls, ask: impl Fn(Vec<u8>) -> F, stop: CancellationToken)
where
    F: Future<Output = Result<Vec<u8>, String>>,
{
    let Some(every) = tls.config().renew_every() else { return };
    // Nodes that started together do not renew together.
    let share = 0.60 + 0.07 * fastrand::f64();
    let mut failed = String::new();
    loop {
        let pause = every.mul_f64(0.8 + 0.4 * fastrand::f64());
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
        let Some(renewed) = stop.run_until_cancelled(renew(&tls, &ask, is_due(&tls, share))).await else { return };
        match renewed {
            Ok(()) => failed.clear(),
            Err(reason) if reason != failed => {
                metrics::counter!("littoral_tls_renewals_total", "result" => "failed").increment(1);
                let expires = crate::certificate::utc(tls.certificate().not_after_s);
                tracing::warn!(reason, expires, "the certificate could not be renewed or checked; retrying");
                failed = reason;
            }
            Err(_) => metrics::counter!("littoral_tls_renewals_total", "result" => "failed").increment(1),
        }
    }
}

/// Returns whether the node's certificate has reached this share of its lifetime.
fn is_due(tls: &Tls, share: f64) -> bool {
    let own = tls.certificate();
    let lifetime = Duration::from_secs(own.not_after_s.saturating_sub(own.not_before_s));
    let age = Duration::from_secs(now_s().saturating_sub(own.not_before_s));
    age >= lifetime.mul_f64(share)
}

async fn renew<F>(tls: &Tls, ask: &impl Fn(Vec<u8>) -> F, is_due: bool) -> Result<(), String>
where
    F: Future<Output = Result<Vec<u8>, String>>,
{
    let mut wants = is_due;
    loop {
        let key = if wants { Some(KeyPair::generate().map_err(|error| error.to_string())?) } else { None };
        let csr = key.as_ref().map(request_for).transpose()?;
        let request = Request::signed(tls, csr)?;
        let nonce = request.nonce;
        let reply: Reply = decode(&ask(encode(&request)?).await?)?;
        if let Some(trust) = &reply.trust {
            trust.verify(&nonce, &tls.trust_pem())?;
        }
        let (tls, is_renewal) = (tls.clone(), reply.chain.is_some());
        let demands = reply.renew && !wants;
        let stored = tokio::task::spawn_blocking(move || store(&tls, key.as_ref(), &reply));
        stored.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        if is_renewal {
            metrics::counter!("littoral_tls_renewals_total", "result" => "ok").increment(1);
        }
        if !demands {
            return Ok(());
        }
        wants = true;
    }
}

fn request_for(key: &KeyPair) -> Result<Vec<u8>, String> {
    let csr = CertificateParams::default().serialize_request(key).map_err(|error| error.to_string())?;
    Ok(csr.der().to_vec())
}

/// Writes the content of a reply, and reloads the files. It writes the roots first, because the next certificate may
/// need them.
fn store(tls: &Tls, key: Option<&KeyPair>, reply: &Reply) -> Result<(), Error> {
    let config = tls.config();
    if reply.trust.is_none() && reply.chain.is_none() {
        return Ok(());
    }
    if let Some(trust) = &reply.trust {
        replace(config.trust_file(), &trust.pem, 0o644)?;
    }
    if let (Some(chain), Some(key)) = (&reply.chain, key) {
        let issued = Issued { chain: chain.clone(), key: key.serialize_pem() };
        install(config.cert_file(), config.key_file(), &issued)?;
    }
    tls.reload().map(|_| ())
}
