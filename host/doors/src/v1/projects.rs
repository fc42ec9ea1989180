//! Projects: their records.

use super::{json, parse, unknown};
use crate::{access, answer::Answer, failure::Failure, state::State};
use littoral_api::{
    ChangeReceipt, code,
    projects::{Project, Projects},
};
use littoral_model::{catalogue::CatalogueChange, project};

pub(super) fn list(state: &State) -> Result<Answer, Failure> {
    let catalogue = state.node.catalogue();
    let seen = catalogue.projects().filter(|record| access::require_project(&record.name).is_ok());
    json(&Projects { projects: seen.cloned().map(Project::from).collect() })
}

pub(super) fn get(state: &State, name: &str) -> Result<Answer, Failure> {
    access::require_project(name)?;
    let catalogue = state.node.catalogue();
    match catalogue.project(name) {
        Some(record) => json(&Project::from(record.clone())),
        // It exists without a record, with no limits.
        None if name == project::DEFAULT => json(&Project { name: name.to_owned(), ..Project::default() }),
        None => Err(unknown("project", code::UNKNOWN_PROJECT, name)),
    }
}

pub(super) async fn put(state: &State, name: &str, body: &[u8]) -> Result<Answer, Failure> {
    let project = Project { name: name.to_owned(), body: parse(body)? };
    change(state, CatalogueChange::PutProject(Box::new(project.into()))).await
}

pub(super) async fn drop(state: &State, name: &str) -> Result<Answer, Failure> {
    if state.node.catalogue().project(name).is_none() {
        return Err(unknown("project", code::UNKNOWN_PROJECT, name));
    }
    change(state, CatalogueChange::DropProject(name.to_owned())).await
}

async fn change(state: &State, change: CatalogueChange) -> Result<Answer, Failure> {
    json(&ChangeReceipt::from(&state.node.change(change).await?))
}
