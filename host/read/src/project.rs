//! A node as the requests of one project see it: only the project's definitions, under their names inside it.
//!
//! Rows are read by the IDs of views, which are the same inside and outside of projects. So names are the only
//! thing that changes, for requests and for modules' lookups alike.

use littoral_model::{
    catalogue::Catalogue,
    ports::{BoxFuture, FeatureReader},
    project::ProjectName,
    read::{ReadAnswer, ReadError, ReadRequest},
    region::Region,
};
use parking_lot::RwLock;
use std::sync::Arc;

/// The reader of one project.
pub struct ProjectReader {
    node: Arc<dyn FeatureReader>,
    project: ProjectName,
    current: RwLock<Current>,
}

#[derive(Default)]
struct Current {
    /// The node's catalogue.
    whole: Arc<Catalogue>,
    /// The part of it that belongs to the project.
    within: Arc<Catalogue>,
}

impl ProjectReader {
    /// Creates the reader of a project of this node.
    #[must_use]
    pub fn new(node: Arc<dyn FeatureReader>, project: ProjectName) -> Self {
        Self { node, project, current: RwLock::default() }
    }
}

impl FeatureReader for ProjectReader {
    fn catalogue(&self) -> Arc<Catalogue> {
        let whole = self.node.catalogue();
        // Nothing is copied, and nothing is shared between threads, for a user who needs only one project.
        if self.project.is_default() && !whole.has_projects() {
            return whole;
        }
        {
            let current = self.current.read();
            if Arc::ptr_eq(&current.whole, &whole) {
                return current.within.clone();
            }
        }
        let mut current = self.current.write();
        // Another request may have done it in the meantime.
        if !Arc::ptr_eq(&current.whole, &whole) {
            *current = Current { within: Arc::new(whole.within(&self.project)), whole };
        }
        current.within.clone()
    }

    fn is_catalogue(&self, known: &Arc<Catalogue>) -> bool {
        if self.node.is_catalogue(known) {
            return true;
        }
        let current = self.current.read();
        Arc::ptr_eq(&current.within, known) && self.node.is_catalogue(&current.whole)
    }

    fn is_held_back(&self, module: &str) -> bool {
        self.node.is_held_back(module)
    }

    fn regions(&self) -> Vec<Region> {
        self.node.regions()
    }

    fn read_local(&self, request: &ReadRequest, answer: &mut ReadAnswer) -> bool {
        self.node.read_local(request, answer)
    }

    fn read<'a>(&'a self, request: &'a ReadRequest) -> BoxFuture<'a, Result<ReadAnswer, ReadError>> {
        self.node.read(request)
    }
}
