//! The client of a node: its address, its settings, and its pool of connections.

use crate::{Config, Error, ProjectName, address::Address};
use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use littoral_tls::client_config;
use std::{sync::Arc, time::Duration};

/// A client of one node. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) address: Address,
    pub(crate) config: Config,
    pub(crate) pool: Pool<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Client {
    /// Creates a client of the node at `url`. Does not connect yet.
    ///
    /// # Errors
    /// [`Error::Address`], [`Error::Tls`].
    pub fn new(url: &str, config: Config) -> Result<Self, Error> {
        let address = Address::parse(url, config.tls.ca.is_some())?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_millis(config.connect_timeout_ms.max(1))));
        let connector = match address.is_https() {
            true => {
                connector.enforce_http(false);
                let tls = client_config(&config.tls).map_err(|error| Error::Tls(error.to_string()))?;
                HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().wrap_connector(connector)
            }
            false => HttpsConnectorBuilder::new()
                .with_tls_config(
                    littoral_tls::untrusting_client_config().map_err(|error| Error::Tls(error.to_string()))?,
                )
                .https_or_http()
                .enable_http1()
                .wrap_connector(connector),
        };
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(16)
            .build(connector);
        Ok(Self { inner: Arc::new(Inner { address, config, pool }) })
    }

    /// Returns a client of the same node, for the definitions of this project.
    #[must_use]
    pub fn in_project(&self, project: ProjectName) -> Self {
        let Inner { address, config, pool } = &*self.inner;
        let config = Config { project: Some(project), ..config.clone() };
        Self { inner: Arc::new(Inner { address: address.clone(), config, pool: pool.clone() }) }
    }

    /// Returns the project of the calls, if one is configured.
    #[must_use]
    pub fn project_name(&self) -> Option<&ProjectName> {
        self.inner.config.project.as_ref()
    }

    /// Returns the address of the node.
    #[must_use]
    pub fn url(&self) -> &str {
        self.inner.address.as_str()
    }
}
