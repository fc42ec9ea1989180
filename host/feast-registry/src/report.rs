//! The report of an import.

use crate::Note;
use serde::Serialize;
use std::fmt;

/// The kinds of definitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A feature view.
    View,
    /// One feature of a view.
    Feature,
    /// A push source.
    PushSource,
    /// A source of rows stored elsewhere.
    DataSource,
    /// An entity.
    Entity,
    /// An on-demand feature view, here a module.
    Module,
    /// A feature service.
    Service,
    /// A project.
    Project,
    /// An object without a counterpart here.
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
            Self::Project => "project",
            Self::Other => "other",
        })
    }
}

/// The outcome for one definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// It was created.
    Created,
    /// It was changed.
    Changed,
    /// It existed and is equal.
    Unchanged,
    /// It would be created or changed.
    Planned,
    /// It needs something that is missing; another import completes it.
    Pending {
        /// What it needs.
        reason: String,
        /// The command that provides it.
        command: String,
    },
    /// The leader rejected it.
    #[serde(rename = "refused")]
    Rejected {
        /// The leader's error.
        reason: String,
    },
}

/// One definition and its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its outcome.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The report of an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Feast's project.
    pub project: String,
    /// The project into which the definitions are imported. `None` for the project of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
    /// The definitions, in the order in which they were applied.
    pub items: Vec<Item>,
    /// Notes on what was left out or differs, with reasons.
    pub notes: Vec<Note>,
    /// The freshness token of the last change; `None` when nothing changed.
    pub token: Option<String>,
}

impl ImportReport {
    /// Returns whether everything that can be imported exists now.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.items.iter().all(|item| !matches!(item.outcome, Outcome::Pending { .. } | Outcome::Rejected { .. }))
    }
}
