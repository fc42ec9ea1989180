//! What an edge is to hold, and how much memory it may take.

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
    /// Rows that were asked for, within the memory for resident views.
    Resident,
}

/// What is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holdings {
    /// The views to follow, by name, also when they are made later; `None` for all.
    pub follow: Option<Vec<String>>,
    /// How much is held of a view that `views` does not name.
    pub view_mode: ViewMode,
    /// How much is held of a view, by its name.
    pub views: BTreeMap<String, ViewMode>,
    /// Memory for the rows of full views, in bytes. When they outgrow it, the largest becomes resident.
    pub full_bytes_max: u64,
    /// Memory for the rows of resident views, in bytes.
    pub resident_bytes_max: u64,
    /// Misses that are remembered per resident view.
    pub misses_max: u64,
    /// Parts of the table with a lock of their own.
    pub shards: usize,
    /// See [`littoral_replica::Config::hash_seed`].
    pub hash_seed: Option<u64>,
}

impl Default for Holdings {
    fn default() -> Self {
        Self {
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
    /// What to ask a publisher for.
    #[must_use]
    pub fn wanted(&self) -> Views {
        self.follow.as_ref().map_or(Views::All, |names| Views::Names(names.clone()))
    }

    /// Whether a view is followed.
    #[must_use]
    pub fn follows(&self, view: &str) -> bool {
        self.follow.as_ref().is_none_or(|names| names.iter().any(|name| name == view))
    }

    /// How much is held of a view that is followed.
    #[must_use]
    pub fn mode_of(&self, view: &str) -> ViewMode {
        self.views.get(view).copied().unwrap_or(self.view_mode)
    }
}
