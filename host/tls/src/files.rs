//! Reads a certificate, its key and the trusted roots from files, as one consistent state; and writes them.

use crate::{Config, Error, PeerCertificate, ca::Issued};
use littoral_runtime::replace_file;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
    sign::CertifiedKey,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// The largest file that is read, in bytes.
const FILE_LEN_MAX: u64 = 4 << 20;

/// The content of the files.
pub(crate) struct Files {
    pub(crate) key: Arc<CertifiedKey>,
    pub(crate) roots: Arc<RootCertStore>,
    pub(crate) trust_pem: String,
}

impl Files {
    /// Reads the files. A certificate and a key that do not belong together are an error, so no state is half new.
    pub(crate) fn read(config: &Config) -> Result<Self, Error> {
        let chain = certificates(config.cert_file())?;
        let key = key_of(&chain, config)?;
        let (roots, trust_pem) = roots(config.trust_file())?;
        Ok(Self { key, roots: Arc::new(roots), trust_pem })
    }
}

/// Returns the certificate with its key. A renewal writes the new key next to the old one, then replaces the
/// certificate, then the key. If it was interrupted after the certificate, the key next to the old one belongs to the
/// certificate.
fn key_of(chain: &[CertificateDer<'static>], config: &Config) -> Result<Arc<CertifiedKey>, Error> {
    let file = config.key_file();
    let mismatch = || {
        Error::new(
            file,
            format!("the key does not belong to the certificate in {}", config.cert_file().display()),
            "replace both files; the node checks them again by itself",
        )
    };
    let matching = |path: &Path| -> Result<Option<Arc<CertifiedKey>>, Error> {
        let text = read(path)?;
        let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| {
            Error::new(path, format!("it has no private key: {}", pem_error(&error)), "write the key as PEM (PKCS #8)")
        })?;
        let provider = provider();
        let certified = CertifiedKey::from_der(chain.to_vec(), key, &provider);
        match certified {
            Ok(certified) => Ok(Some(Arc::new(certified))),
            Err(rustls::Error::InconsistentKeys(_)) => Ok(None),
            Err(error) => {
                Err(Error::new(path, format!("the key cannot be used: {error}"), "use an ECDSA, Ed25519 or RSA key"))
            }
        }
    };
    if let Some(key) = matching(file)? {
        return Ok(key);
    }
    let next = next_key(file);
    let found = if next.exists() { matching(&next)? } else { None };
    found.ok_or_else(mismatch)
}

/// Reads a file of certificates.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = read(path)?;
    certificates_in(path, &text)
}

fn certificates_in(path: &Path, text: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let mut all = Vec::new();
    for (index, found) in CertificateDer::pem_slice_iter(text.as_bytes()).enumerate() {
        all.push(found.map_err(|error| {
            let what = format!("certificate {} is garbage: {}", index + 1, pem_error(&error));
            Error::new(path, what, "remove it, or copy it again as PEM")
        })?);
    }
    if all.is_empty() {
        return Err(Error::new(
            path,
            "it has no certificate",
            "write PEM blocks that begin with -----BEGIN CERTIFICATE-----",
        ));
    }
    Ok(all)
}

/// Parses the certificates in a file.
///
/// # Errors
/// When the file cannot be read or holds garbage.
pub fn parse(path: &Path) -> Result<Vec<PeerCertificate>, Error> {
    let all = certificates(path)?;
    let parse = |der: &CertificateDer<'_>| {
        PeerCertificate::parse(der, &[])
            .map_err(|error| Error::new(path, error, "issue another (`littoral certs issue`)"))
    };
    all.iter().map(parse).collect()
}

/// Writes a certificate and its key, into one file or two. A node that reads the files at any moment finds a
/// certificate and the key that belongs to it.
///
/// # Errors
/// When a file cannot be written.
pub fn install(cert: &Path, key: &Path, issued: &Issued) -> Result<(), Error> {
    if cert == key {
        return replace(cert, &format!("{}{}", issued.chain, issued.key), 0o600);
    }
    // A reader between these steps finds the certificate's key under one of the two names.
    let next = next_key(key);
    replace(&next, &issued.key, 0o600)?;
    replace(cert, &issued.chain, 0o644)?;
    replace(key, &issued.key, 0o600)?;
    // A leftover of the same key is harmless.
    let _ = std::fs::remove_file(next);
    Ok(())
}

/// Reads trusted roots. If one of them cannot be used, the whole bundle is rejected: no part of a damaged bundle is
/// trusted.
pub(crate) fn roots(path: &Path) -> Result<(RootCertStore, String), Error> {
    let text = read(path)?;
    let mut roots = RootCertStore::empty();
    for (index, root) in certificates_in(path, &text)?.into_iter().enumerate() {
        let bad = |what: String| {
            Error::new(
                path,
                format!("certificate {} {what}", index + 1),
                "remove it, or replace it by a root certificate",
            )
        };
        let parsed = PeerCertificate::parse(&root, &[]).map_err(|error| bad(format!("is garbage: {error}")))?;
        if !parsed.is_ca {
            return Err(bad(format!("({}) is not a certificate authority", parsed.common_name.unwrap_or_default())));
        }
        roots.add(root).map_err(|error| bad(format!("cannot be a root: {error}")))?;
    }
    Ok((roots, text))
}

/// Reads a file of text.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    let remedy = "check the path and the permissions";
    let unreadable = |error: std::io::Error| Error::new(path, format!("it cannot be read: {error}"), remedy);
    let len = std::fs::metadata(path).map_err(unreadable)?.len();
    if len > FILE_LEN_MAX {
        return Err(Error::new(path, format!("it has {len} bytes"), "use a PEM file of at most 4 MiB"));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|_| Error::new(path, "it is not text", "convert it to PEM"))
}

/// Returns the path of the next key, which is written before the certificate that it belongs to.
pub(crate) fn next_key(key: &Path) -> PathBuf {
    let mut name = key.as_os_str().to_owned();
    name.push(".next");
    PathBuf::from(name)
}

/// Replaces a file in one step.
pub(crate) fn replace(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    replace_file(path, text.as_bytes(), mode).map_err(|error| {
        let what = format!("it cannot be written: {error}");
        Error::new(path, what, "check the permissions and the space of its directory")
    })
}

/// Returns the cryptography of all connections.
pub(crate) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    static PROVIDER: std::sync::LazyLock<Arc<rustls::crypto::CryptoProvider>> =
        std::sync::LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));
    PROVIDER.clone()
}

fn pem_error(error: &pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => "no such PEM block".to_owned(),
        other => other.to_string(),
    }
}
