//! Plans: the rows, values, modules and column names that a read needs, resolved once for all requests of one shape.

mod cache;
mod resolve;

pub(crate) use cache::Cache;

use littoral_model::{
    catalogue::Catalogue,
    module::{ModuleDigest, ModuleManifest},
    row::Row,
    row_body::ValueRef,
    value::ValueType,
    view::ViewId,
};
use std::sync::Arc;

/// The shape of a request. Requests that differ only in values have one shape.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'a> {
    /// The requested features.
    pub wanted: Wanted<'a>,
    /// Whether columns are named `view__feature`.
    pub full_names: bool,
    /// The names of the request's columns, in order.
    pub columns: &'a [&'a str],
}

/// The requested features. References stay JSON text: they are parsed only if the shape has no plan yet.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// References `view:feature`, as the text of a JSON list.
    Features(&'a str),
    /// The features of a feature service of this name.
    Service(&'a str),
}

/// The plan of a read.
#[derive(Debug)]
pub struct Plan {
    /// The rows to read: each combination of view and key columns once.
    pub lookups: Vec<Lookup>,
    /// The modules to call.
    pub calls: Vec<Call>,
    /// The answer's columns, in order.
    pub outputs: Vec<Output>,
    /// The outputs' names.
    pub names: Vec<String>,
    /// The views and modules of the features, each once, under the names that full feature names use.
    pub views: Vec<String>,
}

/// A plan under one catalogue, with what a door derived from it.
#[derive(Debug)]
pub struct Prepared<X> {
    /// The plan.
    pub plan: Plan,
    /// What the door derived from it.
    pub extra: X,
    pub(crate) catalogue: Arc<Catalogue>,
}

/// What a door derives once from each plan: names in its own format, for instance.
pub trait Extra: Send + Sync + 'static {
    /// Derives it from a plan and the catalogue that the plan refers to.
    fn derive(plan: &Plan, catalogue: &Catalogue) -> Self;
}

impl Extra for () {
    fn derive(_: &Plan, _: &Catalogue) -> Self {}
}

/// Rows of one view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The view.
    pub view: ViewId,
    /// Its TTL.
    pub ttl_ms: Option<u64>,
    /// Whether its rows are combined from the parts of regions.
    pub combines: bool,
    /// The columns of the request that make the key, in key order. `None` if one is missing, in which case no row is
    /// found.
    pub keys: Option<Vec<KeyColumn>>,
}

/// A column of the request that is part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyColumn {
    /// Its index in the request.
    pub column: usize,
    /// Its type.
    pub value_type: ValueType,
}

/// A feature of a lookup's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureRef {
    /// Which lookup.
    pub lookup: usize,
    /// Which feature of its view.
    pub feature: usize,
    /// Its type.
    pub value_type: ValueType,
}

impl FeatureRef {
    /// Returns the value in a row of the lookup.
    #[inline]
    #[must_use]
    pub fn value_in<'a>(&self, row: &'a Row) -> ValueRef<'a> {
        row.value(self.feature, self.value_type)
    }
}

/// A module to call.
#[derive(Debug)]
pub struct Call {
    /// Its name in the project of the request.
    pub name: Arc<str>,
    /// Its stored name, by which nodes and their operators distinguish it from modules of other projects.
    pub stored_name: Arc<str>,
    /// The release.
    pub digest: ModuleDigest,
    /// Its declared inputs, parameters and outputs.
    pub manifest: Arc<ModuleManifest>,
    /// The feature of each declared input.
    pub inputs: Vec<FeatureRef>,
    /// The index in the request of each declared parameter.
    pub params: Vec<usize>,
}

/// A column of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// A join key of the request.
    Key(KeyColumn),
    /// A join key of the request that no feature of the answer needs. Its values may be missing.
    UnneededKey(KeyColumn),
    /// A feature.
    Feature(FeatureRef),
    /// An output of a module.
    Made {
        /// Which call.
        call: usize,
        /// Which of its outputs.
        output: usize,
    },
}
