//! Calls about the state of a node.

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

/// Whether a node should receive traffic.
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
    /// Counts the changes of the catalogue. Two catalogues of one log with one generation are equal.
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
    /// Returns the status of the node.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn status(&self) -> Result<NodeStatus, Error> {
        self.send(Call::get("/v1/status")).await?.json()
    }

    /// Compares the rows of an edge with its leader's and repairs differences. Takes as long as a traversal of every
    /// row.
    ///
    /// # Errors
    /// [`Error`], also if the node is not an edge or has no leader now.
    pub async fn verify(&self) -> Result<Verification, Error> {
        self.send(Call::new(http::Method::POST, "/v1/verify".to_owned())).await?.json()
    }

    /// Makes an edge adopt the log that it rejected last. `log` must name that log, if it is set.
    ///
    /// # Errors
    /// [`Error`], also if the node is not an edge, or has rejected no such log.
    pub async fn adopt(&self, log: Option<&str>) -> Result<OfferedLog, Error> {
        let query = log.map(|log| format!("?log={log}")).unwrap_or_default();
        self.send(Call::new(http::Method::POST, format!("/v1/adopt{query}"))).await?.json()
    }

    /// Returns whether the node should receive traffic. Sends one request, as not ready is an answer and not an error.
    ///
    /// # Errors
    /// [`Error`] if the node does not answer.
    pub async fn ready(&self) -> Result<Readiness, Error> {
        match self.attempt(&Call::get("/v1/ready")).await {
            Ok(_) => Ok(Readiness::Ready),
            Err(Error::Rejected(problem)) if problem.status == 503 => Ok(Readiness::NotReady(problem.detail)),
            Err(error) => Err(error),
        }
    }

    /// Waits until the node is ready, for at most `wait_max`.
    ///
    /// # Errors
    /// The last error if the node did not answer; [`Error::Rejected`] with its reason if it is not ready by then.
    pub async fn wait_ready(&self, wait_max: Duration) -> Result<(), Error> {
        const POLL: Duration = Duration::from_millis(20);
        let deadline = tokio::time::Instant::now() + wait_max;
        loop {
            let rejected = |detail: String| {
                let title = "not ready".to_owned();
                let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, code::NOT_READY, &detail);
                Error::Rejected(Problem { title, ..problem })
            };
            let error = match self.ready().await {
                Ok(Readiness::Ready) => return Ok(()),
                Ok(Readiness::NotReady(reason)) => rejected(reason),
                Err(error) if error.is_transient() => error,
                Err(error) => return Err(error),
            };
            if tokio::time::Instant::now() + POLL > deadline {
                return Err(error);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Returns the whole catalogue, as of one moment.
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

    /// Returns the metrics of the node, in the format of Prometheus.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn metrics(&self) -> Result<String, Error> {
        let answer = self.send(Call::get("/metrics")).await?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }
}
