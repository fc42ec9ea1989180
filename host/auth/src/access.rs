//! The decision about a credential: who presents it, and what that caller may do.

use crate::scope::{Grant, Scope};
use littoral_model::project::ProjectName;
use littoral_runtime::shares::Load;
use std::{fmt, sync::Arc};

/// The kind of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A static token.
    Token,
    /// A JWT of an OIDC issuer.
    Oidc,
    /// A client certificate.
    Certificate,
}

/// A caller whose credential was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The kind of its credential.
    pub kind: Kind,
    /// Its name: of the static token, the subject of a JWT, or of the certificate.
    pub subject: String,
    /// The issuer of its JWT. Empty for other credentials.
    pub issuer: String,
    /// Its roles and groups.
    pub roles: Vec<String>,
    /// The grants that the credential itself contains.
    pub grants: Vec<Grant>,
    /// The project that the credential names.
    pub project: Option<ProjectName>,
    /// When the credential expires, in seconds since 1970.
    pub expires_s: u64,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Token => "token",
            Kind::Oidc => "subject",
            Kind::Certificate => "certificate",
        };
        write!(f, "{kind}:{}", self.subject)
    }
}

/// What a caller may do.
#[derive(Clone, Debug)]
pub struct Access {
    /// The caller, as `token:NAME`, `subject:SUBJECT` or `certificate:NAME`.
    pub who: Arc<str>,
    /// The project that its credential names.
    pub project: Option<ProjectName>,
    /// The only project that its grants name. `None` if they name several.
    pub only_project: Option<ProjectName>,
    /// When the credential expires, in seconds since 1970.
    pub expires_s: u64,
    /// What the caller uses of the bounds that clients share, with all of its credentials.
    pub load: Arc<Load>,
    grants: Box<[Grant]>,
}

impl Access {
    /// Creates the access of an identity with these grants and this load.
    #[must_use]
    pub fn new(identity: &Identity, grants: Vec<Grant>, load: Arc<Load>) -> Self {
        Self {
            who: identity.to_string().into(),
            project: identity.project.clone(),
            only_project: only_project(&grants),
            expires_s: identity.expires_s,
            load,
            grants: grants.into(),
        }
    }

    /// Returns whether the caller has a scope for this name of a project.
    #[must_use]
    pub fn may(&self, scope: Scope, project: &str, name: &str) -> bool {
        let fits =
            |grant: &Grant| grant.scopes.contains(scope) && grant.project.matches(project) && grant.names.matches(name);
        self.grants.iter().any(fits)
    }

    /// Returns whether the caller has a scope for any name of a project.
    #[must_use]
    pub fn may_some(&self, scope: Scope, project: &str) -> bool {
        self.grants.iter().any(|grant| grant.scopes.contains(scope) && grant.project.matches(project))
    }

    /// Returns whether the caller has any scope for any name of a project.
    #[must_use]
    pub fn may_enter(&self, project: &str) -> bool {
        self.grants.iter().any(|grant| grant.project.matches(project))
    }

    /// Returns whether the caller has a scope in every project.
    #[must_use]
    pub fn may_everywhere(&self, scope: Scope) -> bool {
        self.grants.iter().any(|grant| grant.scopes.contains(scope) && grant.project.is_any() && grant.names.is_any())
    }
}

/// Returns the project of all grants. `None` if there are several, or if a pattern stands for several.
fn only_project(grants: &[Grant]) -> Option<ProjectName> {
    let (first, others) = grants.split_first()?;
    others.iter().all(|grant| grant.project == first.project).then(|| first.project.literal()?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_project_of_a_credential_is_the_one_that_all_its_grants_name() {
        let only = |grants: &[&str]| {
            let grants: Vec<_> = grants.iter().map(|grant| Grant::parse(grant, "default").unwrap()).collect();
            only_project(&grants).map(|project| project.to_string())
        };
        assert_eq!(only(&["read:a/x", "write:a"]).as_deref(), Some("a"));
        assert_eq!(only(&["read"]).as_deref(), Some("default"));
        for several in [&["read:a", "read:b"][..], &["read:a*"], &["read:*"], &[]] {
            assert_eq!(only(several), None, "{several:?}");
        }
    }
}
