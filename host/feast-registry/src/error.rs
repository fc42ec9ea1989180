//! Why a registry cannot be imported at all.

/// Why a registry cannot be imported at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The database of a SQL registry.
    #[error(
        "this is a SQLite database: a SQL registry, or an online store. Littoral reads Feast's file registry; make one with a \
         feature_store.yaml whose registry is `registry_type: file`, `path: registry.db`, and run `feast apply` against it"
    )]
    Sqlite,
    /// An empty file.
    #[error("the file is empty; run `feast apply` first")]
    Empty,
    /// Another kind of file.
    #[error(
        "this is no Feast registry: {0}. Give the file that `registry:` names in feature_store.yaml after `feast apply`"
    )]
    NotARegistry(String),
    /// A file that is too large for a registry.
    #[error("the registry has {bytes} bytes; at most {max} are accepted")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// An unknown schema version.
    #[error("the registry's schema version is '{0}'; only version 1 is supported")]
    SchemaVersion(String),
    /// Several projects, of which none was chosen.
    #[error("the registry holds several projects ({0}); choose one")]
    Projects(String),
    /// The chosen project does not exist.
    #[error("the registry has no project '{wanted}'; it has {there}")]
    UnknownProject {
        /// The chosen project.
        wanted: String,
        /// The projects of the registry.
        there: String,
    },
    /// The node did not answer.
    #[error(transparent)]
    Client(#[from] littoral_client::Error),
}
