//! The key ring: the keys that encrypt files.
//!
//! Its text has an entry `ID:KEY` for each key, separated by spaces or line breaks. `KEY` is the base64 form of 32
//! random bytes. The rest of a line after `#` is a comment.

use base64::{DecodeSliceError, Engine as _, engine::general_purpose::STANDARD};
use ring::{
    aead::{AES_256_GCM, LessSafeKey, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Salt},
    rand::{SecureRandom as _, SystemRandom},
};
use std::{fmt, sync::Arc};
use zeroize::Zeroizing;

/// The bytes of a key.
const KEY_LEN: usize = 32;
/// The most keys of a ring. Rotations overlap by two or three.
const KEYS_MAX: usize = 16;
/// The bytes of a fingerprint.
pub(crate) const FINGERPRINT_LEN: usize = 8;

/// The name of a key: 1 to 32 letters, digits, `-`, `_` and `.`, of which the first is a letter or a digit. It is not
/// secret: each file that is encrypted with the key contains it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(Arc<str>);

/// The longest name of a key, in bytes.
pub(crate) const ID_LEN_MAX: usize = 32;
/// What a file without encryption is listed under, which no key may be named.
pub(crate) const PLAIN: &str = "plain";

/// The keys of a node, in the order of their text. There is at least one.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRing {
    keys: Vec<Key>,
}

/// A key with its name.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: KeyId,
    secret: Arc<Zeroizing<[u8; KEY_LEN]>>,
    /// Distinguishes a key from another one with the same name. Derived from the key, and not secret.
    pub(crate) fingerprint: [u8; FINGERPRINT_LEN],
}

/// What is wrong with the text of a key ring. Contains no part of the text but valid names of keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidKeyRing(String);

struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

// === impl KeyId ===

impl KeyId {
    /// Parses a name.
    ///
    /// # Errors
    /// If the text cannot be a name.
    pub fn parse(text: &str) -> Result<Self, InvalidKeyRing> {
        let is_valid = text.len() <= ID_LEN_MAX
            && text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        match text {
            PLAIN => Err(InvalidKeyRing(format!("a key cannot be named '{PLAIN}'; choose another name"))),
            _ if is_valid => Ok(Self(text.into())),
            _ => Err(InvalidKeyRing(format!(
                "the name of a key needs 1 to {ID_LEN_MAX} letters, digits, '-', '_' or '.', of which the first is a letter or a digit"
            ))),
        }
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// === impl KeyRing ===

impl KeyRing {
    /// Parses the text of a key ring.
    ///
    /// # Errors
    /// [`InvalidKeyRing`], with the line and the remedy.
    pub fn parse(text: &str) -> Result<Self, InvalidKeyRing> {
        let mut keys: Vec<Key> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let entries = line.split('#').next().unwrap_or_default();
            for entry in entries.split_whitespace() {
                let key = Key::parse(entry).map_err(|what| InvalidKeyRing(format!("line {number}: {what}")))?;
                if keys.iter().any(|other| other.id == key.id) {
                    return Err(InvalidKeyRing(format!(
                        "line {number}: a second key is named '{}'; give each key a name of its own",
                        key.id
                    )));
                }
                if let Some(same) = keys.iter().find(|other| other.fingerprint == key.fingerprint) {
                    return Err(InvalidKeyRing(format!(
                        "line {number}: the keys '{}' and '{}' are the same key; remove one of them",
                        same.id, key.id
                    )));
                }
                keys.push(key);
                if keys.len() > KEYS_MAX {
                    return Err(InvalidKeyRing(format!(
                        "it has more than {KEYS_MAX} keys; remove those that no file needs"
                    )));
                }
            }
        }
        if keys.is_empty() {
            return Err(InvalidKeyRing("it has no key; add one with `littoral key-ring add`".to_owned()));
        }
        Ok(Self { keys })
    }

    /// Creates an entry of a key ring's text: a new random key of this name.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn new_entry(id: &KeyId) -> Result<Zeroizing<String>, String> {
        let mut secret = Zeroizing::new([0; KEY_LEN]);
        SystemRandom::new()
            .fill(&mut secret[..])
            .map_err(|_| "the system returned no random numbers; retry".to_owned())?;
        // With its final size, so that no copy stays behind.
        let mut entry = Zeroizing::new(String::with_capacity(ID_LEN_MAX + 64));
        entry.push_str(id.as_str());
        entry.push(':');
        STANDARD.encode_string(&secret[..], &mut entry);
        Ok(entry)
    }

    /// Returns the names of the keys, in their order.
    pub fn ids(&self) -> impl Iterator<Item = &KeyId> {
        self.keys.iter().map(|key| &key.id)
    }

    /// Returns the key that encrypts.
    pub(crate) fn first(&self) -> &Key {
        &self.keys[0]
    }

    pub(crate) fn get(&self, id: &KeyId) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == *id)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.ids()).finish()
    }
}

// === impl Key ===

impl Key {
    fn parse(entry: &str) -> Result<Self, String> {
        let (id, text) =
            entry.split_once(':').ok_or("an entry has not the form ID:KEY; `littoral key-ring add` writes entries")?;
        let id = KeyId::parse(id).map_err(|error| error.to_string())?;
        // Larger than a key, so that a longer one is recognized.
        let mut decoded = Zeroizing::new([0; 2 * KEY_LEN]);
        let len = STANDARD.decode_slice(text, &mut decoded[..]).map_err(|error| match error {
            DecodeSliceError::DecodeError(_) => format!("the key '{id}' is not base64"),
            DecodeSliceError::OutputSliceTooSmall => format!("the key '{id}' is longer than {KEY_LEN} bytes"),
        })?;
        if len != KEY_LEN {
            return Err(format!(
                "the key '{id}' has {len} bytes, but a key has {KEY_LEN}; add a new one with `littoral key-ring add`"
            ));
        }
        let mut secret = Zeroizing::new([0; KEY_LEN]);
        secret.copy_from_slice(&decoded[..KEY_LEN]);
        if secret.iter().all(|byte| *byte == secret[0]) {
            return Err(format!(
                "the key '{id}' is the same byte {KEY_LEN} times, not random; add a new one with `littoral key-ring add`"
            ));
        }
        let fingerprint = fingerprint(&secret[..]).ok_or_else(|| format!("the key '{id}' cannot be used"))?;
        Ok(Self { id, secret: Arc::new(secret), fingerprint })
    }

    /// Derives the key of one file.
    ///
    /// # Errors
    /// None in practice: the lengths are fixed.
    pub(crate) fn of_file(&self, salt: &[u8], info: &[&[u8]]) -> Result<LessSafeKey, ring::error::Unspecified> {
        let derived = Salt::new(HKDF_SHA256, salt).extract(&self.secret[..]);
        let key: UnboundKey = derived.expand(info, &AES_256_GCM)?.into();
        Ok(LessSafeKey::new(key))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.fingerprint == other.fingerprint
    }
}

impl Eq for Key {}

fn fingerprint(secret: &[u8]) -> Option<[u8; FINGERPRINT_LEN]> {
    let derived = Salt::new(HKDF_SHA256, &[]).extract(secret);
    let mut fingerprint = [0; FINGERPRINT_LEN];
    derived.expand(&[b"littoral at rest: fingerprint"], Bytes(FINGERPRINT_LEN)).ok()?.fill(&mut fingerprint).ok()?;
    Some(fingerprint)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn entry(id: &str) -> String {
        KeyRing::new_entry(&KeyId::parse(id).unwrap()).unwrap().to_string()
    }

    #[test]
    fn a_ring_keeps_the_order_of_its_text() {
        let text = format!("# new\n{} # since May\n\n  {}\t{}\n", entry("c"), entry("a"), entry("2026-11.b_1"));
        let ring = KeyRing::parse(&text).unwrap();
        assert_eq!(ring.ids().map(KeyId::as_str).collect::<Vec<_>>(), ["c", "a", "2026-11.b_1"]);
        assert_eq!(ring.first().id.as_str(), "c");
        assert!(ring.get(&KeyId::parse("a").unwrap()).is_some() && ring.get(&KeyId::parse("b").unwrap()).is_none());
        assert_eq!(KeyRing::parse(&text).unwrap(), ring);
        assert_ne!(KeyRing::parse(&entry("c")).unwrap(), KeyRing::parse(&entry("c")).unwrap(), "keys are random");
    }

    #[test]
    fn hostile_texts_are_rejected_without_showing_them() {
        let key = |bytes: &[u8]| STANDARD.encode(bytes);
        let good = key(b"0123456789abcdef0123456789abcdeX");
        let many: String = (0..=KEYS_MAX).map(|n| format!("{}\n", entry(&format!("k{n}")))).collect();
        let long = "x".repeat(ID_LEN_MAX + 1);
        for (text, expected) in [
            (String::new(), "it has no key"),
            ("# only a comment\n".to_owned(), "it has no key"),
            ("<html><body>404</body></html>".to_owned(), "line 1: an entry has not the form ID:KEY"),
            (good.clone(), "line 1: an entry has not the form ID:KEY"),
            (format!("{good}:a"), "line 1: the name of a key needs"),
            (format!(":{good}"), "line 1: the name of a key needs"),
            (format!("../x:{good}"), "line 1: the name of a key needs"),
            (format!("{long}:{good}"), "line 1: the name of a key needs"),
            (format!("plain:{good}"), "line 1: a key cannot be named 'plain'"),
            ("a:".to_owned(), "line 1: the key 'a' has 0 bytes"),
            (format!("a:{}", key(&[7; 31])), "line 1: the key 'a' has 31 bytes"),
            (format!("a:{}", key(&[7; 33])), "line 1: the key 'a' has 33 bytes"),
            (format!("a:{}", key(&[7; 400])), "line 1: the key 'a' is longer than 32 bytes"),
            (format!("a:{}", key(&[7; 32])), "line 1: the key 'a' is the same byte"),
            (format!("a:{}", "00".repeat(32)), "line 1: the key 'a' has 48 bytes"),
            (format!("a:{}", &good[..40]), "line 1: the key 'a' has 30 bytes"),
            (format!("a:{}\n", &good[..41]), "line 1: the key 'a' is not base64"),
            (format!("a:{good}\nb:{good}"), "line 2: the keys 'a' and 'b' are the same key"),
            (format!("{}\n\n{}", entry("a"), entry("a")), "line 3: a second key is named 'a'"),
            (many, "it has more than 16 keys"),
        ] {
            let error = KeyRing::parse(&text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text:?}: {error}");
            assert!(!error.contains(&good[..20]) && !error.contains("404"), "{error}");
        }
    }

    #[test]
    fn no_debug_form_shows_a_key() {
        let text = entry("a");
        let secret = text.strip_prefix("a:").unwrap();
        let ring = KeyRing::parse(&text).unwrap();
        let shown = format!("{ring:?} {:?}", ring.first().id);
        assert_eq!(shown, "{a} a");
        assert!(!shown.contains(secret));
    }
}
