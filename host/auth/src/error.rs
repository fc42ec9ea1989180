//! Why a credential is rejected.

use http::StatusCode;
use littoral_api::code;

/// Why a credential is rejected. No variant contains the credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The request has none.
    #[error("the request has no credential; send the header 'Authorization: Bearer TOKEN'")]
    Missing,
    /// The request has another kind of credential.
    #[error("the header 'Authorization' has no bearer token; send 'Authorization: Bearer TOKEN' once")]
    NotBearer,
    /// The token is too long.
    #[error("the token has more than {0} bytes; request one with fewer claims")]
    TooLong(usize),
    /// The token is neither a known static token nor a JWT.
    #[error(
        "the token is not known here; it may have been removed, or belong to another cluster; create one with `littoral token new`"
    )]
    Unknown,
    /// The token has the form of a JWT, but is none.
    #[error("the token is not a valid JWT: {0}; request a new one from its issuer")]
    Malformed(&'static str),
    /// The token lacks a claim.
    #[error("the token has no valid claim '{0}'; configure its issuer to add it")]
    Claim(&'static str),
    /// The claim with the project is not the name of one.
    #[error(
        "the claim of the token that 'auth.issuers.project_claim' names is not a project's name; configure its issuer \
         to use 1 to 128 letters, digits, '_' or '-'"
    )]
    Project,
    /// The token has expired.
    #[error("the token expired {0} s ago; request a new one")]
    Expired(u64),
    /// The token is not valid yet.
    #[error("the token becomes valid in {0} s; check the clocks of this host and of the issuer")]
    NotYetValid(u64),
    /// The token's algorithm is not accepted, or does not fit its key.
    #[error(
        "the token is signed with the algorithm '{0}', which is not accepted for its issuer; sign with one that 'auth.issuers.algorithms' lists"
    )]
    Algorithm(String),
    /// No key of the issuer has the token's key id.
    #[error("the issuer of the token has no key with its key id; request a new token")]
    Key,
    /// The signature is invalid.
    #[error("the signature of the token is invalid; request a new one from its issuer")]
    Signature,
    /// The issuer is not configured.
    #[error(
        "the issuer '{0}' is not accepted here; add it to [[auth.issuers]], or request a token from another issuer"
    )]
    Issuer(String),
    /// The token is for other audiences.
    #[error(
        "the token is not for this service: none of its audiences is accepted here; request one for an audience of 'auth.issuers.audiences'"
    )]
    Audience,
    /// The keys of the issuer were never fetched.
    #[error("the token cannot be verified now: the keys of its issuer could not be fetched; retry shortly")]
    IssuerUnavailable,
    /// Client certificates are not accepted.
    #[error(
        "this door does not accept client certificates as credentials; send a bearer token, or set auth.client_certificates"
    )]
    Certificate,
}

impl Rejected {
    /// Returns the error code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing => code::CREDENTIAL_MISSING,
            Self::NotBearer => code::CREDENTIAL_UNSUPPORTED,
            Self::TooLong(_) => code::TOKEN_TOO_LONG,
            Self::Unknown => code::TOKEN_UNKNOWN,
            Self::Malformed(_) => code::TOKEN_MALFORMED,
            Self::Claim(_) => code::TOKEN_CLAIM_MISSING,
            Self::Project => code::TOKEN_PROJECT,
            Self::Expired(_) => code::TOKEN_EXPIRED,
            Self::NotYetValid(_) => code::TOKEN_NOT_YET_VALID,
            Self::Algorithm(_) => code::TOKEN_ALGORITHM,
            Self::Key => code::TOKEN_KEY_UNKNOWN,
            Self::Signature => code::TOKEN_SIGNATURE,
            Self::Issuer(_) => code::TOKEN_ISSUER,
            Self::Audience => code::TOKEN_AUDIENCE,
            Self::IssuerUnavailable => code::ISSUER_UNAVAILABLE,
            Self::Certificate => code::CERTIFICATE_NOT_ACCEPTED,
        }
    }

    /// Returns the HTTP status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::IssuerUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNAUTHORIZED,
        }
    }
}
