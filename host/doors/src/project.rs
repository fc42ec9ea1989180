//! The request's project: how a request names it, and what the requests of one project share.

mod quota;

pub(crate) use quota::{Rate, Running, Usage};

use crate::{
    failure::Failure,
    read::Rendered,
    state::{DoorState, State},
};
use arc_swap::{ArcSwap, Guard};
use http::{HeaderMap, StatusCode};
use littoral_api::{code, headers::PROJECT};
use littoral_model::{
    catalogue::Catalogue,
    ports::FeatureReader as _,
    project::{PROJECTS_MAX, ProjectName, Quotas, quoted},
    region::Region,
};
use littoral_read::{ProjectReader, Reader};
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Instant,
};

/// The state of a door, by project.
pub(crate) struct Projects {
    door: Arc<DoorState>,
    default: Arc<State>,
    /// The other projects that requests have named and that exist.
    others: RwLock<HashMap<ProjectName, Arc<State>>>,
}

/// The limits of a project, as one catalogue has them.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    catalogue: Arc<Catalogue>,
    regions: Vec<Region>,
    quotas: Quotas,
}

/// The project that a request names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// The place of the name, for error texts.
    pub(crate) place: &'static str,
    pub(crate) project: ProjectName,
}

/// Returns the project that a request names by its path or by the header `littoral-project`. `None` if it names none.
///
/// # Errors
/// An invalid name, and names that differ.
pub(crate) fn named(path: Option<&str>, headers: &HeaderMap) -> Result<Option<Named>, Failure> {
    let headers = headers.get_all(PROJECT).iter().map(|value| ("the header littoral-project", value.as_bytes()));
    let mut found: Option<Named> = None;
    for (place, text) in path.map(|path| ("the path", path.as_bytes())).into_iter().chain(headers) {
        let project = String::from_utf8_lossy(text).parse::<ProjectName>();
        let project =
            project.map_err(|error| Failure::bad_request(code::INVALID_PROJECT, format!("{place}: {error}")))?;
        match &found {
            Some(Named { place: first, project: other }) if *other != project => {
                let message =
                    format!("{first} names project '{other}' and {place} names project '{project}'; name only one");
                return Err(Failure::bad_request(code::PROJECT_CONFLICT, message));
            }
            _ => found = Some(Named { place, project }),
        }
    }
    Ok(found)
}

fn unknown(name: &ProjectName) -> Failure {
    let message = format!("there is no project '{name}'; create it with `littoral project apply`");
    Failure::not_found(code::UNKNOWN_PROJECT, message).class("ProjectObjectNotFoundException")
}

impl Projects {
    pub(crate) fn new(door: Arc<DoorState>) -> Self {
        let default = Arc::new(State::new(door.clone(), ProjectName::default()));
        Self { door, default, others: RwLock::default() }
    }

    /// Returns the state of a project. A request that may demand a token can name a project that this node does not
    /// have yet: with `may_wait`, an unknown project is not an error here, and [`State::or_unknown_project`] decides
    /// afterwards.
    ///
    /// # Errors
    /// If there is no such project.
    pub(crate) fn get(&self, name: &ProjectName, may_wait: bool) -> Result<Arc<State>, Failure> {
        if name.is_default() {
            return Ok(self.default.clone());
        }
        let catalogue = self.door.node.catalogue();
        if !catalogue.has_project(name.as_str()) {
            return match may_wait {
                true => Ok(Arc::new(State::new(self.door.clone(), name.clone()))),
                false => Err(unknown(name)),
            };
        }
        let known = self.others.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
        if others.len() >= PROJECTS_MAX {
            others.retain(|name, _| catalogue.has_project(name.as_str()));
        }
        let create = || Arc::new(State::new(self.door.clone(), name.clone()));
        Ok(others.entry(name.clone()).or_insert_with(create).clone())
    }

    /// Returns the state of `default`, for what concerns no project.
    pub(crate) fn default(&self) -> &Arc<State> {
        &self.default
    }
}

impl State {
    pub(crate) fn new(door: Arc<DoorState>, project: ProjectName) -> Self {
        let node = Arc::new(ProjectReader::new(door.node.clone(), project.clone()));
        let reader: Reader<Rendered> =
            Reader::new(node.clone(), door.modules.clone(), door.read_limits.clone(), littoral_runtime::clock::wall);
        Self { door, project, names: node, reader, rules: ArcSwap::default(), usage: Usage::default() }
    }

    /// Returns the definitions of the project, under their names inside it.
    pub(crate) fn catalogue(&self) -> Arc<Catalogue> {
        self.names.catalogue()
    }

    /// Returns the limits of the project as the catalogue has them now. They are looked up when it changes.
    fn rules(&self) -> Guard<Arc<Rules>> {
        let rules = self.rules.load();
        if self.names.is_catalogue(&rules.catalogue) {
            return rules;
        }
        let catalogue = self.catalogue();
        let (regions, quotas) = match catalogue.project(self.project.as_str()) {
            Some(record) => (record.regions.clone(), record.quotas),
            None => (Vec::new(), Quotas::default()),
        };
        let rules = Arc::new(Rules { catalogue, regions, quotas });
        self.rules.store(rules.clone());
        Guard::from_inner(rules)
    }

    /// Replaces the error about an unknown name if the project does not exist.
    pub(crate) fn or_unknown_project(&self, failure: Failure) -> Failure {
        let exists = || self.node.catalogue().has_project(self.project.as_str());
        if failure.code.starts_with("unknown_") && !exists() { unknown(&self.project) } else { failure }
    }

    /// Returns the stored name for a definition that a request creates.
    ///
    /// # Errors
    /// If the name has a slash, which would make it a name of another project.
    pub(crate) fn qualify(&self, name: &str) -> Result<String, Failure> {
        if name.contains('/') {
            let shown: String = name.chars().take(160).collect();
            let message = format!(
                "'{shown}' is not a valid name: use letters, digits, '_' or '-', and name the project separately"
            );
            return Err(Failure::invalid(code::INVALID, message));
        }
        Ok(self.project.qualify(name))
    }
}

/// Checks that this node may hold rows of the project that stay in these regions; none for all.
///
/// # Errors
/// If the residency rule excludes the node, or the region of the log that it follows.
pub(crate) fn check_residency(state: &State, regions: &[Region]) -> Result<(), Failure> {
    if regions.is_empty() || state.node.held_in().may_hold(regions) {
        return Ok(());
    }
    let message = format!(
        "rows of project '{}' stay in {}, and this node is elsewhere, follows a leader elsewhere, or has no region in \
         its configuration; send the request to a node in these regions",
        state.project,
        quoted(regions)
    );
    Err(Failure::new(StatusCode::MISDIRECTED_REQUEST, code::OUTSIDE_REGIONS, message))
}

/// Checks that this node may hold the rows of the project.
///
/// # Errors
/// As [`check_residency`].
pub(crate) fn check_own_residency(state: &State) -> Result<(), Failure> {
    check_residency(state, &state.rules().regions)
}

/// Admits a request to its project, by the quotas.
///
/// # Errors
/// The limit that it exceeds.
pub(crate) fn admit(state: &Arc<State>, now: Instant) -> Result<Running, Failure> {
    quota::admit(state, &state.rules().quotas, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use littoral_api::projects::split_path;

    fn of(path: &str, header: &[&[u8]]) -> Result<Option<String>, &'static str> {
        let mut headers = HeaderMap::new();
        for value in header {
            headers.append(PROJECT, HeaderValue::from_bytes(value).unwrap());
        }
        let found = named(split_path(path).0, &headers);
        found.map(|named| named.map(|named| named.project.to_string())).map_err(|failure| failure.code)
    }

    #[test]
    fn a_request_names_one_project_by_its_path_or_its_header() {
        assert_eq!(of("/push", &[]), Ok(None));
        assert_eq!(of("/p/a/push", &[]), Ok(Some("a".into())));
        assert_eq!(of("/push", &[b"a"]), Ok(Some("a".into())));
        assert_eq!(of("/p/a/push", &[b"a", b"a"]), Ok(Some("a".into())));
    }

    #[test]
    fn names_that_differ_and_invalid_names_are_rejected() {
        assert_eq!(of("/p/a/push", &[b"b"]), Err(code::PROJECT_CONFLICT));
        assert_eq!(of("/push", &[b"a", b"default"]), Err(code::PROJECT_CONFLICT));
        let long = "a".repeat(300);
        for name in ["", "..", ".", "a%2Fb", "%61", "a__b", "-a", "\u{e9}", "a b", "A.b", &long] {
            assert_eq!(of(&format!("/p/{name}/push"), &[]), Err(code::INVALID_PROJECT), "{name}");
            assert_eq!(of("/push", &[name.as_bytes()]), Err(code::INVALID_PROJECT), "{name}");
        }
        assert_eq!(of("/push", &[b"a/b"]), Err(code::INVALID_PROJECT));
        assert_eq!(of("/push", &[b"\xff"]), Err(code::INVALID_PROJECT));
    }
}
