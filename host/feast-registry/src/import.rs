//! Applies a plan to a leader.

use crate::{Error, ImportReport, Item, Kind, Outcome, Plan};
use littoral_client::{ChangeReceipt, Client, ModuleInfo};
use littoral_model::{details::ViewDefinition, service::FeatureService};
use std::collections::BTreeSet;

/// Applies a plan to the leader, or to an edge that forwards changes: views first, then push sources, then the services whose
/// views and modules exist. Idempotent: definitions that are equal already stay as they are. With `dry_run` nothing changes, and
/// changes are reported as planned.
///
/// # Errors
/// [`Error::Client`] when the node does not answer. A change that it rejects is in the report, and the import continues.
pub async fn import(plan: &Plan, client: &Client, dry_run: bool) -> Result<ImportReport, Error> {
    let mut run = Run { client, dry_run, items: Vec::new(), token: None, refused: BTreeSet::new() };
    run.views(plan).await?;
    run.push_sources(plan).await?;
    let modules = client.modules().await?;
    let waiting = run.modules(plan, &modules);
    run.services(plan, &waiting).await?;
    Ok(ImportReport { project: plan.project.clone(), items: run.items, notes: plan.notes.clone(), token: run.token })
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
            Err(littoral_client::Error::Refused(problem)) if !matches!(problem.status, 401 | 403 | 429 | 500..) => {
                Ok(Outcome::Refused { reason: problem.to_string() })
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
            if matches!(outcome, Outcome::Refused { .. }) {
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
                Outcome::Refused { reason: format!("its feature view '{view}' was refused") }
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
            let command = binding.command(self.client.url());
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
            return Some(Outcome::Refused { reason: format!("its feature view '{view}' was refused") });
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
