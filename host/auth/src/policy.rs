//! The policy: which callers have which scopes.

use crate::{
    access::{Identity, Kind},
    from_text, located,
    scope::{self, Grant, Pattern, Scope, Scopes, shown},
};
use serde::{Deserialize, Deserializer, de::Error as _};
use std::path::Path;

/// The policy of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    #[serde(default)]
    grants: Vec<Rule>,
}

/// Scopes for the callers that `to` names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    to: Vec<Subject>,
    /// The issuer of the callers' tokens. Default any.
    #[serde(default)]
    issuer: Option<String>,
    scopes: Vec<Scope>,
    #[serde(default = "default_project", deserialize_with = "projects")]
    project: Pattern,
    #[serde(default = "any_name")]
    names: Vec<Names>,
}

fn default_project() -> Pattern {
    Pattern::new("default")
}

fn any_name() -> Vec<Names> {
    vec![Names(Pattern::any())]
}

fn projects<'de, D: Deserializer<'de>>(from: D) -> Result<Pattern, D::Error> {
    scope::projects(&String::deserialize(from)?).map_err(D::Error::custom)
}

/// A pattern of names inside a project.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Names(Pattern);

impl Names {
    fn parse(text: String) -> Result<Self, String> {
        if text.contains('/') {
            return Err(format!("'{}' has a '/', which no name contains; name the project in 'project'", shown(&text)));
        }
        Ok(Self(Pattern::new(text)))
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from_text::deserialize(from, Self::parse)
    }
}

/// Callers.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    /// Every caller whose credential is valid.
    Anyone,
    /// Callers whose credential is of this kind, by name.
    Named(Kind, Pattern),
    /// Callers with a role or in a group.
    Role(Pattern),
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from_text::deserialize(from, Self::parse)
    }
}

impl Subject {
    fn parse(text: String) -> Result<Self, String> {
        let (kind, name) = text.split_once(':').unwrap_or((&text, ""));
        let named = || Pattern::new(name);
        match kind {
            "anyone" if name.is_empty() => Ok(Self::Anyone),
            "token" if !name.is_empty() => Ok(Self::Named(Kind::Token, named())),
            "subject" if !name.is_empty() => Ok(Self::Named(Kind::Oidc, named())),
            "certificate" if !name.is_empty() => Ok(Self::Named(Kind::Certificate, named())),
            "role" if !name.is_empty() => Ok(Self::Role(named())),
            _ => Err(format!(
                "'{}' names no caller; use \"role:NAME\", \"subject:NAME\", \"token:NAME\", \"certificate:NAME\" or \"anyone\"",
                shown(&text)
            )),
        }
    }
}

impl Policy {
    /// Parses a file's text.
    ///
    /// # Errors
    /// What is wrong, with the file, the line and the remedy.
    pub fn parse(path: &Path, text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| {
            format!("{}; edge-config/policy.toml shows the format", located::error(path, text, &error))
        })
    }

    /// Returns what an identity may do: what its credential grants, and what the policy grants it.
    #[must_use]
    pub fn grants(&self, identity: &Identity) -> Vec<Grant> {
        let mut grants = identity.grants.clone();
        for rule in self.grants.iter().filter(|rule| rule.is_for(identity)) {
            let scopes: Scopes = rule.scopes.iter().copied().collect();
            let named =
                rule.names.iter().map(|names| Grant { scopes, project: rule.project.clone(), names: names.0.clone() });
            grants.extend(named);
        }
        grants
    }
}

impl Rule {
    fn is_for(&self, identity: &Identity) -> bool {
        let is_named = |subject: &Subject| match subject {
            Subject::Anyone => true,
            Subject::Named(kind, name) => *kind == identity.kind && name.matches(&identity.subject),
            Subject::Role(name) => identity.roles.iter().any(|role| name.matches(role)),
        };
        self.issuer.as_ref().is_none_or(|issuer| *issuer == identity.issuer) && self.to.iter().any(is_named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Access;
    use std::sync::Arc;

    fn caller(kind: Kind, subject: &str, issuer: &str, roles: &[&str]) -> Identity {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let (subject, issuer) = (subject.to_owned(), issuer.to_owned());
        Identity { kind, subject, issuer, roles, grants: Vec::new(), project: None, expires_s: 9 }
    }

    #[test]
    fn scopes_are_granted_by_role_subject_and_token_within_a_project_and_a_pattern() {
        let text = "[[grants]]\nto = [\"role:reader\"]\nissuer = \"https://a\"\nscopes = [\"read\"]\nnames = [\"driver_*\", \"x\"]\n\
                    [[grants]]\nto = [\"subject:system:serviceaccount:feast:*\", \"token:ci\"]\nscopes = [\"write\", \"define\"]\nproject = \"fraud\"\n";
        let policy = Policy::parse(Path::new("p"), text).unwrap();
        let access = |identity: &Identity| Access::new(identity, policy.grants(identity), Arc::default());
        let reader = access(&caller(Kind::Oidc, "u", "https://a", &["other", "reader"]));
        assert!(reader.may(Scope::Read, "default", "driver_stats") && reader.may(Scope::Read, "default", "x"));
        assert!(!reader.may(Scope::Read, "fraud", "driver_stats") && !reader.may(Scope::Write, "default", "x"));
        assert!(!reader.may(Scope::Read, "default", "y") && reader.may_some(Scope::Read, "default"));
        assert!(!access(&caller(Kind::Oidc, "u", "https://b", &["reader"])).may_some(Scope::Read, "default"));
        for identity in [
            caller(Kind::Oidc, "system:serviceaccount:feast:client", "https://k", &[]),
            caller(Kind::Token, "ci", "", &[]),
        ] {
            assert!(access(&identity).may(Scope::Define, "fraud", "v"));
        }
        // A JWT with the subject of a static token is not that token.
        assert!(!access(&caller(Kind::Oidc, "ci", "https://a", &[])).may_some(Scope::Write, "fraud"));
    }

    #[test]
    fn a_bad_policy_is_rejected_with_file_line_and_remedy() {
        let rejected = |text: &str| Policy::parse(Path::new("policy.toml"), text).unwrap_err();
        let text = rejected("[[grants]]\nto = [\"anyone\"]\nscopes = [\"read\", \"raed\"]\n");
        assert!(text.starts_with("policy.toml:3: there is no scope 'raed'; use read, write, define"), "{text}");
        let text = rejected("[[grants]]\nto = [\"user:me\"]\nscopes = []\n");
        assert!(text.starts_with("policy.toml:2: 'user:me' names no caller; use \"role:NAME\""), "{text}");
        let text = rejected("[[grants]]\nto = [\"anyone\"]\nscopes = []\nveiws = [\"a\"]\n");
        assert!(text.starts_with("policy.toml:4: ") && text.contains("names"), "{text}");
        let text = rejected("[[grants]]\nto = [\"anyone\"]\nscopes = []\nproject = \"a/b\"\n");
        assert!(text.starts_with("policy.toml:4: 'a/b' stands for no project; use letters"), "{text}");
        let text = rejected("[[grants]]\nto = [\"anyone\"]\nscopes = []\nnames = [\"a/b\"]\n");
        assert!(text.starts_with("policy.toml:4: 'a/b' has a '/'") && text.contains("name the project"), "{text}");
        assert!(rejected("[[grants]\n").starts_with("policy.toml:1: "));
    }
}
