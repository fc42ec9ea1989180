//! Modules at a member that did not take their upload: it has their components by their records, and makes them ready.

use super::Part;
use crate::shared::Shared;
use littoral_model::catalogue::Catalogue;

impl Part {
    /// Has what the catalogue names ready to be called, in the background.
    pub(crate) fn prepare_modules(&self, shared: &Shared, catalogue: &Catalogue) {
        for module in catalogue.modules() {
            let (digest, name) = (module.digest, module.name.clone());
            if shared.runtime.is_ready(digest) {
                continue;
            }
            let (modules, sandbox) = (shared.modules.clone(), shared.runtime.clone());
            self.runtime.spawn(async move {
                let loaded = tokio::task::spawn_blocking(move || modules.load(digest)).await;
                let prepared = match loaded {
                    Ok(Ok(component)) => sandbox.prepare(digest, component).await.map_err(|error| error.to_string()),
                    Ok(Err(error)) => Err(error.to_string()),
                    Err(error) => Err(error.to_string()),
                };
                if let Err(error) = prepared {
                    tracing::error!(module = name, %digest, error, "a module cannot be called at this member yet");
                }
            });
        }
    }
}
