//! Applies a plan to a leader.

use crate::{Error, ImportReport, Item, Kind, Outcome, Plan};
use littoral_client::{ChangeReceipt, Client, ModuleInfo, Project, ProjectName};
use littoral_model::{details::ViewDefinition, service::FeatureService};
use std::collections::BTreeSet;

/// Applies a plan to the leader, or to an edge that forwards changes: views first, then push sources, then the services
/// whose views and modules exist. Idempotent: definitions that are equal already stay as they are. With `dry_run`
/// nothing changes, and changes are reported as planned. With `into`, the definitions go into that project, which is
/// created if it does not exist.
///
/// # Errors
/// [`Error::Client`] when the node does not answer. A change that it rejects is in the report, and the import
/// continues.
pub async fn import(
    plan: &Plan,
    client: &Client,
    into: Option<ProjectName>,
    dry_run: bool,
) -> Result<ImportReport, Error> {
    let mut items = Vec::new();
    let client = &match &into {
        None => client.clone(),
        Some(name) => match ensure(client, name, dry_run).await? {
            Some(outcome) if dry_run => return Ok(planned(plan, name, outcome)),
            outcome => {
                let created = outcome.map(|outcome| Item { kind: Kind::Project, name: name.to_string(), outcome });
                items.extend(created);
                client.in_project(name.clone())
            }
        },
    };
    let mut run = Run { client, dry_run, items, token: None, refused: BTreeSet::new() };
    run.views(plan).await?;
    run.push_sources(plan).await?;
    let modules = client.modules().await?;
    let waiting = run.modules(plan, &modules);
    run.services(plan, &waiting).await?;
    let into = into.map(|name| name.to_string());
    Ok(ImportReport {
        project: plan.project.clone(),
        into,
        items: run.items,
        notes: plan.notes.clone(),
        token: run.token,
    })
}

/// Returns a view of the plan that the project `default` has, if the project `own` does not exist yet: an earlier
/// import may have gone into `default`.
///
/// # Errors
/// [`Error::Client`].
pub async fn is_in_default(plan: &Plan, client: &Client, own: &ProjectName) -> Result<Option<String>, Error> {
    if own.is_default() {
        return Ok(None);
    }
    match client.project(own.as_str()).await {
        Ok(_) => return Ok(None),
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error.into()),
    }
    match client.in_project(ProjectName::default()).view_definitions().await {
        Ok(views) => {
            let known = |name: &str| plan.views.iter().any(|definition| definition.view.name == name);
            Ok(views.into_iter().map(|definition| definition.view.name).find(|name| known(name)))
        }
        // This client may not use `default`.
        Err(littoral_client::Error::Rejected(problem)) if problem.status == 403 => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Creates a project, unless it exists or `dry_run` is set. Returns the outcome; `None` if the project exists.
async fn ensure(client: &Client, name: &ProjectName, dry_run: bool) -> Result<Option<Outcome>, Error> {
    match client.project(name.as_str()).await {
        Ok(_) => return Ok(None),
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error.into()),
    }
    if dry_run {
        return Ok(Some(Outcome::Planned));
    }
    client.put_project(&Project { name: name.to_string(), ..Project::default() }).await?;
    Ok(Some(Outcome::Created))
}

/// Returns the report of a dry run into a project that does not exist: everything is planned.
fn planned(plan: &Plan, into: &ProjectName, outcome: Outcome) -> ImportReport {
    fn all<'a>(kind: Kind, names: impl Iterator<Item = &'a String>) -> impl Iterator<Item = Item> {
        names.map(move |name| Item { kind, name: name.clone(), outcome: Outcome::Planned })
    }
    let project = Item { kind: Kind::Project, name: into.to_string(), outcome };
    let items = std::iter::once(project)
        .chain(all(Kind::View, plan.views.iter().map(|definition| &definition.view.name)))
        .chain(all(Kind::PushSource, plan.push_sources.iter().map(|source| &source.push_source.name)))
        .chain(all(Kind::Module, plan.bindings.iter().map(|binding| &binding.name)))
        .chain(all(Kind::Service, plan.services.iter().map(|definition| &definition.service.name)));
    let (project, into) = (plan.project.clone(), Some(into.to_string()));
    ImportReport { project, into, items: items.collect(), notes: plan.notes.clone(), token: None }
}

struct Run<'a> {
    client: &'a Client,
    dry_run: bool,
    items: Vec<Item>,
    token: Option<String>,
    /// Views that the leader rejected: definitions that need them are not sent.
    refused: BTreeSet<String>,
}

/// A module that is missing, or does not match Feast's on-demand view.
struct Waiting {
    name: String,
    command: String,
}

impl Run<'_> {
    fn push(&mut self, kind: Kind, name: &str, outcome: Outcome) {
        self.items.push(Item { kind, name: name.to_owned(), outcome });
    }

    /// Converts the result of a change: a rejection is an outcome, any other error ends the import.
    fn taken(
        &mut self,
        existed: bool,
        result: Result<ChangeReceipt, littoral_client::Error>,
    ) -> Result<Outcome, Error> {
        match result {
            Ok(receipt) => {
                self.token = Some(receipt.token);
                Ok(if existed { Outcome::Changed } else { Outcome::Created })
            }
            Err(littoral_client::Error::Rejected(problem)) if !matches!(problem.status, 401 | 403 | 429 | 500..) => {
                Ok(Outcome::Rejected { reason: problem.to_string() })
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn views(&mut self, plan: &Plan) -> Result<(), Error> {
        let current = self.client.view_definitions().await?;
        for definition in &plan.views {
            let view = &definition.view;
            let there = current.iter().find(|there| there.view.name == view.name);
            let says_so = |there: &&ViewDefinition| {
                there.details == definition.details && there.view.evolve(view).is_ok_and(|after| after == there.view)
            };
            let outcome = if there.as_ref().is_some_and(says_so) {
                Outcome::Unchanged
            } else if self.dry_run {
                Outcome::Planned
            } else {
                let put = self.client.define_view(definition).await.map(|put| put.receipt);
                self.taken(there.is_some(), put)?
            };
            if matches!(outcome, Outcome::Rejected { .. }) {
                self.refused.insert(view.name.clone());
            }
            self.push(Kind::View, &view.name, outcome);
        }
        Ok(())
    }

    async fn push_sources(&mut self, plan: &Plan) -> Result<(), Error> {
        let current = self.client.push_sources().await?;
        for definition in &plan.push_sources {
            let source = &definition.push_source;
            let there = current.iter().find(|there| there.push_source.name == source.name);
            let refused = source.views.iter().find(|view| self.refused.contains(*view));
            let outcome = if let Some(view) = refused {
                Outcome::Rejected { reason: format!("its feature view '{view}' was refused") }
            } else if there == Some(definition) {
                Outcome::Unchanged
            } else if self.dry_run {
                Outcome::Planned
            } else {
                let put = self.client.put_push_source(definition).await;
                self.taken(there.is_some(), put)?
            };
            self.push(Kind::PushSource, &source.name, outcome);
        }
        Ok(())
    }

    fn modules(&mut self, plan: &Plan, modules: &[ModuleInfo]) -> Vec<Waiting> {
        let mut waiting = Vec::new();
        for binding in &plan.bindings {
            let there = modules.iter().find(|module| module.name == binding.name);
            let reason = match there.map(|module| binding.mismatch(&module.manifest)) {
                Some(None) => {
                    self.push(Kind::Module, &binding.name, Outcome::Unchanged);
                    continue;
                }
                Some(Some(mismatch)) => format!("the module of this name does not fit: {mismatch}"),
                None => "Feast's Python is not run here; write it as a module and upload that".to_owned(),
            };
            let command = binding.command(self.client.url(), self.client.project_name());
            waiting.push(Waiting { name: binding.name.clone(), command: command.clone() });
            self.push(Kind::Module, &binding.name, Outcome::Pending { reason, command });
        }
        waiting
    }

    async fn services(&mut self, plan: &Plan, waiting: &[Waiting]) -> Result<(), Error> {
        let current = self.client.services().await?;
        for definition in &plan.services {
            let service = &definition.service;
            let there = current.iter().find(|there| there.service.name == service.name);
            let outcome = if there == Some(definition) {
                Outcome::Unchanged
            } else if let Some(outcome) = self.hindrance(service, waiting) {
                outcome
            } else if self.dry_run {
                Outcome::Planned
            } else {
                let put = self.client.put_service(definition).await;
                self.taken(there.is_some(), put)?
            };
            self.push(Kind::Service, &service.name, outcome);
        }
        Ok(())
    }

    fn hindrance(&self, service: &FeatureService, waiting: &[Waiting]) -> Option<Outcome> {
        let views = || service.projections.iter().map(|part| &part.view);
        if let Some(view) = views().find(|view| self.refused.contains(*view)) {
            return Some(Outcome::Rejected { reason: format!("its feature view '{view}' was refused") });
        }
        let module = waiting.iter().find(|module| views().any(|view| *view == module.name))?;
        Some(Outcome::Pending {
            reason: format!(
                "it needs module '{}' as Feast has it: upload that, then run this import again",
                module.name
            ),
            command: module.command.clone(),
        })
    }
}
