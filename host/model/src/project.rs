//! Projects: namespaces of definitions, each with its quotas and its residency rule.
//!
//! The catalogue, the log and the wire store a definition of a project under `PROJECT/NAME`, and one of the
//! project `default` under its plain name. A name contains no slash, so the two cannot be confused, and data
//! from before projects existed belongs to `default`. Doors resolve the request's project once and work with
//! [`crate::catalogue::Catalogue::within`], in which the names are plain again.

use crate::{region::Region, view::is_name};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

/// The project of requests and definitions that name none.
pub const DEFAULT: &str = "default";

/// The maximum number of projects. It bounds the state per project at a door. Labels of metrics have a bound of their
/// own.
pub const PROJECTS_MAX: usize = 256;

/// Separates a project from a name.
const SEPARATOR: char = '/';

/// Separates a project from an idempotency key. A header cannot contain it, so no project can use another's keys.
const KEY_SEPARATOR: char = '\u{1f}';

/// A project's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectName(Arc<str>);

/// Why a text is not a project's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a project name: use 1 to 128 letters, digits, '_' or '-', no '__' and no leading '-'")]
pub struct InvalidProject(String);

/// The limits of a project. `None` sets no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Quotas {
    /// Rows in all its views. Enforced by the leader that accepts a write.
    #[cfg_attr(feature = "schema", schemars(skip_serializing_if = "Option::is_none"))]
    pub rows: Option<u64>,
    /// Bytes of memory that its rows use at the leader. Enforced by the leader that accepts a write.
    #[cfg_attr(feature = "schema", schemars(skip_serializing_if = "Option::is_none"))]
    pub bytes: Option<u64>,
    /// Modules.
    #[cfg_attr(feature = "schema", schemars(skip_serializing_if = "Option::is_none"))]
    pub modules: Option<u64>,
    /// Requests in a second, at each door.
    #[cfg_attr(feature = "schema", schemars(skip_serializing_if = "Option::is_none"))]
    pub requests_per_s: Option<u64>,
    /// Rows that reads request in a second, at each door.
    #[cfg_attr(feature = "schema", schemars(skip_serializing_if = "Option::is_none"))]
    pub rows_read_per_s: Option<u64>,
    /// Rows that writes send in a second, at each door.
    #[cfg_attr(feature = "schema", schemars(skip_serializing_if = "Option::is_none"))]
    pub rows_written_per_s: Option<u64>,
    /// Requests that are being answered at the same time, at each door.
    #[cfg_attr(feature = "schema", schemars(skip_serializing_if = "Option::is_none"))]
    pub concurrent_requests: Option<u64>,
}

/// A project's record in the catalogue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// A description in prose.
    pub description: String,
    /// The residency rule: the regions that may hold its rows, sorted. Empty for all regions.
    pub regions: Vec<Region>,
    /// Its limits.
    pub quotas: Quotas,
}

/// The region of the node at the other end of a connection, for decisions about residency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// It is in this region.
    In(Region),
    /// It is in one of two regions: its connection and its request name different ones.
    Either(Region, Region),
    /// It names no region.
    Unknown,
}

// === impl ProjectName ===

impl ProjectName {
    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether this is the project of requests that name none.
    #[must_use]
    pub fn is_default(&self) -> bool {
        &*self.0 == DEFAULT
    }

    /// Returns the stored name of this project's definition `name`.
    #[must_use]
    pub fn qualify(&self, name: &str) -> String {
        qualify(&self.0, name)
    }

    /// Returns the stored form of an idempotency key of this project.
    #[must_use]
    pub fn qualify_key(&self, key: String) -> String {
        if self.is_default() { key } else { format!("{}{KEY_SEPARATOR}{key}", self.0) }
    }

    /// Returns the name, inside this project, of the definition with the stored name `stored`. `None` if
    /// the definition belongs to another project.
    #[must_use]
    pub fn strip<'a>(&self, stored: &'a str) -> Option<&'a str> {
        let (project, name) = split(stored);
        (project == &*self.0).then_some(name)
    }

    /// Returns an error text with the names of this project as a client of the project writes them.
    #[must_use]
    pub fn plain<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let prefix = format!("'{}{SEPARATOR}", self.0);
        if !self.is_default() && text.contains(&prefix) { text.replace(&prefix, "'").into() } else { text.into() }
    }
}

impl Default for ProjectName {
    fn default() -> Self {
        Self(DEFAULT.into())
    }
}

impl FromStr for ProjectName {
    type Err = InvalidProject;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if is_name(name) { Ok(Self(name.into())) } else { Err(InvalidProject(name.chars().take(160).collect())) }
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for ProjectName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ProjectName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = <Cow<'de, str>>::deserialize(deserializer)?;
        name.parse().map_err(D::Error::custom)
    }
}

// === impl Project ===

impl Project {
    /// Returns whether a node of this region may hold the project's rows.
    #[must_use]
    pub fn allows(&self, region: Region) -> bool {
        allows(&self.regions, region)
    }
}

// === impl Receiver ===

impl Receiver {
    /// Combines the region in a peer's certificate, the one that the peer states, and the one for which it
    /// requests records. A certified region replaces a stated one.
    #[must_use]
    pub fn new(certified: Option<Region>, stated: Option<Region>, requested: Option<Region>) -> Self {
        match (certified.or(stated), requested) {
            (Some(region), Some(other)) if region != other => Self::Either(region, other),
            (Some(region), _) | (None, Some(region)) => Self::In(region),
            (None, None) => Self::Unknown,
        }
    }

    /// Returns whether it may receive rows that only these regions may hold. An empty list allows all.
    #[must_use]
    pub fn may_hold(self, regions: &[Region]) -> bool {
        match self {
            Self::In(region) => allows(regions, region),
            Self::Either(one, other) => allows(regions, one) && allows(regions, other),
            Self::Unknown => regions.is_empty(),
        }
    }
}

fn allows(regions: &[Region], region: Region) -> bool {
    regions.is_empty() || regions.contains(&region)
}

/// Returns the names of these regions for an error text.
#[must_use]
pub fn quoted(regions: &[Region]) -> String {
    let quoted: Vec<_> = regions.iter().map(|region| format!("'{region}'")).collect();
    quoted.join(", ")
}

/// Returns the stored name of a definition `name` of a project.
#[must_use]
pub fn qualify(project: &str, name: &str) -> String {
    if project == DEFAULT { name.to_owned() } else { format!("{project}{SEPARATOR}{name}") }
}

/// Splits a stored name into its project and its name inside the project.
#[must_use]
pub fn split(stored: &str) -> (&str, &str) {
    stored.split_once(SEPARATOR).unwrap_or((DEFAULT, stored))
}

/// Splits a stored idempotency key into its project and the key inside the project.
#[must_use]
pub fn split_key(stored: &str) -> (&str, &str) {
    stored.split_once(KEY_SEPARATOR).unwrap_or((DEFAULT, stored))
}

/// Returns the idempotency key, inside its project, of a stored one.
#[must_use]
pub fn plain_key(stored: &str) -> &str {
    split_key(stored).1
}

/// Returns the stored name of the definition to which the definition `owner` refers as `reference`. `None`
/// if the reference is not a name: a definition can refer only to definitions of its own project.
#[must_use]
pub fn resolve<'a>(owner: &str, reference: &'a str) -> Option<Cow<'a, str>> {
    let (project, _) = split(owner);
    match reference.contains(SEPARATOR) {
        true => None,
        false if project == DEFAULT => Some(reference.into()),
        false => Some(qualify(project, reference).into()),
    }
}

/// Returns whether a text is a valid stored name of a definition.
#[must_use]
pub fn is_stored_name(stored: &str) -> bool {
    match stored.split_once(SEPARATOR) {
        None => is_name(stored),
        Some((project, name)) => project != DEFAULT && is_name(project) && is_name(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_names_and_names_inside_a_project_convert_into_each_other() {
        let (default, fraud) = (ProjectName::default(), "fraud".parse::<ProjectName>().unwrap());
        assert_eq!(default.qualify("v"), "v");
        assert_eq!(fraud.qualify("v"), "fraud/v");
        assert_eq!(split("fraud/v"), ("fraud", "v"));
        assert_eq!((fraud.strip("fraud/v"), fraud.strip("v"), default.strip("fraud/v")), (Some("v"), None, None));
        assert_eq!(default.strip("v"), Some("v"));
    }

    #[test]
    fn an_idempotency_key_is_stored_with_its_project() {
        let (default, fraud) = (ProjectName::default(), "fraud".parse::<ProjectName>().unwrap());
        for (project, stored) in [(default, "once"), (fraud, "fraud\u{1f}once")] {
            assert_eq!(project.qualify_key("once".to_owned()), stored);
            assert_eq!((split_key(stored), plain_key(stored)), ((project.as_str(), "once"), "once"));
        }
    }

    #[test]
    fn a_reference_cannot_leave_its_project() {
        assert_eq!(resolve("m", "v").as_deref(), Some("v"));
        assert_eq!(resolve("fraud/m", "v").as_deref(), Some("fraud/v"));
        assert_eq!(resolve("m", "fraud/v"), None);
        assert_eq!(resolve("fraud/m", "other/v"), None);
    }

    #[test]
    fn names_with_slashes_are_rejected() {
        for bad in ["a/b", "", "a__b", "-a", "a/"] {
            assert!(bad.parse::<ProjectName>().is_err(), "{bad}");
        }
        for bad in ["a/b/c", "/a", "a/", "default/a", "a/b__c"] {
            assert!(!is_stored_name(bad), "{bad}");
        }
        assert!(is_stored_name("a/b") && is_stored_name("b"));
    }

    #[test]
    fn an_error_text_names_a_view_as_its_project_does() {
        let fraud = "fraud".parse::<ProjectName>().unwrap();
        assert_eq!(fraud.plain("view 'fraud/v' has no 'x'"), "view 'v' has no 'x'");
        assert_eq!(ProjectName::default().plain("view 'fraud/v'"), "view 'fraud/v'");
    }

    #[test]
    fn a_receiver_that_names_two_regions_gets_only_what_both_may_hold() {
        let [eu, us] = ["eu", "us"].map(|name| name.parse::<Region>().unwrap());
        assert!(Receiver::new(None, Some(eu), None).may_hold(&[eu]));
        assert!(!Receiver::new(None, Some(us), Some(eu)).may_hold(&[eu]));
        assert!(!Receiver::new(Some(us), Some(eu), None).may_hold(&[eu]), "the certificate counts");
        assert!(!Receiver::new(None, None, None).may_hold(&[eu]));
        assert!(Receiver::new(None, None, None).may_hold(&[]));
    }
}
