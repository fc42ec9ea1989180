//! `littoral view`: feature views.

use crate::{
    commands::definitions::{self, Action, Kind},
    definitions_file::Definitions,
    failure::Failure,
    output::{Paint, Table, text},
};
use littoral_client::{ChangeReceipt, Client, Error};
use littoral_model::view::FeatureView;
use std::{process::ExitCode, time::Duration};

/// `littoral view ...`.
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
    super::block_on(definitions::run::<Views>(&args.action, json))
}

/// Feature views.
pub struct Views;

impl Kind for Views {
    type Definition = FeatureView;
    const NAME: &'static str = "feature view";

    fn defined(definitions: Definitions) -> Vec<FeatureView> {
        definitions.views
    }

    fn name(view: &FeatureView) -> &str {
        &view.name
    }

    async fn list(client: &Client) -> Result<Vec<FeatureView>, Error> {
        client.views().await
    }

    async fn get(client: &Client, name: &str) -> Result<FeatureView, Error> {
        client.view(name).await
    }

    async fn put(client: &Client, view: &FeatureView) -> Result<ChangeReceipt, Error> {
        Ok(client.put_view(view).await?.receipt)
    }

    async fn drop(client: &Client, name: &str) -> Result<ChangeReceipt, Error> {
        client.drop_view(name).await
    }

    fn table(views: &[FeatureView]) -> String {
        let mut table = Table::new(&["view", "entity key", ">features", ">expires after"]);
        for view in views {
            let keys: Vec<_> = view.join_keys.iter().map(|key| key.name.as_str()).collect();
            table.row([view.name.cyan(), keys.join(", "), view.features.len().to_string(), ttl(view)]);
        }
        table.render("")
    }

    fn details(view: &FeatureView) -> String {
        let mut columns = Table::new(&["column", "type", ""]);
        for key in &view.join_keys {
            let entity = if key.entity == key.name { String::new() } else { format!(" of entity {}", key.entity) };
            columns.row([key.name.cyan(), key.value_type.to_string(), format!("join key{entity}").dim()]);
        }
        for feature in &view.features {
            columns.row([feature.name.clone(), feature.value_type.to_string()]);
        }
        format!("{}  {}\n{}", view.name.bold(), expiry(view), columns.render(""))
    }
}

fn ttl(view: &FeatureView) -> String {
    view.ttl_ms.map_or_else(|| "never".to_owned(), |ms| text::span(Duration::from_millis(ms)))
}

fn expiry(view: &FeatureView) -> String {
    if view.ttl_ms.is_some() { format!("expires after {}", ttl(view)) } else { "never expires".to_owned() }
}
