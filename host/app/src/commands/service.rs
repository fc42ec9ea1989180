//! `littoral service`: feature services.

use crate::{
    commands::{about, definitions::Kind},
    definitions_file::Definitions,
    output::{Paint, Table},
};
use littoral_client::{ChangeReceipt, Client, Error};
use littoral_model::details::ServiceDefinition;
use serde_json::Value;

/// Feature services.
pub struct Services;

impl Kind for Services {
    type Definition = ServiceDefinition;
    const NAME: &'static str = "feature service";

    fn defined(definitions: Definitions) -> Vec<ServiceDefinition> {
        definitions.services
    }

    fn name(definition: &ServiceDefinition) -> &str {
        &definition.service.name
    }

    async fn list(client: &Client) -> Result<Vec<ServiceDefinition>, Error> {
        client.services().await
    }

    async fn get(client: &Client, name: &str) -> Result<ServiceDefinition, Error> {
        client.service(name).await
    }

    async fn put(client: &Client, service: &ServiceDefinition) -> Result<ChangeReceipt, Error> {
        client.put_service(service).await
    }

    async fn drop(client: &Client, name: &str) -> Result<ChangeReceipt, Error> {
        client.drop_service(name).await
    }

    fn document(ServiceDefinition { service, about }: &ServiceDefinition) -> Value {
        about::document(service, about)
    }

    fn table(services: &[ServiceDefinition]) -> String {
        let mut table = Table::new(&["service", ">features", "of"]);
        for ServiceDefinition { service, .. } in services {
            let features: usize = service.projections.iter().map(|part| part.features.len()).sum();
            let views: Vec<_> = service.projections.iter().map(|part| part.view.as_str()).collect();
            table.row([service.name.cyan(), features.to_string(), views.join(", ")]);
        }
        table.render("")
    }

    fn details(ServiceDefinition { service, about }: &ServiceDefinition) -> String {
        let mut table = Table::new(&["of", "named", "feature", "join keys"]);
        for part in &service.projections {
            let renamed: Vec<_> = part.join_key_map.iter().map(|(from, to)| format!("{from} = {to}")).collect();
            for feature in &part.features {
                let alias = part.alias.clone().unwrap_or_else(|| part.view.clone());
                table.row([part.view.cyan(), alias, feature.clone(), renamed.join(", ")]);
            }
        }
        format!("{}\n{}{}", service.name.bold(), about::lines(about), table.render(""))
    }
}
