//! The public keys of an issuer, from its JSON Web Key Set.

use crate::jwt::Algorithm;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

/// The largest number of keys in a set.
const KEYS_MAX: usize = 256;

/// The public keys of an issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(Vec<Key>);

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub id: Option<String>,
    /// The only algorithm that it is for, if the set names one.
    pub algorithm: Option<Algorithm>,
    /// The key itself.
    pub material: Material,
}

/// The numbers of a public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Material {
    /// An RSA key, big-endian.
    Rsa {
        /// The modulus.
        n: Vec<u8>,
        /// The exponent.
        e: Vec<u8>,
    },
    /// An uncompressed point on P-256.
    P256(Vec<u8>),
    /// An uncompressed point on P-384.
    P384(Vec<u8>),
    /// An Ed25519 key.
    Ed25519(Vec<u8>),
}

/// Why a key set cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// It is not a JSON Web Key Set.
    #[error("it is not a JSON Web Key Set: {0}")]
    Json(String),
    /// It has no key that can verify a token.
    #[error("none of its {0} keys is an RSA, P-256, P-384 or Ed25519 key for signatures")]
    None(usize),
    /// It has too many keys.
    #[error("it has {0} keys, more than {KEYS_MAX}")]
    TooMany(usize),
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Keys {
    /// Parses a JSON Web Key Set. Keys of other kinds are ignored, symmetric keys among them.
    ///
    /// # Errors
    /// [`InvalidKeys`].
    pub fn parse(json: &[u8]) -> Result<Self, InvalidKeys> {
        let set: Jwks = serde_json::from_slice(json).map_err(|error| InvalidKeys::Json(error.to_string()))?;
        let count = set.keys.len();
        if count > KEYS_MAX {
            return Err(InvalidKeys::TooMany(count));
        }
        let keys: Vec<_> = set.keys.into_iter().filter_map(key).collect();
        if keys.is_empty() { Err(InvalidKeys::None(count)) } else { Ok(Self(keys)) }
    }

    /// Returns the key with this id. Without an id, returns the only key that fits the algorithm.
    #[must_use]
    pub fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&Key> {
        if id.is_some() {
            return self.0.iter().find(|key| key.id.as_deref() == id);
        }
        let mut fitting = self.0.iter().filter(|key| key.fits(algorithm));
        fitting.next().filter(|_| fitting.next().is_none())
    }
}

impl Key {
    fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{EdDsa, Es256, Es384, Ps256, Rs256, Rs384, Rs512};
        let kind = match self.material {
            Material::Rsa { .. } => matches!(algorithm, Rs256 | Rs384 | Rs512 | Ps256),
            Material::P256(_) => algorithm == Es256,
            Material::P384(_) => algorithm == Es384,
            Material::Ed25519(_) => algorithm == EdDsa,
        };
        kind && self.algorithm.is_none_or(|only| only == algorithm)
    }
}

/// Returns the key, if it is a public key for signatures.
fn key(jwk: Jwk) -> Option<Key> {
    if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
        return None;
    }
    let decode = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?.trim_end_matches('=')).ok();
    let point = |len: usize| {
        let (x, y) = (decode(&jwk.x)?, decode(&jwk.y)?);
        (x.len() == len && y.len() == len).then(|| [&[4], &x[..], &y[..]].concat())
    };
    let material = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => Material::Rsa { n: without_zeros(decode(&jwk.n)?), e: without_zeros(decode(&jwk.e)?) },
        ("EC", Some("P-256")) => Material::P256(point(32)?),
        ("EC", Some("P-384")) => Material::P384(point(48)?),
        ("OKP", Some("Ed25519")) => Material::Ed25519(decode(&jwk.x).filter(|x| x.len() == 32)?),
        _ => return None,
    };
    // A key for an algorithm that is not supported cannot be used for another one.
    let algorithm = match &jwk.alg {
        None => None,
        Some(name) => Some(Algorithm::of(name)?),
    };
    Some(Key { id: jwk.kid, algorithm, material })
}

/// Some issuers write leading zeros, which `ring` rejects.
fn without_zeros(number: Vec<u8>) -> Vec<u8> {
    number.into_iter().skip_while(|byte| *byte == 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symmetric_encryption_and_unknown_keys_are_ignored() {
        let rsa = r#"{"kty":"RSA","kid":"a","n":"AL8","e":"AQAB"}"#;
        let set = |keys: &str| Keys::parse(format!("{{\"keys\":[{keys}]}}").as_bytes());
        let keys = set(&format!("{rsa},{{\"kty\":\"oct\",\"kid\":\"b\",\"k\":\"AA\"}}")).unwrap();
        assert_eq!(
            keys.find(Some("a"), Algorithm::Rs256).unwrap().material,
            Material::Rsa { n: vec![0xbf], e: vec![1, 0, 1] }
        );
        assert_eq!(keys.find(Some("b"), Algorithm::Rs256), None);
        assert!(keys.find(None, Algorithm::Rs256).is_some() && keys.find(None, Algorithm::Es256).is_none());
        for ignored in [
            r#"{"kty":"oct","k":"AA"}"#,
            r#"{"kty":"RSA","use":"enc","n":"AL8","e":"AQAB"}"#,
            r#"{"kty":"RSA","alg":"HS256","n":"AL8","e":"AQAB"}"#,
            r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#,
        ] {
            assert_eq!(set(ignored), Err(InvalidKeys::None(1)), "{ignored}");
        }
        assert_eq!(set(&format!("{rsa},{rsa}")).unwrap().find(None, Algorithm::Rs256), None, "which one is unclear");
        assert!(matches!(Keys::parse(b"<html>"), Err(InvalidKeys::Json(_))));
        assert_eq!(set(&vec![rsa; 257].join(",")), Err(InvalidKeys::TooMany(257)));
    }
}
