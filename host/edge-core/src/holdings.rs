//! The views that an edge holds, and its memory budgets.

use littoral_model::{
    catalogue::Catalogue,
    mutation::{Mutation, active},
    project::Receiver,
    region::Region,
    view::{FeatureView, ViewId},
};
use littoral_protocol::frame::Views;
use serde::Deserialize;
use std::collections::BTreeMap;

/// How much of a view an edge holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ViewMode {
    /// Every row.
    #[default]
    Full,
    /// The rows that were read, within the memory budget for resident views.
    Resident,
}

/// How an edge holds a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holding {
    /// Every row.
    Full,
    /// The rows that were read.
    Resident,
    /// Nothing, because the view is not followed and no feed would keep its rows fresh.
    Elsewhere,
    /// Nothing, because a residency rule keeps its rows out of the edge's region. Rows of it that arrive anyway are
    /// discarded.
    Outside,
}

/// The views to hold, and the memory budgets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holdings {
    /// The region of the edge. An edge without one holds no rows under a residency rule.
    pub region: Option<Region>,
    /// The views to follow, by name, including views created later; `None` for all.
    pub follow: Option<Vec<String>>,
    /// How much is held of a view that `views` does not list.
    pub view_mode: ViewMode,
    /// How much is held of each listed view, by name.
    pub views: BTreeMap<String, ViewMode>,
    /// The memory budget for rows of full views, in bytes. When they exceed it, the largest view
    /// becomes resident.
    pub full_bytes_max: u64,
    /// The memory budget for rows of resident views, in bytes.
    pub resident_bytes_max: u64,
    /// The maximum number of misses remembered per resident view.
    pub misses_max: u64,
    /// The number of shards of the table, each with its own lock.
    pub shards: usize,
    /// See [`littoral_replica::Config::hash_seed`].
    pub hash_seed: Option<u64>,
}

impl Default for Holdings {
    fn default() -> Self {
        Self {
            region: None,
            follow: None,
            view_mode: ViewMode::Full,
            views: BTreeMap::new(),
            full_bytes_max: 8 << 30,
            resident_bytes_max: 1 << 30,
            misses_max: 100_000,
            shards: littoral_replica::Config::default().shards,
            hash_seed: None,
        }
    }
}

impl Holdings {
    /// Returns the views to request from a publisher.
    #[must_use]
    pub fn wanted(&self) -> Views {
        self.follow.as_ref().map_or(Views::All, |names| Views::Names(names.clone()))
    }

    /// Returns whether a view is followed.
    #[must_use]
    pub fn follows(&self, view: &str) -> bool {
        self.follow.as_ref().is_none_or(|names| names.iter().any(|name| name == view))
    }

    /// Returns how a view is held.
    #[must_use]
    pub fn holding_of(&self, view: &FeatureView, catalogue: &Catalogue) -> Holding {
        if !self.may_hold(view.id, catalogue) {
            return Holding::Outside;
        }
        match self.views.get(&view.name).copied().unwrap_or(self.view_mode) {
            _ if !self.follows(&view.name) => Holding::Elsewhere,
            ViewMode::Full => Holding::Full,
            ViewMode::Resident => Holding::Resident,
        }
    }

    /// Returns whether the edge's region may hold rows of a view.
    fn may_hold(&self, view: ViewId, catalogue: &Catalogue) -> bool {
        Receiver::new(None, self.region, None).may_hold(catalogue.regions_of(view)) || active(Mutation::HoldEverywhere)
    }
}
