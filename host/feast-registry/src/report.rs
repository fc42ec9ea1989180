//! What became of each thing in a registry.

use crate::Note;
use serde::Serialize;
use std::fmt;

/// What a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A feature view.
    View,
    /// One feature of a view.
    Feature,
    /// A push source.
    PushSource,
    /// A source of rows that lie elsewhere.
    DataSource,
    /// An entity.
    Entity,
    /// An on-demand feature view, here a module.
    Module,
    /// A feature service.
    Service,
    /// Something that has no counterpart here.
    Other,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::View => "feature view",
            Self::Feature => "feature",
            Self::PushSource => "push source",
            Self::DataSource => "data source",
            Self::Entity => "entity",
            Self::Module => "module",
            Self::Service => "feature service",
            Self::Other => "other",
        })
    }
}

/// What became of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// It was not there and is now.
    Created,
    /// It was there and is another now.
    Changed,
    /// It was there as it should be.
    Unchanged,
    /// It would be made; nothing was done.
    Planned,
    /// It waits for something; running the import again completes it.
    Pending {
        /// What it waits for.
        reason: String,
        /// The command that gives it that.
        command: String,
    },
    /// The leader refused it.
    Refused {
        /// The leader's words.
        reason: String,
    },
}

/// One thing and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What became of a registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Feast's project.
    pub project: String,
    /// Each thing, in the order in which they were applied.
    pub items: Vec<Item>,
    /// What was left out or differs, with reasons.
    pub notes: Vec<Note>,
    /// The freshness token of the last change; `None` when nothing changed.
    pub token: Option<String>,
}

impl ImportReport {
    /// Whether everything that can be imported is there now.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.items.iter().all(|item| !matches!(item.outcome, Outcome::Pending { .. } | Outcome::Refused { .. }))
    }
}
