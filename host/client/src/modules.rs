//! Calls about modules.

use crate::{ChangeReceipt, Client, Error, ModuleInfo, ModulePut, address::escape, call::Call};
use bytes::Bytes;
use http::Method;
use littoral_api::modules::Modules;
use std::time::Duration;

impl Client {
    /// Returns every module, by name.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn modules(&self) -> Result<Vec<ModuleInfo>, Error> {
        let all: Modules = self.send(Call::get("/v1/modules")).await?.json()?;
        Ok(all.modules)
    }

    /// Returns the module of this name.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] if there is none.
    pub async fn module(&self, name: &str) -> Result<ModuleInfo, Error> {
        let module: ModuleInfo = self.send(Call::get(format!("/v1/modules/{}", escape(name)))).await?.json()?;
        Ok(ModuleInfo { name: name.to_owned(), ..module })
    }

    /// Uploads a component as the new release of module `name`.
    ///
    /// # Errors
    /// [`Error`], with the node's reason if it rejects the component.
    pub async fn put_module(&self, name: &str, release: &str, component: Bytes) -> Result<ModulePut, Error> {
        self.put_module_and_wait(name, release, component, Duration::ZERO).await
    }

    /// Like [`Client::put_module`], and waits until every connected edge can call the release, for at most `wait_max`.
    ///
    /// # Errors
    /// [`Error`], with the node's reason if it rejects the component.
    pub async fn put_module_and_wait(
        &self,
        name: &str,
        release: &str,
        component: Bytes,
        wait_max: Duration,
    ) -> Result<ModulePut, Error> {
        // Nodes of older builds expect `version`.
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
