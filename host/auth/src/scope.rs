//! What a caller may do: scopes, each for a project and for names that match a pattern.

pub use littoral_model::pattern::Pattern;

use crate::from_text;
use serde::{Deserialize, Deserializer, Serialize};
use std::{fmt, str::FromStr};

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(into = "&'static str")]
pub enum Scope {
    /// Reads rows and definitions.
    Read,
    /// Writes rows.
    Write,
    /// Changes views, feature services and push sources.
    Define,
    /// Uploads and drops modules. A module may read any view of its project.
    Module,
    /// Reads metrics and status, and administers the node.
    Admin,
}

/// The error for a text that is not a scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no scope '{0}'; use read, write, define, module or admin")]
pub struct UnknownScope(String);

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 5] = [Self::Read, Self::Write, Self::Define, Self::Module, Self::Admin];

    /// Returns the scope's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Define => "define",
            Self::Module => "module",
            Self::Admin => "admin",
        }
    }
}

impl From<Scope> for &'static str {
    fn from(scope: Scope) -> Self {
        scope.as_str()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| UnknownScope(shown(text)))
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from_text::deserialize(from, |text| text.parse())
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Every scope.
    pub const ALL: Self = Self(0b1_1111);

    /// Returns whether the set contains a scope.
    #[must_use]
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |set, scope| set | 1 << scope as u8))
    }
}

/// Creates a pattern of projects.
///
/// # Errors
/// [`InvalidProjects`] if no project's name can match it.
pub(crate) fn projects(text: &str) -> Result<Pattern, InvalidProjects> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'*');
    if !text.is_empty() && text.bytes().all(valid) { Ok(Pattern::new(text)) } else { Err(InvalidProjects(shown(text))) }
}

/// Scopes for the names of a project that match a pattern.
///
/// In text form `SCOPE`, `SCOPE:PROJECT` or `SCOPE:PROJECT/PATTERN`, for one scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The scopes.
    pub scopes: Scopes,
    /// The projects.
    pub project: Pattern,
    /// The names of views, feature services, push sources and modules.
    pub names: Pattern,
}

/// The error for a text that is not a grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGrant {
    /// Its scope is unknown.
    #[error(transparent)]
    Scope(#[from] UnknownScope),
    /// Its project or its pattern is empty.
    #[error(
        "the grant '{0}' has an empty part; write SCOPE, SCOPE:PROJECT or SCOPE:PROJECT/PATTERN, as read:default/driver_*"
    )]
    Empty(String),
    /// It names no project.
    #[error("the grant '{0}': {1}")]
    Project(String, InvalidProjects),
    /// Its pattern of names contains a slash, which no name has.
    #[error(
        "the grant '{0}' has a second '/', which no name contains; \
         write SCOPE:PROJECT/PATTERN, as read:default/driver_*"
    )]
    Slash(String),
}

/// The error for a text that stands for no project.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' stands for no project; use letters, digits, '_' and '-', and '*' for any characters")]
pub struct InvalidProjects(String);

impl Grant {
    /// Every scope for every name.
    #[must_use]
    pub fn everything() -> Self {
        Self { scopes: Scopes::ALL, project: Pattern::any(), names: Pattern::any() }
    }

    /// Parses the text form; `project` is the project of a text that names none.
    ///
    /// # Errors
    /// [`InvalidGrant`].
    pub fn parse(text: &str, project: &str) -> Result<Self, InvalidGrant> {
        let (scope, place) = text.split_once(':').map_or((text, None), |(scope, place)| (scope, Some(place)));
        let scopes = [scope.parse()?].into_iter().collect();
        let (project, names) = match place {
            None => (project, "*"),
            Some(place) => place.split_once('/').unwrap_or((place, "*")),
        };
        if project.is_empty() || names.is_empty() {
            return Err(InvalidGrant::Empty(shown(text)));
        }
        if names.contains('/') {
            return Err(InvalidGrant::Slash(shown(text)));
        }
        let project = projects(project).map_err(|error| InvalidGrant::Project(shown(text), error))?;
        Ok(Self { scopes, project, names: Pattern::new(names) })
    }
}

/// Returns a text from outside in a form that a message can repeat.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(100).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_has_a_scope_a_project_and_a_pattern() {
        let grant = Grant::parse("read:fraud/driver_*", "default").unwrap();
        assert!(grant.scopes.contains(Scope::Read) && !grant.scopes.contains(Scope::Write));
        assert_eq!((grant.project, grant.names), (Pattern::new("fraud"), Pattern::new("driver_*")));
        assert_eq!(Grant::parse("admin", "p").unwrap().project, Pattern::new("p"));
        assert!(Grant::parse("raed", "p").unwrap_err().to_string().contains("use read, write, define"));
        assert!(matches!(Grant::parse("read:", "p"), Err(InvalidGrant::Empty(_))));
        assert!(matches!(Grant::parse("read:a/", "p"), Err(InvalidGrant::Empty(_))));
        assert!(matches!(Grant::parse("read:a/b/c", "p"), Err(InvalidGrant::Slash(_))));
        assert!(Grant::parse("read:a b", "p").unwrap_err().to_string().contains("'a b' stands for no project"));
        assert!(Scope::ALL.into_iter().all(|scope| Scopes::ALL.contains(scope)));
    }
}
