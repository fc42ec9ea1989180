//! What a node says of itself.

use crate::{Client, Error, ModuleInfo, call::Call};
use http::StatusCode;
use littoral_api::{Problem, code, node, view::View};
use littoral_model::{
    adoption::OfferedLog,
    details::{PushSourceDefinition, ServiceDefinition},
    digest::Verification,
    service::{FeatureService, PushSource},
    status::NodeStatus,
    view::FeatureView,
};
use std::time::Duration;

/// Whether a node should get traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It should.
    Ready,
    /// It should not, for this reason.
    NotReady(String),
}

/// Every view, module, service and push source, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// Counts the changes that made it: two catalogues of one log with one generation are equal.
    pub generation: u64,
    /// Feature views.
    pub views: Vec<FeatureView>,
    /// Modules.
    pub modules: Vec<ModuleInfo>,
    /// Feature services.
    pub services: Vec<FeatureService>,
    /// Push sources.
    pub push_sources: Vec<PushSource>,
}

impl Client {
    /// The node's state.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn status(&self) -> Result<NodeStatus, Error> {
        self.send(Call::get("/v1/status")).await?.json()
    }

    /// Has an edge compare itself with its leader and mend what differs. Takes as long as going through every row.
    ///
    /// # Errors
    /// [`Error`], also when the node is no edge or has no leader now.
    pub async fn verify(&self) -> Result<Verification, Error> {
        self.send(Call::new(http::Method::POST, "/v1/verify".to_owned())).await?.json()
    }

    /// Has an edge take the log that it was offered last and refused: the one that `log` names, where it is given.
    ///
    /// # Errors
    /// [`Error`], also when the node is no edge, or has refused no such log.
    pub async fn adopt(&self, log: Option<&str>) -> Result<OfferedLog, Error> {
        let query = log.map(|log| format!("?log={log}")).unwrap_or_default();
        self.send(Call::new(http::Method::POST, format!("/v1/adopt{query}"))).await?.json()
    }

    /// Whether the node should get traffic. Asks once: not being ready is an answer, not a fault.
    ///
    /// # Errors
    /// [`Error`] when the node cannot be asked.
    pub async fn ready(&self) -> Result<Readiness, Error> {
        match self.attempt(&Call::get("/v1/ready")).await {
            Ok(_) => Ok(Readiness::Ready),
            Err(Error::Refused(problem)) if problem.status == 503 => Ok(Readiness::NotReady(problem.detail)),
            Err(error) => Err(error),
        }
    }

    /// Waits until the node is ready, at most this long.
    ///
    /// # Errors
    /// The last error when the node could not be asked; [`Error::Refused`] with its reason when it is not ready by then.
    pub async fn wait_ready(&self, wait_max: Duration) -> Result<(), Error> {
        const POLL: Duration = Duration::from_millis(20);
        let deadline = tokio::time::Instant::now() + wait_max;
        loop {
            let refused = |detail: String| {
                let title = "not ready".to_owned();
                let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, code::NOT_READY, &detail);
                Error::Refused(Problem { title, ..problem })
            };
            let error = match self.ready().await {
                Ok(Readiness::Ready) => return Ok(()),
                Ok(Readiness::NotReady(reason)) => refused(reason),
                Err(error) if error.is_transient() => error,
                Err(error) => return Err(error),
            };
            if tokio::time::Instant::now() + POLL > deadline {
                return Err(error);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The whole catalogue, as of one moment.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn catalogue(&self) -> Result<Catalogue, Error> {
        let catalogue: node::Catalogue<View> = self.send(Call::get("/v1/catalogue")).await?.json()?;
        Ok(Catalogue {
            generation: catalogue.generation,
            views: catalogue.views.into_iter().map(FeatureView::from).collect(),
            modules: catalogue.modules,
            services: catalogue.services.into_iter().map(|service| ServiceDefinition::from(service).service).collect(),
            push_sources: (catalogue.push_sources.into_iter())
                .map(|source| PushSourceDefinition::from(source).push_source)
                .collect(),
        })
    }

    /// The node's metrics, as Prometheus reads them.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn metrics(&self) -> Result<String, Error> {
        let answer = self.send(Call::get("/metrics")).await?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }
}
