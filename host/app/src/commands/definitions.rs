//! Commands for definitions of the catalogue: the same four actions for each kind.

use crate::{
    commands::target::{Target, failed},
    definitions_file::{self, Definitions},
    failure::Failure,
    output::{self, Paint},
};
use clap::{Subcommand, builder::NonEmptyStringValueParser};
use littoral_client::{ChangeReceipt, Client, Error};
use serde::Serialize;
use serde_json::Value;
use std::{path::PathBuf, process::ExitCode};

/// `littoral view ...`, `littoral service ...` and `littoral push-source ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

/// The actions on definitions of one kind.
#[derive(Debug, Subcommand)]
enum Action {
    /// List all definitions.
    List {
        /// The node.
        #[command(flatten)]
        target: Target,
    },
    /// Show one definition.
    Show {
        /// The name of the definition.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
        /// The node.
        #[command(flatten)]
        target: Target,
    },
    /// Create or change the definitions in TOML files.
    Apply {
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The node.
        #[command(flatten)]
        target: Target,
    },
    /// Drop one definition.
    Drop {
        /// The name of the definition.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
        /// The node.
        #[command(flatten)]
        target: Target,
    },
}

/// A kind of definition.
pub trait Kind {
    /// The definition.
    type Definition;
    /// The kind's name in messages.
    const NAME: &'static str;

    /// Returns the definitions of this kind in a file.
    fn defined(definitions: Definitions) -> Vec<Self::Definition>;
    /// Returns a definition's name.
    fn name(definition: &Self::Definition) -> &str;
    /// Returns all definitions of the node.
    async fn list(client: &Client) -> Result<Vec<Self::Definition>, Error>;
    /// Returns the definition with this name.
    async fn get(client: &Client, name: &str) -> Result<Self::Definition, Error>;
    /// Creates or changes a definition.
    async fn put(client: &Client, definition: &Self::Definition) -> Result<ChangeReceipt, Error>;
    /// Drops a definition.
    async fn drop(client: &Client, name: &str) -> Result<ChangeReceipt, Error>;
    /// Renders a definition as JSON.
    fn document(definition: &Self::Definition) -> Value;
    /// Renders definitions as a table.
    fn table(definitions: &[Self::Definition]) -> String;
    /// Renders a definition as text.
    fn details(definition: &Self::Definition) -> String;
}

/// The result of a change, as JSON.
#[derive(Serialize)]
struct Changed {
    name: String,
    token: String,
}

/// Runs the command.
///
/// # Errors
/// If a file is invalid, the node rejects the request, or the node cannot be reached.
pub fn run<K: Kind>(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    super::block_on(act::<K>(&args.action, json))
}

async fn act<K: Kind>(action: &Action, json: bool) -> Result<ExitCode, Failure> {
    match action {
        Action::List { target } => {
            let all = K::list(&target.client()?).await.map_err(failed)?;
            let documents: Vec<Value> = all.iter().map(K::document).collect();
            output::answer(json, &documents, |_| match all.is_empty() {
                true => format!("there are no {}s", K::NAME),
                false => K::table(&all),
            })?;
        }
        Action::Show { name, target } => {
            let one = K::get(&target.client()?, name).await.map_err(failed)?;
            output::answer(json, &K::document(&one), |_| K::details(&one))?;
        }
        Action::Apply { files, target } => {
            // Everything is read before anything is changed.
            let mut definitions = Vec::new();
            for file in files {
                definitions.extend(K::defined(definitions_file::read(file)?));
            }
            if definitions.is_empty() {
                return Err(Failure::usage(format!("nothing to apply: the files define no {}", K::NAME)));
            }
            let changed = apply::<K>(&target.client()?, &definitions).await?;
            output::answer(json, &changed, |all| all.iter().map(|one| said::<K>("applied", one)).collect())?;
        }
        Action::Drop { name, target } => {
            let receipt = K::drop(&target.client()?, name).await.map_err(failed)?;
            let dropped = Changed { name: name.clone(), token: receipt.token };
            output::answer(json, &dropped, |one| said::<K>("dropped", one))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn said<K: Kind>(what: &str, changed: &Changed) -> String {
    format!("{} {} {}\n", what.green(), K::NAME, changed.name)
}

async fn apply<K: Kind>(client: &Client, definitions: &[K::Definition]) -> Result<Vec<Changed>, Failure> {
    let mut changed = Vec::with_capacity(definitions.len());
    for definition in definitions {
        let name = K::name(definition);
        let receipt = K::put(client, definition).await.map_err(|error| {
            let failure = failed(error);
            Failure { message: format!("{} '{name}': {}", K::NAME, failure.message), ..failure }
        })?;
        changed.push(Changed { name: name.to_owned(), token: receipt.token });
    }
    Ok(changed)
}

/// Applies all definitions of a file, in an order in which references resolve. Returns the freshness token of the last
/// change.
///
/// # Errors
/// If the node rejects a definition or cannot be reached.
#[cfg(feature = "lab")]
pub async fn apply_all(client: &Client, definitions: &Definitions) -> Result<Option<String>, Failure> {
    use crate::commands::{project::Projects, push_source::PushSources, service::Services, view::Views};
    let mut changed = apply::<Projects>(client, &definitions.projects).await?;
    changed.extend(apply::<Views>(client, &definitions.views).await?);
    changed.extend(apply::<Services>(client, &definitions.services).await?);
    changed.extend(apply::<PushSources>(client, &definitions.push_sources).await?);
    Ok(changed.pop().map(|last| last.token))
}
