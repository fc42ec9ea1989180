//! Projects.

use crate::{ChangeReceipt, Client, Error, Project, address::escape, call::Call};
use http::Method;
use littoral_api::projects::Projects;

impl Client {
    /// Returns every project that has a record, by name.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn projects(&self) -> Result<Vec<Project>, Error> {
        let all: Projects = self.send(Call::get("/v1/projects")).await?.json()?;
        Ok(all.projects)
    }

    /// Returns the project of this name.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] if there is none.
    pub async fn project(&self, name: &str) -> Result<Project, Error> {
        let project: Project = self.send(Call::get(format!("/v1/projects/{}", escape(name)))).await?.json()?;
        Ok(Project { name: name.to_owned(), ..project })
    }

    /// Creates a project, or replaces its record.
    ///
    /// # Errors
    /// [`Error`], with the node's reason if it rejects the record.
    pub async fn put_project(&self, project: &Project) -> Result<ChangeReceipt, Error> {
        let path = format!("/v1/projects/{}", escape(&project.name));
        self.send(Call::new(Method::PUT, path).json(&project.body)?).await?.json()
    }

    /// Drops a project that has no definitions.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn drop_project(&self, name: &str) -> Result<ChangeReceipt, Error> {
        self.send(Call::new(Method::DELETE, format!("/v1/projects/{}", escape(name)))).await?.json()
    }
}
