//! Modules.

use crate::{ChangeReceipt, Client, Error, address::escape, call::Call};
use bytes::Bytes;
use http::Method;
use littoral_model::module::{ModuleDigest, ModuleManifest};
use serde::{Deserialize, Deserializer, Serialize};
use std::time::Duration;

/// A module under its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleInfo {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// The release.
    #[serde(default)]
    pub version: String,
    /// The component's content address, as 64 hexadecimal digits.
    #[serde(deserialize_with = "digest")]
    pub digest: String,
    /// The component's size in bytes.
    #[serde(default)]
    pub size: u64,
    /// What it declares.
    pub manifest: ModuleManifest,
}

/// What became of an uploaded module.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ModulePut {
    /// The component's content address, as 64 hexadecimal digits.
    #[serde(deserialize_with = "digest")]
    pub digest: String,
    /// What it declares.
    pub manifest: ModuleManifest,
    /// Where the release stands in the log.
    #[serde(flatten)]
    pub receipt: ChangeReceipt,
    /// Which edges can call it, as far as was waited for.
    #[serde(default)]
    pub edges: Edges,
}

/// How many of the edges that follow a node can call a release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edges {
    /// Those that can.
    pub ready: u64,
    /// All that are connected.
    pub of: u64,
}

/// A digest as text or as its bytes.
fn digest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Text(String),
        Bytes(ModuleDigest),
    }
    Ok(match Form::deserialize(deserializer)? {
        Form::Text(text) => text,
        Form::Bytes(digest) => digest.to_string(),
    })
}

impl Client {
    /// Every module, by name.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn modules(&self) -> Result<Vec<ModuleInfo>, Error> {
        #[derive(Deserialize)]
        struct All {
            modules: Vec<ModuleInfo>,
        }
        let all: All = self.send(Call::get("/v1/modules")).await?.json()?;
        Ok(all.modules)
    }

    /// The module of this name.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] when there is none.
    pub async fn module(&self, name: &str) -> Result<ModuleInfo, Error> {
        let module: ModuleInfo = self.send(Call::get(format!("/v1/modules/{}", escape(name)))).await?.json()?;
        Ok(ModuleInfo { name: name.to_owned(), ..module })
    }

    /// Uploads a component and makes it the release that `name` means.
    ///
    /// # Errors
    /// [`Error`], with the node's reason when the component is refused.
    pub async fn put_module(&self, name: &str, release: &str, component: Bytes) -> Result<ModulePut, Error> {
        self.put_module_and_wait(name, release, component, Duration::ZERO).await
    }

    /// The same, and waits until every edge that follows the node can call it, but at most so long.
    ///
    /// # Errors
    /// [`Error`], with the node's reason when the component is refused.
    pub async fn put_module_and_wait(
        &self,
        name: &str,
        release: &str,
        component: Bytes,
        wait_max: Duration,
    ) -> Result<ModulePut, Error> {
        // Nodes of older builds know a release as `version`.
        let release = escape(release);
        let mut path = format!("/v1/modules/{}?release={release}&version={release}", escape(name));
        if !wait_max.is_zero() {
            path.push_str(&format!("&wait_ms={}", wait_max.as_millis()));
        }
        self.send(Call::new(Method::PUT, path).content("application/wasm", component)).await?.json()
    }

    /// Drops a module.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn drop_module(&self, name: &str) -> Result<ChangeReceipt, Error> {
        self.send(Call::new(Method::DELETE, format!("/v1/modules/{}", escape(name)))).await?.json()
    }
}
