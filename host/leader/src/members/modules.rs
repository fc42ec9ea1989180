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
                if let Err(error) = modules.make_ready(&*sandbox, digest).await {
                    tracing::error!(module = name, %digest, error, "a module cannot be called at this member yet");
                }
            });
        }
    }
}
