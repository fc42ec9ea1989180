//! `littoral view`: feature views.

use crate::{
    commands::{about, definitions::Kind},
    definitions_file::Definitions,
    output::{Paint, Table, text},
};
use littoral_client::{ChangeReceipt, Client, Error};
use littoral_model::{
    details::{RowSource, ViewDefinition},
    view::FeatureView,
};
use serde_json::{Value, json};
use std::time::Duration;

/// Feature views.
pub struct Views;

impl Kind for Views {
    type Definition = ViewDefinition;
    const NAME: &'static str = "feature view";

    fn defined(definitions: Definitions) -> Vec<ViewDefinition> {
        definitions.views
    }

    fn name(definition: &ViewDefinition) -> &str {
        &definition.view.name
    }

    async fn list(client: &Client) -> Result<Vec<ViewDefinition>, Error> {
        client.view_definitions().await
    }

    async fn get(client: &Client, name: &str) -> Result<ViewDefinition, Error> {
        client.view_definition(name).await
    }

    async fn put(client: &Client, definition: &ViewDefinition) -> Result<ChangeReceipt, Error> {
        Ok(client.define_view(definition).await?.receipt)
    }

    async fn drop(client: &Client, name: &str) -> Result<ChangeReceipt, Error> {
        client.drop_view(name).await
    }

    fn document(ViewDefinition { view, details }: &ViewDefinition) -> Value {
        let mut document = about::document(view, &details.about);
        for (part, of_parts) in [("join_keys", &details.entities), ("features", &details.features)] {
            for one in document[part].as_array_mut().into_iter().flatten() {
                let name = if part == "join_keys" { &one["entity"] } else { &one["name"] };
                if let Some(said) = name.as_str().and_then(|name| of_parts.get(name)) {
                    about::add_to(one, said);
                }
            }
        }
        if let Some(source) = &details.source {
            let RowSource { name, about, event_timestamp, created, field_mapping } = source;
            let columns = json!({
                "name": name, "event_timestamp": event_timestamp, "created": created, "field_mapping": field_mapping,
            });
            document["source"] = about::document(&columns, about);
        }
        document
    }

    fn table(definitions: &[ViewDefinition]) -> String {
        let mut table = Table::new(&["view", "entity key", ">features", ">expires after"]);
        for ViewDefinition { view, .. } in definitions {
            let keys: Vec<_> = view.join_keys.iter().map(|key| key.name.as_str()).collect();
            table.row([view.name.cyan(), keys.join(", "), view.features.len().to_string(), ttl(view)]);
        }
        table.render("")
    }

    fn details(ViewDefinition { view, details }: &ViewDefinition) -> String {
        let mut columns = Table::new(&["column", "type", ""]);
        for key in &view.join_keys {
            let entity = if key.entity == key.name { String::new() } else { format!(" of entity {}", key.entity) };
            let said = details.entities.get(&key.entity).map(about::brief);
            let said = said.map_or_else(String::new, |said| format!(": {said}"));
            columns.row([key.name.cyan(), key.value_type.to_string(), format!("join key{entity}{said}").dim()]);
        }
        for feature in &view.features {
            let said = details.features.get(&feature.name).map(about::brief).unwrap_or_default();
            columns.row([feature.name.clone(), feature.value_type.to_string(), said.dim()]);
        }
        let source = details.source.as_ref().map(source).unwrap_or_default();
        format!(
            "{}  {}\n{}{source}{}",
            view.name.bold(),
            expiry(view),
            about::lines(&details.about),
            columns.render("")
        )
    }
}

/// Renders a view's row source and its column names.
fn source(source: &RowSource) -> String {
    let RowSource { name, about: said, event_timestamp, created, field_mapping } = source;
    let mut parts = Vec::new();
    parts.extend(event_timestamp.as_ref().map(|column| format!("event time in '{}'", about::line(column))));
    parts.extend(created.as_ref().map(|column| format!("time of creation in '{}'", about::line(column))));
    let renamed = field_mapping.iter().map(|(column, name)| about::line(&format!("'{column}' is {name}")));
    parts.extend(renamed);
    let said = about::brief(said);
    let said = if said.is_empty() { said } else { format!(" ({said})") };
    format!("{} {}{said}: {}\n", "source".dim(), about::line(name), parts.join(", "))
}

fn ttl(view: &FeatureView) -> String {
    view.ttl_ms().map_or_else(|| "never".to_owned(), |ms| text::span(Duration::from_millis(ms)))
}

fn expiry(view: &FeatureView) -> String {
    if view.ttl_ms().is_some() { format!("expires after {}", ttl(view)) } else { "never expires".to_owned() }
}
