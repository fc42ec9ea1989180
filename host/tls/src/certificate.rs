//! What a certificate states about its owner.

use crate::{Identity, Mapping};
use sha2::{Digest as _, Sha256};
use std::{net::IpAddr, ops::Deref, sync::Arc};
use time::OffsetDateTime;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, parse_x509_certificate};

/// A certificate, as far as Littoral uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// The identity: a URI `littoral://..`, or a SPIFFE id that the configuration maps. `None` for other certificates.
    pub identity: Option<Identity>,
    /// All URIs among its alternative names.
    pub uris: Vec<String>,
    /// All DNS names among its alternative names.
    pub dns_names: Vec<String>,
    /// All addresses among its alternative names.
    pub addresses: Vec<IpAddr>,
    /// The common name of its subject.
    pub common_name: Option<String>,
    /// The common name of its issuer.
    pub issuer: String,
    /// The issuer's whole name, in DER.
    pub issuer_name: Vec<u8>,
    /// The SHA-256 of its DER form.
    pub fingerprint: [u8; 32],
    /// When it becomes valid, in seconds since 1970.
    pub not_before_s: u64,
    /// When it expires, in seconds since 1970.
    pub not_after_s: u64,
    /// Whether it may sign other certificates.
    pub is_ca: bool,
}

/// The verified certificate of the other end of a connection. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity(Arc<PeerCertificate>);

impl PeerIdentity {
    /// Wraps a certificate that was verified.
    #[must_use]
    pub fn new(certificate: PeerCertificate) -> Self {
        Self(Arc::new(certificate))
    }
}

impl Deref for PeerIdentity {
    type Target = PeerCertificate;

    fn deref(&self) -> &PeerCertificate {
        &self.0
    }
}

impl PeerCertificate {
    /// Parses a certificate.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(der: &[u8], mappings: &[Mapping]) -> Result<Self, String> {
        let (_, parsed) = parse_x509_certificate(der).map_err(|error| format!("it is not a certificate: {error}"))?;
        let Names { uris, dns_names, addresses } = Names::of(&parsed)?;
        let seconds = |timestamp: i64| u64::try_from(timestamp).unwrap_or_default();
        let common_name = |name: &x509_parser::x509::X509Name<'_>| {
            name.iter_common_name().next().and_then(|name| name.as_str().ok()).map(str::to_owned)
        };
        Ok(Self {
            identity: identity(&uris, mappings)?,
            uris,
            dns_names,
            addresses,
            common_name: common_name(parsed.subject()),
            issuer: common_name(parsed.issuer()).unwrap_or_default(),
            issuer_name: parsed.issuer().as_raw().to_vec(),
            fingerprint: Sha256::digest(der).into(),
            not_before_s: seconds(parsed.validity().not_before.timestamp()),
            not_after_s: seconds(parsed.validity().not_after.timestamp()),
            is_ca: parsed.is_ca(),
        })
    }
}

impl PeerCertificate {
    /// Returns the name of its owner.
    #[must_use]
    pub fn owner(&self) -> &str {
        let names = self.uris.first().or(self.dns_names.first()).or(self.common_name.as_ref());
        names.map_or("", String::as_str)
    }

    /// Returns when it becomes valid, as text.
    #[must_use]
    pub fn not_before(&self) -> String {
        utc(self.not_before_s)
    }

    /// Returns when it expires, as text.
    #[must_use]
    pub fn not_after(&self) -> String {
        utc(self.not_after_s)
    }
}

#[derive(Default)]
struct Names {
    uris: Vec<String>,
    dns_names: Vec<String>,
    addresses: Vec<IpAddr>,
}

impl Names {
    fn of(certificate: &X509Certificate<'_>) -> Result<Self, String> {
        let mut names = Self::default();
        let found = certificate.subject_alternative_name();
        let found = found.map_err(|error| format!("its alternative names are invalid: {error}"))?;
        for name in found.iter().flat_map(|names| &names.value.general_names) {
            match name {
                GeneralName::URI(uri) => names.uris.push((*uri).to_owned()),
                GeneralName::DNSName(name) => names.dns_names.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => names.addresses.extend(address(bytes)),
                _ => {}
            }
        }
        Ok(names)
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    v4.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from))
}

/// Returns the one identity among the URIs. Two are an error: which of them counts would depend on the reader.
fn identity(uris: &[String], mappings: &[Mapping]) -> Result<Option<Identity>, String> {
    let mut found = None;
    for uri in uris {
        let identity = match uri.starts_with("littoral://") {
            true => Some(uri.parse::<Identity>().map_err(|error| error.to_string())?),
            false => mappings.iter().find_map(|mapping| mapping.identity_of(uri)),
        };
        if let Some(identity) = identity
            && let Some(first) = found.replace(identity)
        {
            return Err(format!("it has two identities, {first} and {uri}; issue it with one"));
        }
    }
    Ok(found)
}

/// Formats a time in seconds since 1970.
#[must_use]
pub(crate) fn utc(seconds: u64) -> String {
    let at = i64::try_from(seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    at.map_or_else(
        || format!("second {seconds}"),
        |at| {
            let (year, month, day) = at.to_calendar_date();
            let (hour, minute, second) = at.to_hms();
            format!("{year}-{:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC", u8::from(month))
        },
    )
}
