//! Why a registry cannot be imported at all.

/// Why a registry cannot be imported at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A SQL registry's database.
    #[error(
        "this is a SQLite database: a SQL registry, or an online store. Littoral reads Feast's file registry; make one with a \
         feature_store.yaml whose registry is `registry_type: file`, `path: registry.db`, and run `feast apply` against it"
    )]
    Sqlite,
    /// Nothing in it.
    #[error("the file is empty; run `feast apply` first")]
    Empty,
    /// Something else.
    #[error(
        "this is no Feast registry: {0}. Give the file that `registry:` names in feature_store.yaml after `feast apply`"
    )]
    NotARegistry(String),
    /// A registry too large to be one.
    #[error("the registry is {bytes} bytes large; at most {max} are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// A schema that is not known here.
    #[error("the registry's schema version is '{0}'; version 1 is known here")]
    SchemaVersion(String),
    /// Several projects, and none chosen.
    #[error("the registry holds several projects ({0}); choose one")]
    Projects(String),
    /// The chosen project is not there.
    #[error("the registry has no project '{wanted}'; it has {there}")]
    UnknownProject {
        /// What was asked for.
        wanted: String,
        /// What there is.
        there: String,
    },
    /// The leader could not be asked.
    #[error(transparent)]
    Client(#[from] littoral_client::Error),
}
