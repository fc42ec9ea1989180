//! The cache of plans, by shape. All of them belong to one catalogue and are dropped when it changes.

use super::{Extra, Prepared, Shape, Wanted, resolve};
use crate::error::Error;
use hashbrown::HashMap;
use littoral_model::catalogue::Catalogue;
use parking_lot::RwLock;
use std::{cell::RefCell, sync::Arc};

/// The number of cached shapes. A service uses few: only a client that generates shapes reaches this.
const PLANS_MAX: usize = 4_096;

/// The number of columns of all cached plans together, which bounds their memory.
const OUTPUTS_MAX: usize = 200_000;

/// Longer shapes are resolved for each request.
const SHAPE_LEN_MAX: usize = 32 << 10;

/// Plans by shape.
pub(crate) struct Cache<X>(RwLock<Inner<X>>);

struct Inner<X> {
    catalogue: Arc<Catalogue>,
    plans: HashMap<Box<[u8]>, Arc<Prepared<X>>, foldhash::fast::RandomState>,
    outputs: usize,
}

thread_local! {
    static KEY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl<X> Default for Cache<X> {
    fn default() -> Self {
        Self(RwLock::new(Inner { catalogue: Arc::default(), plans: HashMap::default(), outputs: 0 }))
    }
}

impl<X: Extra> Cache<X> {
    /// Returns the plan of a shape under this catalogue.
    ///
    /// # Errors
    /// [`Error`], if the shape cannot be resolved.
    pub(crate) fn plan(&self, catalogue: &Arc<Catalogue>, shape: &Shape<'_>) -> Result<Arc<Prepared<X>>, Error> {
        KEY.with_borrow_mut(|key| {
            key.clear();
            shape.write(key);
            {
                let inner = self.0.read();
                // Not by generation: a recreated log counts from zero again.
                if Arc::ptr_eq(&inner.catalogue, catalogue)
                    && let Some(plan) = inner.plans.get(key.as_slice())
                {
                    return Ok(plan.clone());
                }
            }
            let plan = resolve::resolve(catalogue, shape)?;
            let (extra, outputs) = (X::derive(&plan, catalogue), plan.outputs.len());
            let plan = Arc::new(Prepared { plan, extra, catalogue: catalogue.clone() });
            if key.len() <= SHAPE_LEN_MAX {
                let mut inner = self.0.write();
                let full = inner.plans.len() >= PLANS_MAX || inner.outputs + outputs > OUTPUTS_MAX;
                if full || !Arc::ptr_eq(&inner.catalogue, catalogue) {
                    inner.plans.clear();
                    inner.outputs = 0;
                    inner.catalogue = catalogue.clone();
                }
                if inner.plans.insert(key.as_slice().into(), plan.clone()).is_none() {
                    inner.outputs += outputs;
                }
            }
            Ok(plan)
        })
    }
}

impl Shape<'_> {
    /// Writes the key of this shape. The byte 0xff is in no UTF-8 text.
    fn write(&self, key: &mut Vec<u8>) {
        let (kind, wanted) = match self.wanted {
            Wanted::Features(features) => (0, features),
            Wanted::Service(service) => (2, service),
        };
        key.push(kind | u8::from(self.full_names));
        key.extend_from_slice(wanted.as_bytes());
        for column in self.columns {
            key.push(0xff);
            key.extend_from_slice(column.as_bytes());
        }
    }
}
