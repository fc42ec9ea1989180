//! `littoral push-source`: push sources.

use crate::{
    commands::{about, definitions::Kind},
    definitions_file::Definitions,
    output::{Paint, Table},
};
use littoral_client::{ChangeReceipt, Client, Error};
use littoral_model::details::PushSourceDefinition;
use serde_json::Value;

/// Push sources.
pub struct PushSources;

impl Kind for PushSources {
    type Definition = PushSourceDefinition;
    const NAME: &'static str = "push source";

    fn defined(definitions: Definitions) -> Vec<PushSourceDefinition> {
        definitions.push_sources
    }

    fn name(definition: &PushSourceDefinition) -> &str {
        &definition.push_source.name
    }

    async fn list(client: &Client) -> Result<Vec<PushSourceDefinition>, Error> {
        client.push_sources().await
    }

    async fn get(client: &Client, name: &str) -> Result<PushSourceDefinition, Error> {
        client.push_source(name).await
    }

    async fn put(client: &Client, source: &PushSourceDefinition) -> Result<ChangeReceipt, Error> {
        client.put_push_source(source).await
    }

    async fn drop(client: &Client, name: &str) -> Result<ChangeReceipt, Error> {
        client.drop_push_source(name).await
    }

    fn document(PushSourceDefinition { push_source, about }: &PushSourceDefinition) -> Value {
        about::document(push_source, about)
    }

    fn table(sources: &[PushSourceDefinition]) -> String {
        let mut table = Table::new(&["push source", "writes into"]);
        for PushSourceDefinition { push_source: source, .. } in sources {
            table.row([source.name.cyan(), source.views.join(", ")]);
        }
        table.render("")
    }

    fn details(source: &PushSourceDefinition) -> String {
        format!("{}{}", Self::table(std::slice::from_ref(source)), about::lines(&source.about))
    }
}
