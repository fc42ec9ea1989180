//! Static tokens: random secrets, of which a file keeps the SHA-256 hashes.
//!
//! A token has 256 random bits, so a fast hash suffices: nobody can search for a token that has a given hash.

use crate::{
    access::{Identity, Kind},
    error::Rejected,
    from_text, located,
    scope::{Grant, InvalidGrant},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use littoral_model::{
    event_time::EventTime,
    project::{self, ProjectName},
};
use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom as _, SystemRandom},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{
    fmt::{self, Write as _},
    path::Path,
};
use subtle::ConstantTimeEq as _;

/// What every static token begins with, so that scanners for secrets can find it.
pub const PREFIX: &str = "lit_";

/// The longest name of a token, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// The static tokens of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// The tokens.
    #[serde(default)]
    pub tokens: Vec<Token>,
}

/// A static token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Its name, for policies, status and audits.
    #[serde(deserialize_with = "name")]
    pub name: String,
    /// The SHA-256 hash of the token, in hexadecimal.
    pub sha256: Hash,
    /// When it expires, as "2027-01-01T00:00:00Z".
    #[serde(deserialize_with = "time")]
    pub expires: String,
    /// Its grants, as "read:default/driver_*".
    #[serde(default, deserialize_with = "grants")]
    pub scopes: Vec<String>,
    /// The project of requests that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
}

/// A SHA-256 hash. In text form 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 32]);

/// A new token, and the only place that contains its secret.
pub struct Created {
    /// The secret. Show it once and do not store it.
    pub secret: String,
    /// Its hash.
    pub sha256: Hash,
}

/// Creates a token.
///
/// # Errors
/// If the system has no random numbers.
pub fn create() -> Result<Created, String> {
    let mut random = [0; 32];
    SystemRandom::new().fill(&mut random).map_err(|_| "the system returned no random numbers; retry".to_owned())?;
    let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
    let sha256 = Hash::of(&secret);
    Ok(Created { secret, sha256 })
}

impl Tokens {
    /// Parses a file's text.
    ///
    /// # Errors
    /// What is wrong, with the file, the line and the remedy.
    pub fn parse(path: &Path, text: &str) -> Result<Self, String> {
        let tokens: Self = toml::from_str(text).map_err(|error| {
            format!(
                "{}; `littoral token new --file {}` writes such a file",
                located::error(path, text, &error),
                path.display()
            )
        })?;
        let repeated = (1..tokens.tokens.len()).find_map(|at| tokens.repeats(at));
        repeated.map_or(Ok(tokens), |repeated| Err(format!("{}: {repeated}", path.display())))
    }

    /// Returns what is wrong with the name of the token at this index, if an earlier one has it.
    #[must_use]
    pub fn repeats(&self, at: usize) -> Option<String> {
        let (earlier, name) = (self.tokens.get(..at)?, &self.tokens.get(at)?.name);
        let repeats = earlier.iter().any(|other| other.name == *name);
        repeats.then(|| format!("token '{name}': two tokens have this name; remove or rename one"))
    }

    /// Returns the identity of a token. The time that this takes does not depend on which token it is.
    ///
    /// # Errors
    /// [`Rejected::Unknown`], [`Rejected::Expired`].
    pub fn verify(&self, presented: &Hash, now_s: u64) -> Result<Identity, Rejected> {
        let mut found = None;
        for token in &self.tokens {
            if bool::from(token.sha256.0.ct_eq(&presented.0)) {
                found = Some(token);
            }
        }
        let token = found.ok_or(Rejected::Unknown)?;
        let expires_s = token.expires_s();
        if now_s >= expires_s {
            return Err(Rejected::Expired(now_s - expires_s));
        }
        Ok(Identity {
            kind: Kind::Token,
            subject: token.name.clone(),
            issuer: String::new(),
            roles: Vec::new(),
            grants: token.scopes.iter().filter_map(|text| token.grant(text).ok()).collect(),
            project: token.project.clone(),
            expires_s,
        })
    }
}

impl Token {
    fn grant(&self, text: &str) -> Result<Grant, InvalidGrant> {
        Grant::parse(text, self.project.as_ref().map_or(project::DEFAULT, ProjectName::as_str))
    }

    fn expires_s(&self) -> u64 {
        let time = self.expires.parse::<EventTime>().map_or(0, |time| time.0);
        u64::try_from(time / 1_000_000_000).unwrap_or(0)
    }
}

impl Hash {
    /// Computes the hash of a token.
    #[must_use]
    pub fn of(token: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Self(hash)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.to_string();
        text.truncate(8);
        f.write_str(&text)?;
        f.write_char('…')
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // Does not repeat the text: a user may have written the token in place of its hash.
        let invalid = || D::Error::custom("'sha256' is not a hash of 64 hexadecimal digits");
        if text.len() != 64 || !text.is_ascii() {
            return Err(invalid());
        }
        let mut hash = [0; 32];
        for (at, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| invalid())?;
        }
        Ok(Self(hash))
    }
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    check_name(&name).map_err(D::Error::custom)?;
    Ok(name)
}

/// Checks the name of a token.
///
/// # Errors
/// What is wrong, and what to do.
pub fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(format!("a token's name has 1 to {NAME_BYTES_MAX} bytes and no control characters"));
    }
    Ok(())
}

/// Reads grants, of which each is checked at its own place in the text.
fn grants<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Valid(String);

    impl<'de> Deserialize<'de> for Valid {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            from_text::deserialize(from, |text: String| Grant::parse(&text, project::DEFAULT).map(|_| Self(text)))
        }
    }
    Ok(Vec::<Valid>::deserialize(deserializer)?.into_iter().map(|valid| valid.0).collect())
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let parsed = text.parse::<EventTime>();
    parsed.map_err(|_| D::Error::custom("'expires' is not a time; write it as \"2027-01-01T00:00:00Z\""))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: u64 = 1_700_000_000;

    fn file(created: &Created, rest: &str) -> String {
        format!("[[tokens]]\nname = \"ci\"\nsha256 = \"{}\"\n{rest}", created.sha256)
    }

    #[test]
    fn a_token_is_verified_by_its_hash_until_it_expires() {
        let created = create().unwrap();
        assert!(created.secret.len() >= PREFIX.len() + 43 && !crate::jwt::is_jwt(&created.secret));
        let text = file(
            &created,
            "expires = \"2023-11-14T22:13:21Z\"\nscopes = [\"read\", \"write:b/x_*\"]\nproject = \"a\"\n",
        );
        let tokens = Tokens::parse(Path::new("t"), &text).unwrap();
        assert!(!text.contains(&created.secret) && !format!("{tokens:?}").contains(&created.sha256.to_string()));
        let identity = tokens.verify(&Hash::of(&created.secret), AT).unwrap();
        assert_eq!((identity.to_string().as_str(), identity.expires_s), ("token:ci", AT + 1));
        assert_eq!(identity.grants[0], Grant::parse("read:a", "").unwrap());
        assert_eq!(tokens.verify(&Hash::of(&created.secret), AT + 1), Err(Rejected::Expired(0)));
        assert_eq!(tokens.verify(&Hash::of("lit_other"), AT), Err(Rejected::Unknown));
        assert_ne!(create().unwrap().secret, created.secret);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_rejected_with_line_and_remedy_and_without_its_secrets() {
        let created = create().unwrap();
        let rejected = |text: &str| Tokens::parse(Path::new("tokens.toml"), text).unwrap_err();
        let text = rejected(&file(&created, "expires = \"soon\"\n"));
        assert!(text.starts_with("tokens.toml:4: ") && text.contains("2027-01-01T00:00:00Z"), "{text}");
        let text = rejected(&format!(
            "[[tokens]]\nname = \"a\"\nsha256 = \"{}\"\nexpires = \"2027-01-01T00:00:00Z\"\n",
            created.secret
        ));
        assert!(text.starts_with("tokens.toml:3: ") && !text.contains(&created.secret), "{text}");
        let text = rejected(&file(&created, "expires = \"2027-01-01T00:00:00Z\"\nscopes = [\"raed\"]\n"));
        assert!(text.starts_with("tokens.toml:5: ") && text.contains("use read, write"), "{text}");
        let text = rejected(&file(&created, "expires = \"2027-01-01T00:00:00Z\"\nproject = \"a/b\"\n"));
        assert!(text.starts_with("tokens.toml:5: 'a/b' is not a project name"), "{text}");
        let whole = file(&created, "expires = \"2027-01-01T00:00:00Z\"\n");
        let text = rejected(&format!("{whole}{whole}"));
        assert!(text.contains("two tokens"), "{text}");
        assert!(rejected("[[tokens]]\nname = \"a\"\n").contains("sha256"));
    }
}
