//! `littoral push-source`: push sources.

use crate::{
    commands::definitions::{self, Action, Kind},
    definitions_file::Definitions,
    failure::Failure,
    output::{Paint, Table},
};
use littoral_client::{ChangeReceipt, Client, Error};
use littoral_model::service::PushSource;
use std::process::ExitCode;

/// `littoral push-source ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

/// Does what was asked for.
///
/// # Errors
/// When a file is at fault, or the node refuses or cannot be reached.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    super::block_on(definitions::run::<PushSources>(&args.action, json))
}

/// Push sources.
pub struct PushSources;

impl Kind for PushSources {
    type Definition = PushSource;
    const NAME: &'static str = "push source";

    fn defined(definitions: Definitions) -> Vec<PushSource> {
        definitions.push_sources
    }

    fn name(source: &PushSource) -> &str {
        &source.name
    }

    async fn list(client: &Client) -> Result<Vec<PushSource>, Error> {
        client.push_sources().await
    }

    async fn get(client: &Client, name: &str) -> Result<PushSource, Error> {
        client.push_source(name).await
    }

    async fn put(client: &Client, source: &PushSource) -> Result<ChangeReceipt, Error> {
        client.put_push_source(source).await
    }

    async fn drop(client: &Client, name: &str) -> Result<ChangeReceipt, Error> {
        client.drop_push_source(name).await
    }

    fn table(sources: &[PushSource]) -> String {
        let mut table = Table::new(&["push source", "writes into"]);
        for source in sources {
            table.row([source.name.cyan(), source.views.join(", ")]);
        }
        table.render("")
    }

    fn details(source: &PushSource) -> String {
        Self::table(std::slice::from_ref(source))
    }
}
