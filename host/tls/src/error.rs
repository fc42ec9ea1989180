//! Errors of certificates and connections, each with its place and its remedy.

use rustls::{AlertDescription, CertificateError, Error as TlsError};
use std::{io, path::Path};

/// Why a certificate, a key or a bundle of roots cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}; {remedy}")]
pub struct Error {
    /// The file, or the other end of a connection.
    pub place: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl Error {
    pub(crate) fn new(place: &Path, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { place: place.display().to_string(), what: what.into(), remedy: remedy.into() }
    }
}

/// Returns why a handshake failed and what to do, in words. Other errors of the stream keep their text.
#[must_use]
pub fn explain(error: &io::Error) -> String {
    within(error).map_or_else(|| error.to_string(), explain_tls)
}

/// Alerts about a node's own certificate.
const ALERTS: [AlertDescription; 7] = [
    AlertDescription::CertificateExpired,
    AlertDescription::UnknownCA,
    AlertDescription::CertificateRequired,
    AlertDescription::BadCertificate,
    AlertDescription::CertificateUnknown,
    AlertDescription::UnsupportedCertificate,
    AlertDescription::AccessDenied,
];

/// Returns the explanation of the TLS error among an error's sources, if there is one. In TLS 1.3 a client receives the
/// rejection of its certificate only with its first read, in any error that wraps that read. HTTP/2 keeps only the text
/// of such an error.
#[must_use]
pub fn explain_source(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        let found = error.downcast_ref::<io::Error>().and_then(within);
        if let Some(tls) = found.or_else(|| error.downcast_ref::<TlsError>()) {
            return Some(explain_tls(tls));
        }
        let text = error.to_string();
        let alert = ALERTS.into_iter().map(TlsError::AlertReceived).find(|alert| text.ends_with(&alert.to_string()));
        if let Some(alert) = alert {
            return Some(explain_tls(&alert));
        }
        next = error.source();
    }
    None
}

/// Returns the TLS error in an IO error, which may be wrapped several times. [`std::error::Error::source`] skips it.
fn within(error: &io::Error) -> Option<&TlsError> {
    let inner = error.get_ref()?;
    inner.downcast_ref::<TlsError>().or_else(|| inner.downcast_ref::<io::Error>().and_then(within))
}

pub(crate) fn explain_tls(error: &TlsError) -> String {
    match error {
        TlsError::InvalidCertificate(error) => explain_certificate(error),
        TlsError::NoCertificatesPresented => {
            "the other end presented no certificate; configure [tls] cert and key there".to_owned()
        }
        TlsError::InvalidMessage(_) => {
            "the other end does not use TLS; use https there, or configure its [tls] section".to_owned()
        }
        TlsError::AlertReceived(alert) => match alert {
            AlertDescription::CertificateExpired => {
                "the other end rejected this node's certificate as expired; renew it, and compare the clocks".to_owned()
            }
            AlertDescription::UnknownCA => {
                "the other end does not trust the root of this node's certificate; add the root to its trust bundle"
                    .to_owned()
            }
            AlertDescription::CertificateRequired => {
                "the other end requires a client certificate; configure one (--cert and --key, or [tls])".to_owned()
            }
            AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::AccessDenied => {
                "the other end rejected this node's certificate; its log states the reason".to_owned()
            }
            other => format!("the other end ended the handshake with the alert {other:?}; its log states the reason"),
        },
        TlsError::General(text) => text.clone(),
        other => other.to_string(),
    }
}

fn explain_certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            let when = match error {
                CertificateError::ExpiredContext { not_after, .. } => {
                    format!(" at {}", crate::certificate::utc(not_after.as_secs()))
                }
                _ => String::new(),
            };
            format!("its certificate expired{when}; renew it there (`littoral certs renew`), and compare the clocks")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            let when = match error {
                CertificateError::NotValidYetContext { not_before, .. } => {
                    format!(" before {}", crate::certificate::utc(not_before.as_secs()))
                }
                _ => String::new(),
            };
            format!("its certificate is not valid{when}; compare the clocks of the two hosts")
        }
        CertificateError::UnknownIssuer => {
            "no trusted root signed its certificate; add its root to the trust bundle, or issue it a certificate of this cluster"
                .to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the key usage of its certificate does not allow this use; issue it one for both server and client authentication"
                .to_owned()
        }
        CertificateError::BadSignature => {
            "its certificate's signature is invalid; it may be a root of the same name with another key: compare the bundles"
                .to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate does not name the host that was connected; connect by a name in the certificate, or issue one with \
             that --dns or --ip"
                .to_owned()
        }
        other => format!("its certificate is invalid: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_explained_even_where_only_its_text_is_left() {
        let alert = TlsError::AlertReceived(AlertDescription::CertificateExpired);
        let expected =
            Some("the other end rejected this node's certificate as expired; renew it, and compare the clocks");
        let whole = io::Error::other(io::Error::other(alert.clone()));
        let text = io::Error::other(format!("connection error: {alert}"));
        for error in [whole, text] {
            assert_eq!(explain_source(&error).as_deref(), expected);
        }
        assert_eq!(explain_source(&io::Error::other("connection reset")), None);
    }
}
