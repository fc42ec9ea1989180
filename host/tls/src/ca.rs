//! A private certificate authority in a directory, for clusters that have none.
//!
//! `root.pem` holds the active root with its key, `trust.pem` the roots that nodes trust. [`rotation`] replaces the
//! root while the cluster runs. [`Signer`] renews the certificates of nodes.

pub mod rotation;
mod signer;

pub use signer::Signer;

use crate::{
    Error, Identity, PeerCertificate,
    files::{self, replace},
    tls::now_s,
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData, SanType, string::Ia5String,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use std::{
    net::IpAddr,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::Duration,
};
use time::OffsetDateTime;

/// The default lifetime of a node's certificate.
pub const LIFETIME: Duration = Duration::from_secs(24 * 3_600);

/// The lifetime of a root.
const ROOT_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);

/// How long before its issue a certificate is valid, for hosts whose clocks are behind.
const BACKDATED: Duration = Duration::from_secs(300);

const ROOT: &str = "root.pem";
const NEXT: &str = "next.pem";
const TRUST: &str = "trust.pem";

/// A certificate authority.
#[derive(Clone, Debug)]
pub struct Ca {
    dir: PathBuf,
}

/// What a certificate is issued for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The owner.
    pub identity: Identity,
    /// DNS names by which clients connect to it.
    pub dns_names: Vec<String>,
    /// Addresses by which clients connect to it.
    pub addresses: Vec<IpAddr>,
    /// How long the certificate is valid.
    pub lifetime: Duration,
}

/// An issued certificate as PEM.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate.
    pub chain: String,
    /// Its private key.
    pub key: String,
}

/// A root: its certificate as PEM, and what signs with it.
struct Root {
    pem: String,
    certificate: PeerCertificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    /// Creates an authority for a cluster in a directory that has none.
    ///
    /// # Errors
    /// When the directory has one already or cannot be written, or the cluster's name is invalid.
    pub fn init(dir: &Path, cluster: &str) -> Result<Self, Error> {
        let probe = format!("littoral://{cluster}/x/operator/x");
        if probe.parse::<Identity>().is_err() {
            let what = format!("'{cluster}' is not a cluster's name");
            return Err(Error::new(dir, what, "use 1 to 128 of the characters a-z, A-Z, 0-9, '.', '_' and '-'"));
        }
        let ca = Self { dir: dir.to_owned() };
        if ca.path(ROOT).exists() {
            let remedy = "choose another directory, or use `littoral certs rotate-root` to replace the root";
            return Err(Error::new(dir, "it has a certificate authority already", remedy));
        }
        let created = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
        created.map_err(|error| Error::new(dir, format!("it cannot be created: {error}"), "check the permissions"))?;
        let root = new_root(dir, cluster)?;
        replace(&ca.path(ROOT), &format!("{}{}", root.chain, root.key), 0o600)?;
        replace(&ca.path(TRUST), &root.chain, 0o644)?;
        Ok(ca)
    }

    /// Opens an authority.
    ///
    /// # Errors
    /// When its root cannot be read or used.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let ca = Self { dir: dir.to_owned() };
        ca.root(ROOT)?;
        Ok(ca)
    }

    /// Returns the cluster's name.
    ///
    /// # Errors
    /// When the root cannot be read.
    pub fn cluster(&self) -> Result<String, Error> {
        let root = self.root(ROOT)?.certificate;
        let name = root.common_name.unwrap_or_default();
        let cluster = name.strip_prefix("Littoral ").and_then(|name| name.rsplit_once(" root ")).map(|(name, _)| name);
        cluster.map(str::to_owned).ok_or_else(|| {
            Error::new(
                &self.path(ROOT),
                format!("its subject '{name}' names no cluster"),
                "create the authority with `littoral certs init`",
            )
        })
    }

    /// Returns the file of the roots that nodes trust.
    #[must_use]
    pub fn trust_file(&self) -> PathBuf {
        self.path(TRUST)
    }

    /// Returns the roots that nodes trust, as PEM.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn trust(&self) -> Result<String, Error> {
        files::read(&self.trust_file())
    }

    /// Issues a certificate with a new key.
    ///
    /// # Errors
    /// When the identity is of another cluster or a name is invalid, or the root cannot be used.
    pub fn issue(&self, leaf: &Leaf) -> Result<Issued, Error> {
        let key = KeyPair::generate().map_err(|error| self.failed(&error))?;
        let chain = self.sign(leaf, &key)?;
        Ok(Issued { chain, key: key.serialize_pem() })
    }

    /// Signs a certificate for a public key.
    pub(crate) fn sign(&self, leaf: &Leaf, key: &impl PublicKeyData) -> Result<String, Error> {
        let (root, cluster) = (self.root(ROOT)?, self.cluster()?);
        if leaf.identity.cluster != cluster {
            let what = format!("{} is of another cluster than this authority ({cluster})", leaf.identity);
            return Err(Error::new(&self.dir, what, "correct the identity, or use that cluster's authority"));
        }
        let mut params = params(&leaf.identity.to_string(), leaf.lifetime);
        let uri = leaf.identity.to_string();
        let name = |name: &str| {
            Ia5String::try_from(name)
                .map_err(|_| Error::new(&self.dir, format!("'{name}' is not a DNS name"), "use ASCII letters"))
        };
        params.subject_alt_names.push(SanType::URI(name(&uri)?));
        for dns in &leaf.dns_names {
            params.subject_alt_names.push(SanType::DnsName(name(dns)?));
        }
        params.subject_alt_names.extend(leaf.addresses.iter().copied().map(SanType::IpAddress));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        Ok(params.signed_by(key, &root.issuer).map_err(|error| self.failed(&error))?.pem())
    }

    fn root(&self, name: &str) -> Result<Root, Error> {
        let path = self.path(name);
        let bad = |what: String| {
            Error::new(&path, what, "restore the authority's directory, or create another (`littoral certs init`)")
        };
        let text = files::read(&path)?;
        let der = CertificateDer::from_pem_slice(text.as_bytes())
            .map_err(|error| bad(format!("it has no certificate: {error}")))?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes());
        let key = key.map_err(|error| bad(format!("it has no private key: {error}")))?;
        let key = KeyPair::try_from(&key).map_err(|error| bad(format!("its key cannot be used: {error}")))?;
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(|error| bad(format!("it cannot sign: {error}")))?;
        let certificate = PeerCertificate::parse(&der, &[]).map_err(bad)?;
        let pem = text.find("-----BEGIN PRIVATE KEY").map_or(&*text, |at| &text[..at]).to_owned();
        Ok(Root { pem, certificate, issuer })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn failed(&self, error: &rcgen::Error) -> Error {
        Error::new(&self.dir, format!("the certificate cannot be made: {error}"), "check the names of the identity")
    }
}

fn new_root(dir: &Path, cluster: &str) -> Result<Issued, Error> {
    let failed = |error: rcgen::Error| Error::new(dir, format!("the root cannot be made: {error}"), "report this");
    let key = KeyPair::generate().map_err(failed)?;
    // Roots of one cluster differ in name, so that each certificate shows which root signed it.
    let name = format!("Littoral {cluster} root {:08x}", fastrand::u32(..));
    let mut params = params(&name, ROOT_LIFETIME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let root = params.self_signed(&key).map_err(failed)?;
    Ok(Issued { chain: root.pem(), key: key.serialize_pem() })
}

fn params(name: &str, lifetime: Duration) -> CertificateParams {
    let at = |seconds: u64| {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    };
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = at(now_s().saturating_sub(BACKDATED.as_secs()));
    params.not_after = at(now_s().saturating_add(lifetime.as_secs()));
    params
}
