//! JSON Web Tokens: parses a token, verifies its signature and checks its claims. Time and keys are arguments.
//!
//! `ring` verifies the signatures. The algorithms are a closed list of public-key algorithms: `none` and the HMAC
//! algorithms cannot be expressed, so that a public key can never be used as an HMAC secret
//! (`host/decisions/0026-who-sends-a-request.md`).

use crate::{
    access::{Identity, Kind},
    config::IssuerConfig,
    error::Rejected,
    keys::{Keys, Material},
    scope::{Grant, shown},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use littoral_model::project::{self, ProjectName};
use ring::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The largest number of roles of one token.
const ROLES_MAX: usize = 1_000;

/// An algorithm of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Algorithm {
    /// RSA with PKCS #1 v1.5 and SHA-256.
    Rs256,
    /// RSA with PKCS #1 v1.5 and SHA-384.
    Rs384,
    /// RSA with PKCS #1 v1.5 and SHA-512.
    Rs512,
    /// RSA with PSS and SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    const ALL: [(&'static str, Self); 7] = [
        ("RS256", Self::Rs256),
        ("RS384", Self::Rs384),
        ("RS512", Self::Rs512),
        ("PS256", Self::Ps256),
        ("ES256", Self::Es256),
        ("ES384", Self::Es384),
        ("EdDSA", Self::EdDsa),
    ];

    /// Returns the algorithm of this name in a token or a key.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, algorithm)| algorithm)
    }

    /// Verifies a signature. Returns `None` if the key is not one for this algorithm.
    fn verify(self, key: &Material, message: &[u8], signature: &[u8]) -> Option<bool> {
        let plain = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
        };
        let rsa = |parameters: &'static RsaParameters, n: &[u8], e: &[u8]| {
            RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
        };
        Some(match (self, key) {
            (Self::Rs256, Material::Rsa { n, e }) => rsa(&signature::RSA_PKCS1_2048_8192_SHA256, n, e),
            (Self::Rs384, Material::Rsa { n, e }) => rsa(&signature::RSA_PKCS1_2048_8192_SHA384, n, e),
            (Self::Rs512, Material::Rsa { n, e }) => rsa(&signature::RSA_PKCS1_2048_8192_SHA512, n, e),
            (Self::Ps256, Material::Rsa { n, e }) => rsa(&signature::RSA_PSS_2048_8192_SHA256, n, e),
            (Self::Es256, Material::P256(point)) => plain(&signature::ECDSA_P256_SHA256_FIXED, point),
            (Self::Es384, Material::P384(point)) => plain(&signature::ECDSA_P384_SHA384_FIXED, point),
            (Self::EdDsa, Material::Ed25519(point)) => plain(&signature::ED25519, point),
            _ => return None,
        })
    }
}

impl TryFrom<String> for Algorithm {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Self::of(&name).ok_or_else(|| {
            let all: Vec<_> = Self::ALL.iter().map(|(name, _)| *name).collect();
            format!("the algorithm '{}' is not supported; use {}", shown(&name), all.join(", "))
        })
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<Value>,
}

/// A parsed token whose signature is not verified yet.
pub struct Unverified<'a> {
    header: Header,
    claims: Map<String, Value>,
    message: &'a str,
    signature: Vec<u8>,
}

/// Returns whether a token has the form of a JWT: three parts between dots.
#[must_use]
pub fn is_jwt(token: &str) -> bool {
    token.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// Parses a token.
///
/// # Errors
/// [`Rejected::Malformed`].
pub fn parse(token: &str) -> Result<Unverified<'_>, Rejected> {
    let malformed = Rejected::Malformed;
    let (message, signature) = token.rsplit_once('.').ok_or(malformed("it has no signature"))?;
    let (header, claims) = message.split_once('.').ok_or(malformed("it has fewer than three parts"))?;
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed("a part is not base64url"));
    let header: Header = serde_json::from_slice(&decode(header)?)
        .map_err(|_| malformed("its header is not a JSON object with 'alg'"))?;
    let claims: Map<String, Value> =
        serde_json::from_slice(&decode(claims)?).map_err(|_| malformed("its claims are not a JSON object"))?;
    if header.crit.is_some() {
        return Err(malformed("its header requires an extension ('crit'), and none is supported"));
    }
    Ok(Unverified { header, claims, message, signature: decode(signature)? })
}

impl Unverified<'_> {
    /// Returns the issuer that the token names.
    ///
    /// # Errors
    /// [`Rejected::Claim`].
    pub fn issuer(&self) -> Result<&str, Rejected> {
        self.claims.get("iss").and_then(Value::as_str).ok_or(Rejected::Claim("iss"))
    }

    /// Verifies the signature, then checks the claims. `skew_s` is the tolerated difference of clocks.
    ///
    /// # Errors
    /// [`Rejected`]; [`Rejected::Key`] if the issuer may have a newer set of keys.
    pub fn verify(&self, issuer: &IssuerConfig, keys: &Keys, now_s: u64, skew_s: u64) -> Result<Identity, Rejected> {
        let not_accepted = || Rejected::Algorithm(shown(&self.header.alg));
        let algorithm = Algorithm::of(&self.header.alg).filter(|algorithm| issuer.algorithms.contains(algorithm));
        let algorithm = algorithm.ok_or_else(not_accepted)?;
        let key = keys.find(self.header.kid.as_deref(), algorithm).ok_or(Rejected::Key)?;
        if key.algorithm.is_some_and(|only| only != algorithm) {
            return Err(not_accepted());
        }
        match algorithm.verify(&key.material, self.message.as_bytes(), &self.signature) {
            Some(true) => self.check(issuer, now_s, skew_s),
            Some(false) => Err(Rejected::Signature),
            None => Err(not_accepted()),
        }
    }

    fn check(&self, issuer: &IssuerConfig, now_s: u64, skew_s: u64) -> Result<Identity, Rejected> {
        let claims = &self.claims;
        if self.issuer()? != issuer.issuer {
            return Err(Rejected::Issuer(shown(self.issuer()?)));
        }
        let audience = claims.get("aud").ok_or(Rejected::Claim("aud"))?;
        if !texts(audience).any(|audience| issuer.audiences.iter().any(|accepted| accepted == audience)) {
            return Err(Rejected::Audience);
        }
        let expires_s = seconds(claims, "exp")?.ok_or(Rejected::Claim("exp"))?.saturating_add(skew_s);
        if now_s >= expires_s {
            return Err(Rejected::Expired(now_s.saturating_sub(expires_s.saturating_sub(skew_s))));
        }
        for claim in ["nbf", "iat"] {
            if let Some(from) = seconds(claims, claim)?
                && from > now_s.saturating_add(skew_s)
            {
                return Err(Rejected::NotYetValid(from - now_s));
            }
        }
        let subject = at(claims, &issuer.subject_claim).and_then(Value::as_str).filter(|subject| !subject.is_empty());
        let subject = subject.ok_or(Rejected::Claim("sub"))?.chars().take(256).filter(|c| !c.is_control()).collect();
        let project =
            issuer.project_claim.as_deref().and_then(|claim| at(claims, claim)).filter(|value| !value.is_null());
        let project = project.map(|value| value.as_str().and_then(|name| name.parse::<ProjectName>().ok()));
        let project = project.map(|name| name.ok_or(Rejected::Project)).transpose()?;
        let roles = issuer.roles_claims.iter().filter_map(|claim| at(claims, claim)).flat_map(texts);
        let grants = issuer.scopes_claim.iter().filter_map(|claim| at(claims, claim)).flat_map(texts);
        let grants = grants.flat_map(str::split_whitespace);
        Ok(Identity {
            kind: Kind::Oidc,
            subject,
            issuer: issuer.issuer.clone(),
            roles: roles.take(ROLES_MAX).map(str::to_owned).collect(),
            // Other words, as "openid", are for other services.
            grants: grants
                .filter_map(|text| {
                    Grant::parse(text, project.as_ref().map_or(project::DEFAULT, ProjectName::as_str)).ok()
                })
                .collect(),
            project,
            expires_s,
        })
    }
}

/// Returns the seconds of a claim.
fn seconds(claims: &Map<String, Value>, name: &'static str) -> Result<Option<u64>, Rejected> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        // JSON numbers may have a fraction (RFC 7519).
        Some(value) => match value.as_f64() {
            Some(seconds) if (0.0..1e15).contains(&seconds) => Ok(Some(seconds as u64)),
            _ => Err(Rejected::Claim(name)),
        },
    }
}

/// Returns the claim at a path: a claim of that name, or nested claims whose names are separated by dots.
fn at<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    claims.get(path).or_else(|| {
        let (first, rest) = path.split_once('.')?;
        at(claims.get(first)?.as_object()?, rest)
    })
}

/// Iterates over the texts of a claim that is a text or a list of texts.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    value.as_str().into_iter().chain(list.iter().filter_map(Value::as_str))
}
