//! Plans that were made, by shape. All of them belong to one catalogue and go when it changes.

use super::{Plan, Shape, Wanted, resolve};
use crate::failure::Failure;
use hashbrown::HashMap;
use littoral_model::catalogue::Catalogue;
use parking_lot::RwLock;
use std::{cell::RefCell, sync::Arc};

/// Shapes that are remembered. A service asks in few; more than this come from a client that makes them up.
const PLANS_MAX: usize = 4_096;

/// Columns of all remembered plans together: what their memory goes by.
const OUTPUTS_MAX: usize = 200_000;

/// Longer shapes are planned anew every time.
const SHAPE_LEN_MAX: usize = 32 << 10;

/// Plans by shape.
#[derive(Default)]
pub(crate) struct Cache(RwLock<Inner>);

#[derive(Default)]
struct Inner {
    catalogue: Arc<Catalogue>,
    plans: HashMap<Box<[u8]>, Arc<Plan>, foldhash::fast::RandomState>,
    outputs: usize,
}

thread_local! {
    static KEY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Cache {
    /// The plan of a shape under this catalogue.
    ///
    /// # Errors
    /// What the request asks for in vain.
    pub(crate) fn plan(&self, catalogue: &Arc<Catalogue>, shape: &Shape<'_>) -> Result<Arc<Plan>, Failure> {
        KEY.with_borrow_mut(|key| {
            key.clear();
            shape.write(key);
            {
                let inner = self.0.read();
                // Not by generation: a log that was begun anew counts from zero again.
                if Arc::ptr_eq(&inner.catalogue, catalogue)
                    && let Some(plan) = inner.plans.get(key.as_slice())
                {
                    return Ok(plan.clone());
                }
            }
            let plan = Arc::new(resolve::resolve(catalogue, shape)?);
            if key.len() <= SHAPE_LEN_MAX {
                let mut inner = self.0.write();
                let full = inner.plans.len() >= PLANS_MAX || inner.outputs + plan.outputs.len() > OUTPUTS_MAX;
                if full || !Arc::ptr_eq(&inner.catalogue, catalogue) {
                    inner.plans.clear();
                    inner.outputs = 0;
                    inner.catalogue = catalogue.clone();
                }
                if inner.plans.insert(key.as_slice().into(), plan.clone()).is_none() {
                    inner.outputs += plan.outputs.len();
                }
            }
            Ok(plan)
        })
    }
}

impl Shape<'_> {
    /// Writes what tells this shape from others. 0xff is in no UTF-8 text.
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
