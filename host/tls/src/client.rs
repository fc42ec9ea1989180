//! TLS of clients that are not nodes, such as commands.

use crate::{Error, error::explain_tls, files};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{PrivateKeyDer, pem::PemObject as _},
};
use serde::Deserialize;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// The files of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientFiles {
    /// The trusted roots as PEM. Default: the system's.
    pub ca: Option<PathBuf>,
    /// The client's certificate chain as PEM, where a node requires one. Default: none.
    pub cert: Option<PathBuf>,
    /// The certificate's key as PEM. Default: in the file of `cert`.
    pub key: Option<PathBuf>,
}

/// Returns the configuration of a client's connections, which verify the name of the host.
///
/// # Errors
/// When a file cannot be used.
pub fn client_config(client: &ClientFiles) -> Result<ClientConfig, Error> {
    let roots = match &client.ca {
        Some(path) => files::roots(path)?.0,
        None => system_roots(),
    };
    let place = client.cert.as_deref().unwrap_or(Path::new("(client)"));
    let unusable = |error: rustls::Error| Error::new(place, explain_tls(&error), "use another certificate");
    let builder = ClientConfig::builder_with_provider(files::provider()).with_safe_default_protocol_versions();
    let builder = builder.map_err(unusable)?.with_root_certificates(Arc::new(roots));
    let Some(cert) = &client.cert else { return Ok(builder.with_no_client_auth()) };
    let chain = files::certificates(cert)?;
    let key = client.key.as_ref().unwrap_or(cert);
    let parsed = PrivateKeyDer::from_pem_slice(files::read(key)?.as_bytes()).map_err(|error| {
        Error::new(key, format!("it has no private key: {error}"), "write the key as PEM (PKCS #8)")
    })?;
    builder.with_client_auth_cert(chain, parsed).map_err(unusable)
}

/// Returns the configuration of a client that trusts no root: it can only connect without TLS.
///
/// # Errors
/// When the cryptography cannot be set up.
pub fn untrusting_client_config() -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(files::provider()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| Error::new(Path::new("(client)"), error.to_string(), "report this"))?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in found.errors {
        tracing::debug!(%error, "a root certificate of the system cannot be used");
    }
    roots.add_parsable_certificates(found.certs);
    roots
}
