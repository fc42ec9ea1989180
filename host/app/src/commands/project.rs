//! `littoral project`: projects.

use crate::{
    commands::{about, definitions::Kind},
    definitions_file::Definitions,
    output::{Paint, Table},
};
use littoral_client::{ChangeReceipt, Client, Error};
use littoral_model::project::{Project, Quotas};
use serde_json::{Value, json};

/// Projects.
pub struct Projects;

impl Kind for Projects {
    type Definition = Project;
    const NAME: &'static str = "project";

    fn defined(definitions: Definitions) -> Vec<Project> {
        definitions.projects
    }

    fn name(project: &Project) -> &str {
        &project.name
    }

    async fn list(client: &Client) -> Result<Vec<Project>, Error> {
        Ok(client.projects().await?.into_iter().map(Project::from).collect())
    }

    async fn get(client: &Client, name: &str) -> Result<Project, Error> {
        client.project(name).await.map(Project::from)
    }

    async fn put(client: &Client, project: &Project) -> Result<ChangeReceipt, Error> {
        client.put_project(&project.clone().into()).await
    }

    async fn drop(client: &Client, name: &str) -> Result<ChangeReceipt, Error> {
        client.drop_project(name).await
    }

    fn document(project: &Project) -> Value {
        json!(littoral_client::Project::from(project.clone()))
    }

    fn table(projects: &[Project]) -> String {
        let mut table = Table::new(&["project", "regions", "quotas"]);
        for project in projects {
            let quotas: Vec<_> = quotas(project.quotas).map(|(name, max)| format!("{name} {max}")).collect();
            table.row([project.name.cyan(), regions(project), quotas.join(", ")]);
        }
        table.render("")
    }

    fn details(project: &Project) -> String {
        let description = match project.description.as_str() {
            "" => String::new(),
            text => format!("{} {}\n", "description".dim(), about::line(text)),
        };
        let mut table = Table::new(&["quota", ">limit"]);
        for (name, max) in quotas(project.quotas) {
            table.row([name.to_owned(), max.to_string()]);
        }
        let regions = format!("{} {}\n", "rows stay in".dim(), regions(project));
        format!("{}\n{description}{regions}{}", project.name.bold(), table.render(""))
    }
}

fn regions(project: &Project) -> String {
    let regions: Vec<_> = project.regions.iter().map(ToString::to_string).collect();
    if regions.is_empty() { "all regions".to_owned() } else { regions.join(", ") }
}

fn quotas(quotas: Quotas) -> impl Iterator<Item = (&'static str, u64)> {
    let Quotas { rows, bytes, modules, requests_per_s, rows_read_per_s, rows_written_per_s, concurrent_requests } =
        quotas;
    let all = [
        ("rows", rows),
        ("bytes", bytes),
        ("modules", modules),
        ("requests_per_s", requests_per_s),
        ("rows_read_per_s", rows_read_per_s),
        ("rows_written_per_s", rows_written_per_s),
        ("concurrent_requests", concurrent_requests),
    ];
    all.into_iter().filter_map(|(name, max)| Some((name, max?)))
}
