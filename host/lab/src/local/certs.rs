//! Throwaway certificates for the nodes of a local cluster, so that it runs with TLS as production does.

use crate::failure::Failure;
use littoral_client::ClientFiles;
use littoral_tls::{
    Identity,
    ca::{Ca, LIFETIME, Leaf},
    files,
};
use std::{
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

/// The cluster's name in identities.
const CLUSTER: &str = "local";

/// The files of a node.
pub struct NodeFiles {
    /// Its certificate, with the key.
    pub cert: PathBuf,
    /// The trusted roots.
    pub trust: PathBuf,
}

/// The authority of a local cluster.
pub struct Certs {
    dir: PathBuf,
    ca: Ca,
}

impl Certs {
    /// Creates an authority in a directory, or opens the one that an earlier run has left there.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub fn create(dir: &Path) -> Result<Self, Failure> {
        let dir = std::path::absolute(dir)
            .map_err(|error| Failure::rejected(format!("cannot place certificates at {}: {error}", dir.display())))?;
        let ca = dir.join("ca");
        let ca = if ca.exists() { Ca::open(&ca) } else { Ca::init(&ca, CLUSTER) };
        Ok(Self { ca: ca.map_err(Failure::rejected)?, dir })
    }

    /// Returns the directory of the authority.
    pub fn ca_dir(&self) -> PathBuf {
        self.dir.join("ca")
    }

    /// Returns the files of clients that trust the cluster.
    pub fn client_files(&self) -> ClientFiles {
        ClientFiles { ca: Some(self.ca.trust_file()), ..ClientFiles::default() }
    }

    /// Issues a certificate to a node, and returns the section of its configuration. `at` is where clients connect.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn section(&self, role: &str, region: &str, name: &str, at: IpAddr) -> Result<String, Failure> {
        Ok(self.issue(role, region, name, at)?.section())
    }

    /// Issues a certificate to a node. `at` is where clients connect. Every node has its own copy of the roots, as on a
    /// host of its own.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn issue(&self, role: &str, region: &str, name: &str, at: IpAddr) -> Result<NodeFiles, Failure> {
        let identity = format!("littoral://{CLUSTER}/{region}/{role}/{name}");
        let identity: Identity = identity.parse().map_err(Failure::usage)?;
        let file = |what: &str| self.dir.join(format!("{region}-{role}-{name}.{what}.pem"));
        let (cert, trust) = (file("cert"), file("trust"));
        let leaf = Leaf {
            identity,
            dns_names: vec!["localhost".to_owned()],
            addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST), at],
            lifetime: LIFETIME,
        };
        let issued = self.ca.issue(&leaf).map_err(Failure::rejected)?;
        files::install(&cert, &cert, &issued).map_err(Failure::rejected)?;
        let copied = std::fs::copy(self.ca.trust_file(), &trust);
        copied.map_err(|error| Failure::rejected(format!("cannot write {}: {error}", trust.display())))?;
        Ok(NodeFiles { cert, trust })
    }
}

impl NodeFiles {
    /// Returns the section of the node's configuration.
    pub fn section(&self) -> String {
        let Self { cert, trust } = self;
        format!("[tls]\ncert = {cert:?}\ntrust = {trust:?}\nreload_ms = 200\nrenew_check_ms = 500\n")
    }
}
