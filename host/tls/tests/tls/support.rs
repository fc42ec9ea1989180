//! A private CA in a directory, nodes with certificates of it, and connections between them.

use littoral_tls::{
    Config, Identity, Mapping, PeerIdentity, Stream, Tls,
    ca::{Ca, Issued, LIFETIME, Leaf},
    files,
};
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

pub(crate) struct Authority {
    pub(crate) dir: TempDir,
    pub(crate) ca: Ca,
}

/// A node's files.
pub(crate) struct Node {
    pub(crate) config: Config,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::of("prod")
    }

    pub(crate) fn of(cluster: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = Ca::init(&dir.path().join("ca"), cluster).unwrap();
        Self { dir, ca }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn issue(&self, identity: &str, lifetime: Duration) -> Issued {
        let identity: Identity = identity.parse().unwrap();
        let leaf = Leaf {
            identity,
            dns_names: vec!["localhost".to_owned()],
            addresses: vec!["127.0.0.1".parse().unwrap()],
            lifetime,
        };
        self.ca.issue(&leaf).unwrap()
    }

    /// Issues a certificate into one file, and configures a node with it.
    pub(crate) fn node(&self, identity: &str) -> Node {
        let identity: Identity = identity.parse().unwrap();
        let file = self.path(&format!("{}-{}-{}.pem", identity.region, identity.role, identity.name));
        files::install(&file, &file, &self.issue(&identity.to_string(), LIFETIME)).unwrap();
        Node::of(&file, &file, &self.ca.trust_file())
    }
}

impl Node {
    pub(crate) fn of(cert: &Path, key: &Path, trust: &Path) -> Self {
        let config = Config {
            cert: Some(cert.to_owned()),
            key: Some(key.to_owned()),
            trust: Some(trust.to_owned()),
            reload_ms: 10,
            renew_check_ms: 20,
            ..Config::default()
        };
        Self { config }
    }

    pub(crate) fn mapping(mut self, id: &str, identity: &str) -> Self {
        self.config.spiffe.push(Mapping { id: id.to_owned(), identity: identity.to_owned() });
        self
    }

    pub(crate) fn load(&self) -> Tls {
        Tls::load(&self.config).unwrap()
    }

    /// Returns why the files are rejected.
    pub(crate) fn rejected(&self) -> String {
        Tls::load(&self.config).unwrap_err().to_string()
    }
}

/// Both ends of a connection from a node to a peer listener.
pub(crate) type Connected = (io::Result<Stream<DuplexStream>>, io::Result<(Stream<DuplexStream>, PeerIdentity)>);

/// Connects one node to another's peer listener.
pub(crate) async fn connect(from: &Tls, to: &Tls) -> Connected {
    let (ours, theirs) = duplex(64 << 10);
    let connecting = async {
        let mut stream = from.connect_peer("127.0.0.1:1", ours).await?;
        // In TLS 1.3 the client learns only now whether its certificate was accepted.
        stream.write_all(b"x").await?;
        stream.flush().await?;
        let mut answer = [0];
        stream.read_exact(&mut answer).await.map_err(|error| io::Error::other(littoral_tls::explain(&error)))?;
        Ok(stream)
    };
    let accepting = async {
        let (mut stream, identity) = to.accept_peer(theirs).await?;
        let mut request = [0];
        stream.read_exact(&mut request).await?;
        stream.write_all(b"y").await?;
        stream.flush().await?;
        Ok((stream, identity))
    };
    tokio::join!(connecting, accepting)
}
