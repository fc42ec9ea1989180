//! Opens a store by its address: `dir:/path` or a path, `s3://bucket/prefix`, `etcd://host:port,host:port/prefix`.

use super::{
    LeaseStore, directory,
    etcd::{Etcd, InvalidEndpoints},
    guarded::{Guarded, Memory},
    object::Object,
    slots::Retention,
};
use crate::{clock::Clock, timing::Timing};
use littoral_model::url::without_user;
use object_store::{
    BackoffConfig, ClientConfigKey, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    path::Path as Key,
};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The object's name under an S3 prefix.
const OBJECT: &str = "lease.json";

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is invalid.
    #[error("invalid lease store '{0}': write dir:/PATH, s3://BUCKET/PREFIX or etcd://HOST:PORT,HOST:PORT/PREFIX")]
    Address(String),
    /// The address contains a user name or a password.
    #[error("lease store {0}: it has a user name, which is not supported; restrict access to etcd by its network")]
    User(String),
    /// The directory cannot be used.
    #[error("lease store directory {path}: {source}; make it writable, or configure another")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The object store's settings are inconsistent.
    #[error("lease store {address}: {source}; see the AWS_* variables of the environment")]
    Object {
        /// The address.
        address: String,
        /// The cause.
        source: object_store::Error,
    },
    /// The file with the store's identity cannot be read.
    #[error(
        "{path}, which has the identity of the lease store: {source}; if it is damaged, remove it while another member leads"
    )]
    Memory {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The endpoints of etcd cannot be used.
    #[error(transparent)]
    Etcd(#[from] InvalidEndpoints),
}

/// A parsed address.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Address<'a> {
    Directory(&'a str),
    Object { bucket: &'a str, prefix: &'a str },
    Etcd { hosts: &'a str, prefix: &'a str },
}

impl<'a> Address<'a> {
    fn parse(address: &'a str) -> Result<Self, OpenError> {
        let invalid = || OpenError::Address(without_user(address));
        let parts = |rest: &'a str| rest.strip_prefix("//").and_then(|rest| rest.split_once('/')).ok_or_else(invalid);
        match address.split_once(':') {
            Some(("s3", rest)) => match parts(rest)? {
                ("", _) => Err(invalid()),
                (bucket, prefix) => Ok(Self::Object { bucket, prefix }),
            },
            Some(("etcd", rest)) => match parts(rest)? {
                (_, "") => Err(invalid()),
                (hosts, _) if hosts.contains('@') => Err(OpenError::User(without_user(address))),
                (hosts, prefix) => Ok(Self::Etcd { hosts, prefix }),
            },
            Some(("dir", "")) => Err(invalid()),
            Some(("dir", path)) => Ok(Self::Directory(path)),
            Some((scheme, _)) if !scheme.contains('/') => Err(invalid()),
            _ if address.is_empty() => Err(invalid()),
            _ => Ok(Self::Directory(address)),
        }
    }
}

/// Checks the form of an address; opens nothing.
///
/// # Errors
/// [`OpenError::Address`], [`OpenError::User`].
pub fn check(address: &str) -> Result<(), OpenError> {
    Address::parse(address).map(drop)
}

/// Opens the store at this address, with S3's endpoint, region and keys from the `AWS_*` variables of the environment.
/// Its identity is remembered in the file `memory`.
///
/// # Errors
/// [`OpenError`].
pub fn from_environment(
    address: &str,
    timing: &Timing,
    clock: Clock,
    memory: PathBuf,
) -> Result<Arc<dyn LeaseStore>, OpenError> {
    open(address, timing, clock, AmazonS3Builder::from_env(), Some(memory))
}

/// Opens the store at this address, with S3's endpoint, region and keys from `s3`. Its identity is remembered in the
/// file `memory`; without one, only while the store is open.
///
/// # Errors
/// [`OpenError`].
pub fn open(
    address: &str,
    timing: &Timing,
    clock: Clock,
    s3: AmazonS3Builder,
    memory: Option<PathBuf>,
) -> Result<Arc<dyn LeaseStore>, OpenError> {
    let memory = memory.map(|path| Memory { path, address: address.to_owned() });
    let recalled = memory
        .as_ref()
        .map(|memory| memory.recall().map_err(|source| OpenError::Memory { path: memory.path.clone(), source }));
    let known = recalled.transpose()?.flatten();
    let inner = unguarded(address, timing, clock, s3, known.is_some())?;
    Ok(Arc::new(Guarded::new(inner, known, memory)))
}

/// Opens the store without its guard. A store that was `used` before is not created if it is missing.
fn unguarded(
    address: &str,
    timing: &Timing,
    clock: Clock,
    s3: AmazonS3Builder,
    used: bool,
) -> Result<Arc<dyn LeaseStore>, OpenError> {
    match Address::parse(address)? {
        Address::Object { bucket, prefix } => {
            let failed = |source| OpenError::Object { address: address.to_owned(), source };
            let store = configured(s3, timing).with_bucket_name(bucket).build().map_err(failed)?;
            Ok(Arc::new(Object::at(Arc::new(store), Key::from(prefix).join(OBJECT))))
        }
        Address::Etcd { hosts, prefix } => {
            let url = |host: &str| if host.contains("://") { host.to_owned() } else { format!("http://{host}") };
            let endpoints: Vec<String> = hosts.split(',').filter(|host| !host.is_empty()).map(url).collect();
            Ok(Arc::new(Etcd::at(&endpoints, prefix, timing.request_timeout / 2)?))
        }
        Address::Directory(path) if used => {
            Ok(Arc::new(directory::open_used(Path::new(path), clock, Retention::DEFAULT)))
        }
        Address::Directory(path) => in_directory(path.into(), clock),
    }
}

fn in_directory(path: PathBuf, clock: Clock) -> Result<Arc<dyn LeaseStore>, OpenError> {
    let opened = directory::open(&path, clock).map_err(|source| OpenError::Directory { path, source })?;
    Ok(Arc::new(opened))
}

/// Limits the retries of S3's client: a result that arrives after the election's timeout is useless.
fn configured(s3: AmazonS3Builder, timing: &Timing) -> AmazonS3Builder {
    tls();
    let backoff =
        BackoffConfig { init_backoff: timing.request_timeout / 16, max_backoff: timing.request_timeout / 8, base: 2.0 };
    let retry = RetryConfig { backoff, max_retries: 2, retry_timeout: timing.request_timeout };
    let timeout = format!("{} ms", timing.request_timeout.as_millis().max(1));
    s3.with_retry(retry)
        .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), &timeout)
        .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::ConnectTimeout), &timeout)
}

/// Installs the process's TLS provider, unless there is one.
pub(super) fn tls() {
    // An error means that one is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn opened(address: &str) -> Result<Arc<dyn LeaseStore>, OpenError> {
        open(address, &Timing::DEFAULT, clock::system(), AmazonS3Builder::new(), None)
    }

    #[test]
    fn an_address_names_its_store() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lease");
        for address in [format!("dir:{}", path.display()), path.display().to_string()] {
            assert!(opened(&address).unwrap().name().starts_with("lease directory /"), "{address}");
        }
        let etcd = opened("etcd://a:1,b:2/littoral/eu").unwrap();
        assert_eq!(etcd.name(), "etcd at http://a:1,http://b:2 under littoral/eu");
        assert!(opened("s3://bucket/leases/eu").unwrap().name().ends_with("leases/eu/lease.json"));
    }

    #[test]
    fn invalid_addresses_are_named() {
        for address in
            ["", "dir:", "ftp://a/b", "s3:/bucket", "s3://bucket", "s3:///prefix", "etcd://a:1", "etcd://a:1/"]
        {
            assert!(check(address).is_err(), "{address}");
            let error = opened(address).err().unwrap_or_else(|| panic!("{address} was accepted"));
            assert!(error.to_string().contains("dir:/PATH"), "{address}: {error}");
        }
        let error = opened("etcd://user:password@a:1,b:2/x").err().unwrap().to_string();
        assert!(error.contains("user name") && error.contains("b:2/x") && !error.contains("password"), "{error}");
        assert!(opened("etcd:///prefix").err().unwrap().to_string().contains("no endpoint"));
    }
}
