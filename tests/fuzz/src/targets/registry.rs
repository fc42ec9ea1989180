//! Feast's registry files.

use super::check_words;
use crate::{
    Target,
    corpus::{files, fixtures},
};
use littoral_feast_registry::Plan;
use littoral_model::catalogue::{Catalogue, CatalogueChange};

pub(super) const TARGET: Target = Target {
    name: "registry",
    run: registry,
    seeds: || files(fixtures().join("feast/registry"), ".db"),
    memory: (4 << 20, 1_024),
};

/// A registry yields a plan, the same each time, whose changes the catalogue accepts or rejects with a text.
fn registry(bytes: &[u8]) {
    match Plan::read(bytes, None) {
        Err(error) => check_words(&error.to_string()),
        Ok(plan) => {
            assert_eq!(Plan::read(bytes, Some(&plan.project)).ok().as_ref(), Some(&plan));
            let mut catalogue = Catalogue::default();
            let views = plan.views.into_iter().map(CatalogueChange::from);
            let sources = plan.push_sources.into_iter().map(CatalogueChange::from);
            for change in views.chain(sources).chain(plan.services.into_iter().map(CatalogueChange::from)) {
                match catalogue.prepare(change) {
                    Ok(Some(change)) => catalogue.apply(&change),
                    Ok(None) => {}
                    Err(error) => check_words(&error.to_string()),
                }
            }
        }
    }
}
