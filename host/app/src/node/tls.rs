//! A node's certificate: loading, checking that it is this node's, and renewal at its peers.

use crate::{failure::Failure, node::process::Tasks};
use bytes::Bytes;
use littoral_feed::{
    client::{self, Config},
    server::Shared,
    source::Certifier,
};
use littoral_model::ports::BoxFuture;
use littoral_runtime::TaskKind;
use littoral_tls::{
    Role, Tls,
    ca::Signer,
    renewal::{self, Request},
};
use std::{convert::Infallible, sync::Arc};

/// How long a peer may take to connect and to answer a request for a certificate, in milliseconds.
const CERTIFIER_MS: u64 = 5_000;

/// Loads the certificate, if the configuration names one.
///
/// # Errors
/// When a file cannot be used, or the certificate is not valid now.
pub fn load(config: &littoral_tls::Config) -> Result<Option<Tls>, Failure> {
    config.is_on().then(|| Tls::load(config).map_err(|error| Failure::usage(format!("[tls]: {error}")))).transpose()
}

/// The identity that a node's certificate must have, according to the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The roles of which it may have one.
    pub roles: &'a [Role],
    /// Its name.
    pub name: &'a str,
    /// Its region, if the configuration states one.
    pub region: Option<&'a str>,
}

/// Checks that the certificate belongs to this node.
///
/// # Errors
/// When it states another role, name or region than the configuration.
pub fn check(tls: Option<&Tls>, expected: Expected<'_>) -> Result<(), Failure> {
    let Some(identity) = tls.map(Tls::identity) else { return Ok(()) };
    let Expected { roles, name, region } = expected;
    let wrong = if !roles.contains(&identity.role) {
        let roles: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
        format!("this node needs the role {}", roles.join(" or "))
    } else if identity.name != name {
        format!("this node is named '{name}'")
    } else if let Some(region) = region.filter(|region| *region != identity.region) {
        format!("this node is in region '{region}'")
    } else {
        return Ok(());
    };
    Err(Failure::usage(format!(
        "tls.cert belongs to {identity}, but {wrong}; issue another with `littoral certs issue`, or correct the configuration"
    )))
}

/// Signs requests for certificates with the CA, or forwards them to peers.
pub struct Certifiers {
    signer: Option<Arc<Signer>>,
    peers: Config,
}

impl Certifiers {
    /// Creates the certifiers of a node. `peers` are the addresses of nodes that the configuration names for other
    /// purposes; they are used unless `tls.renew` is set.
    ///
    /// # Errors
    /// When the CA cannot be used.
    pub fn new(tls: &Tls, config: &littoral_tls::Config, peers: Vec<String>) -> Result<Arc<Self>, Failure> {
        let open =
            |dir| Signer::open(dir, None).map(Arc::new).map_err(|error| Failure::usage(format!("tls.ca: {error}")));
        let signer = config.ca.as_deref().map(open).transpose()?;
        let addresses = if config.renew.is_empty() { peers } else { config.renew.clone() };
        let peers = Config {
            leader: addresses,
            connect_timeout_ms: CERTIFIER_MS,
            call_timeout_ms: CERTIFIER_MS,
            tls: Some(tls.clone()),
            ..Config::default()
        };
        Ok(Arc::new(Self { signer, peers }))
    }

    async fn answer(&self, request: Bytes) -> Result<Bytes, String> {
        let decoded = Request::decode(&request)?;
        match self.signer.clone() {
            Some(signer) => {
                let signed = tokio::task::spawn_blocking(move || signer.answer(&decoded)?.encode());
                signed.await.map_err(|error| error.to_string())?.map(Bytes::from)
            }
            None => self.forward(Bytes::from(decoded.forwarded()?)).await,
        }
    }

    async fn forward(&self, request: Bytes) -> Result<Bytes, String> {
        let mut last =
            "no peer signs certificates for this node; set tls.renew to the peer address of one that does".to_owned();
        for address in &self.peers.leader {
            let answer = async {
                let calls = client::connect_calls(address, &self.peers).await.map_err(|error| error.to_string())?;
                calls.certify(request.clone()).await.map_err(|error| error.to_string())?
            };
            match answer.await {
                Ok(reply) => return Ok(reply),
                Err(reason) => last = format!("{address}: {reason}"),
            }
        }
        Err(last)
    }
}

impl Certifier for Certifiers {
    fn certify(&self, request: Bytes) -> BoxFuture<'_, Result<Bytes, String>> {
        Box::pin(self.answer(request))
    }
}

/// Renews the node's certificate and its trusted roots while the node runs. Returns the certifiers, which also answer
/// requests of the node's peers; `None` without TLS.
///
/// # Errors
/// When the CA cannot be used.
pub fn renew(
    tasks: &mut Tasks,
    config: &littoral_tls::Config,
    peers: Vec<String>,
) -> Result<Option<Arc<Certifiers>>, Failure> {
    let Some(tls) = tasks.tls.clone() else { return Ok(None) };
    let certifiers = Certifiers::new(&tls, config, peers)?;
    let (own, stop) = (certifiers.clone(), tasks.supervisor.token(TaskKind::Housekeeping));
    tasks.supervisor.spawn(TaskKind::Housekeeping, "certificate renewal", async move {
        let ask = |request: Vec<u8>| {
            let own = own.clone();
            async move { own.answer(Bytes::from(request)).await.map(|reply| reply.to_vec()) }
        };
        renewal::keep(tls, ask, stop).await;
        Ok::<_, Infallible>(())
    });
    Ok(Some(certifiers))
}

/// Requires TLS of a peer listener's connections if the node uses it, and lets the listener answer requests for
/// certificates.
pub fn secured(shared: Shared, tls: Option<&Tls>, certifiers: Option<Arc<Certifiers>>) -> Shared {
    let shared = match tls {
        Some(tls) => shared.with_tls(tls.clone()),
        None => shared,
    };
    match certifiers {
        Some(certifiers) => shared.with_certifier(certifiers),
        None => shared,
    }
}
