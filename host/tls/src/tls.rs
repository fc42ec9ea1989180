//! A node's TLS: the state in force, its reload, and handshakes with it.

use crate::{
    Config, Error, Identity, PeerCertificate, PeerIdentity, Role, Stream, error::explain, material::Material,
    verify::presented,
};
use arc_swap::ArcSwap;
use littoral_runtime::WatchedFile;
use parking_lot::Mutex;
use rustls::{
    ClientConfig, ServerConfig,
    pki_types::{ServerName, UnixTime},
    sign::CertifiedKey,
};
use std::{fmt, io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, timeout},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;

/// The timeout of a handshake. A connection attempt has a shorter timeout of its own.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// A node's TLS. Cheap to clone; clones share the state, which follows the files.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    config: Config,
    state: ArcSwap<Material>,
    /// The files as they were before the first load.
    files: Vec<WatchedFile>,
    /// Held while the files are loaded, so that an older state never replaces a newer one.
    loading: Mutex<()>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.identity().to_string()).finish()
    }
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Tls {}

impl Tls {
    /// Loads the files of a configuration.
    ///
    /// # Errors
    /// When a file cannot be read or used, or the certificate is not valid now.
    pub fn load(config: &Config) -> Result<Self, Error> {
        // Before the files are read: a change in between is noticed later.
        let files = config.files().map(|file| WatchedFile::about_to_be_read(file.to_owned())).collect();
        let state = ArcSwap::from_pointee(Material::load(config)?);
        let tls = Self(Arc::new(Shared { config: config.clone(), state, files, loading: Mutex::default() }));
        tls.publish();
        Ok(tls)
    }

    /// Returns the node's identity.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.0.state.load().identity.clone()
    }

    /// Returns the node's certificate.
    #[must_use]
    pub fn certificate(&self) -> PeerCertificate {
        self.0.state.load().own.clone()
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }

    pub(crate) fn key(&self) -> Arc<CertifiedKey> {
        self.0.state.load().key.clone()
    }

    pub(crate) fn trust_digest(&self) -> String {
        self.0.state.load().trust_digest.clone()
    }

    pub(crate) fn trust_pem(&self) -> String {
        self.0.state.load().trust_pem.clone()
    }

    /// Loads the files again. Returns whether they differ from the state in force, which they then replace. Blocks for
    /// the disk.
    ///
    /// # Errors
    /// As [`Self::load`]; the last good state then stays in force.
    pub fn reload(&self) -> Result<bool, Error> {
        let _loading = self.0.loading.lock();
        let loaded = self.check(Material::load(&self.0.config)?)?;
        if loaded == **self.0.state.load() {
            return Ok(false);
        }
        self.0.state.store(Arc::new(loaded));
        self.publish();
        Ok(true)
    }

    /// Rejects files of another identity: a running node keeps its identity.
    fn check(&self, material: Material) -> Result<Material, Error> {
        let own = self.identity();
        if material.identity == own {
            return Ok(material);
        }
        let what = format!("it belongs to {}, but this node is {own}", material.identity);
        Err(Error::new(
            self.0.config.cert_file(),
            what,
            "install this node's certificate, or restart the node as another",
        ))
    }

    /// Reloads whenever the files have changed and are complete, or at once on SIGHUP, until `stop`.
    pub async fn watch(self, stop: CancellationToken) {
        let mut files = self.0.files.clone();
        let mut tick = tokio::time::interval(self.0.config.reload_every());
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut hangups = signal(SignalKind::hangup()).ok();
        loop {
            let hangup = async {
                match &mut hangups {
                    Some(hangups) => hangups.recv().await,
                    None => std::future::pending().await,
                }
            };
            let is_forced = tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => false,
                _ = hangup => true,
            };
            let tls = self.clone();
            let checked = tokio::task::spawn_blocking(move || {
                let changed = WatchedFile::take_any_change(&mut files);
                (files, if changed || is_forced { tls.reload() } else { Ok(false) })
            });
            // Loading does not panic; a runtime that shuts down ends this task.
            let Ok((checked, reloaded)) = checked.await else { return };
            files = checked;
            match reloaded {
                Ok(false) => {}
                Ok(true) => {
                    metrics::counter!("littoral_tls_reloads_total", "result" => "ok").increment(1);
                    let certificate = self.certificate();
                    let expires = crate::certificate::utc(certificate.not_after_s);
                    tracing::info!(identity = %self.identity(), issuer = certificate.issuer, expires, "certificates were reloaded");
                }
                Err(error) => {
                    metrics::counter!("littoral_tls_reloads_total", "result" => "rejected").increment(1);
                    tracing::error!(%error, "changed certificates were rejected; the last good ones stay in force");
                }
            }
        }
    }

    fn publish(&self) {
        let not_after = self.0.state.load().own.not_after_s;
        metrics::gauge!("littoral_tls_certificate_expiry_timestamp_seconds").set(not_after as f64);
    }

    /// Performs the handshake of a client at the door. Returns its certificate if it presented one.
    ///
    /// # Errors
    /// When the handshake fails; the error has the explanation of [`explain`].
    pub async fn accept_client<S>(&self, stream: S) -> io::Result<(Stream<S>, Option<PeerIdentity>)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let door = self.0.state.load().door.clone();
        self.accept("door", door, stream).await
    }

    /// Performs the handshake of a peer, which must present a certificate.
    ///
    /// # Errors
    /// As [`Self::accept_client`].
    pub async fn accept_peer<S>(&self, stream: S) -> io::Result<(Stream<S>, PeerIdentity)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let peers = self.0.state.load().peers.clone();
        let (stream, identity) = self.accept("peer", peers, stream).await?;
        Ok((stream, identity.ok_or_else(|| io::Error::other("the peer presented no certificate"))?))
    }

    async fn accept<S>(
        &self,
        listener: &'static str,
        config: Arc<ServerConfig>,
        stream: S,
    ) -> io::Result<(Stream<S>, Option<PeerIdentity>)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let result = async {
            let stream = within(TlsAcceptor::from(config).accept(stream)).await?;
            let identity = presented(stream.get_ref().1.peer_certificates(), &self.0.config.spiffe);
            Ok::<_, io::Error>((Stream::Tls(Box::new(stream.into())), identity.map_err(io::Error::other)?))
        };
        let accepted = result.await;
        let result = if accepted.is_ok() { "ok" } else { "failed" };
        metrics::counter!("littoral_tls_handshakes_total", "listener" => listener, "result" => result).increment(1);
        accepted
    }

    /// Performs the handshake with a peer listener, and checks that a leader of this node's cluster serves it. A node
    /// that is not a leader itself accepts a relay too.
    ///
    /// # Errors
    /// When the handshake fails or the node has another role or cluster.
    pub async fn connect_peer<S>(&self, address: &str, stream: S) -> io::Result<Stream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (config, own) = (self.0.state.load().to_peers.clone(), self.identity());
        let roles: &[Role] = if own.role == Role::Leader { &[Role::Leader] } else { &[Role::Leader, Role::Relay] };
        self.connect(config, address, stream, roles, None).await
    }

    /// Performs the handshake with a door, and checks that a leader, an edge or a relay of `region` in this node's
    /// cluster serves it.
    ///
    /// # Errors
    /// When the handshake fails or the node has another role, cluster or region.
    pub async fn connect_door<S>(&self, address: &str, region: &str, stream: S) -> io::Result<Stream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = self.0.state.load().to_doors.clone();
        let roles = [Role::Leader, Role::Edge, Role::Relay];
        self.connect(config, address, stream, &roles, Some(region)).await
    }

    async fn connect<S>(
        &self,
        config: Arc<ClientConfig>,
        address: &str,
        stream: S,
        roles: &[Role],
        region: Option<&str>,
    ) -> io::Result<Stream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = within(TlsConnector::from(config).connect(server_name(address)?, stream)).await?;
        let identity = presented(stream.get_ref().1.peer_certificates(), &self.0.config.spiffe);
        let other = identity.map_err(io::Error::other)?.and_then(|identity| identity.identity.clone());
        let own = self.identity();
        let Some(other) = other else {
            return Err(io::Error::other(
                "its certificate has no identity of Littoral; issue it one (`littoral certs issue`), or map its SPIFFE id",
            ));
        };
        let wrong = if other.cluster != own.cluster {
            format!("it is {other}, of another cluster than this node ({})", own.cluster)
        } else if !roles.contains(&other.role) {
            format!("it is {other}, and the role '{}' does not serve this", other.role)
        } else if region.is_some_and(|region| region != other.region) {
            format!("it is {other}, of another region than configured ({})", region.unwrap_or_default())
        } else {
            return Ok(Stream::Tls(Box::new(stream.into())));
        };
        Err(io::Error::other(format!("{wrong}; correct the address, or issue that node another certificate")))
    }
}

/// Returns the time until a certificate expires; zero if it has expired. A certificate is valid throughout its last
/// second.
#[must_use]
pub fn expires_in(certificate: &PeerCertificate) -> Duration {
    Duration::from_secs(certificate.not_after_s.saturating_add(1).saturating_sub(now_s()))
}

/// Returns the seconds since 1970, by the clock that rustls verifies dates with.
pub(crate) fn now_s() -> u64 {
    UnixTime::now().as_secs()
}

async fn within<T>(handshake: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match timeout(HANDSHAKE_MAX, handshake).await {
        Ok(result) => result.map_err(|error| io::Error::new(error.kind(), explain(&error))),
        Err(_) => {
            let text = format!("the other end did not complete the TLS handshake within {} s", HANDSHAKE_MAX.as_secs());
            Err(io::Error::new(io::ErrorKind::TimedOut, text))
        }
    }
}

/// Returns the host of an address `host:port`. TLS requires a server name, although a node is identified by its
/// certificate.
fn server_name(address: &str) -> io::Result<ServerName<'static>> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host.to_owned())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, format!("'{host}' is not a host's name: {error}")))
}
