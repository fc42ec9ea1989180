//! Declares what a module reads and produces.

use crate::bindings::littoral::feature::types::{Field, Input, JoinKeyAlias, Manifest as WitManifest};
use std::borrow::Cow;

pub use crate::bindings::littoral::feature::types::ValueType;

/// A name: usually a literal, which allocates no memory per call.
type Name = Cow<'static, str>;

/// What a module reads and produces, built step by step. Names are checked when the module is uploaded.
#[derive(Clone, Debug, Default)]
pub struct Manifest {
    inputs: Vec<Feature>,
    params: Vec<Typed>,
    pub(crate) outputs: Vec<Typed>,
    lookups: Vec<Name>,
    pub(crate) row_wise: bool,
}

#[derive(Clone, Debug)]
struct Feature {
    view: Name,
    feature: Name,
    value_type: ValueType,
    join_keys: &'static [(&'static str, &'static str)],
}

impl Feature {
    /// Whether `name` is this input's name, `view:feature`.
    fn is(&self, name: &str) -> bool {
        let (view, feature) = (self.view.len(), self.feature.len());
        name.len() == view + 1 + feature
            && name.as_bytes()[view] == b':'
            && name.ends_with(&*self.feature)
            && name.starts_with(&*self.view)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Typed {
    pub(crate) name: Name,
    value_type: ValueType,
}

impl Manifest {
    /// Returns an empty manifest.
    #[must_use]
    pub fn new() -> Self {
        // It is built for each call, so reserve space for the columns of most modules at once.
        let (inputs, params, outputs) = (Vec::with_capacity(16), Vec::with_capacity(4), Vec::with_capacity(4));
        Self { inputs, params, outputs, lookups: Vec::new(), row_wise: false }
    }

    /// Declares a feature as input; in [`crate::Batch`] its name is `view:feature`.
    #[must_use]
    pub fn input(self, view: impl Into<Name>, feature: impl Into<Name>, value_type: ValueType) -> Self {
        self.input_by(view, feature, value_type, &[])
    }

    /// Declares a feature as input whose join keys the request supplies under other names: `(join key, request's
    /// column)`.
    #[must_use]
    pub fn input_by(
        mut self,
        view: impl Into<Name>,
        feature: impl Into<Name>,
        value_type: ValueType,
        join_keys: &'static [(&'static str, &'static str)],
    ) -> Self {
        let (view, feature) = (view.into(), feature.into());
        self.inputs.push(Feature { view, feature, value_type, join_keys });
        self
    }

    /// Declares a request parameter.
    #[must_use]
    pub fn param(mut self, name: impl Into<Name>, value_type: ValueType) -> Self {
        self.params.push(Typed { name: name.into(), value_type });
        self
    }

    /// Declares an output.
    #[must_use]
    pub fn output(mut self, name: impl Into<Name>, value_type: ValueType) -> Self {
        self.outputs.push(Typed { name: name.into(), value_type });
        self
    }

    /// Declares that the module may look up rows of a view.
    #[must_use]
    pub fn lookup(mut self, view: impl Into<Name>) -> Self {
        self.lookups.push(view.into());
        self
    }

    /// Declares that the outputs of a row depend only on that row: not on other rows of its batch, nor on earlier
    /// computations.
    ///
    /// The host can then answer several requests with one call, at a fraction of the cost. Otherwise a batch contains
    /// the rows of one request, which the module can rank or scale against each other.
    /// [`crate::testing::Call::run_row_wise`] checks the declaration.
    #[must_use]
    pub fn row_wise(mut self) -> Self {
        self.row_wise = true;
        self
    }

    /// Returns the index of the column with this name in a batch: inputs first, then parameters. Names are usually
    /// requested in the manifest's order, so the search starts at `hint`.
    pub(crate) fn place(&self, name: &str, hint: usize) -> Option<usize> {
        let (inputs, all) = (self.inputs.len(), self.inputs.len() + self.params.len());
        let is = |place: &usize| match self.inputs.get(*place) {
            Some(input) => input.is(name),
            None => self.params.get(place - inputs).is_some_and(|param| param.name == name),
        };
        (hint..all).find(is).or_else(|| (0..hint.min(all)).find(is))
    }

    /// Returns the names of a batch's columns, in order.
    pub(crate) fn columns(&self) -> impl Iterator<Item = String> {
        let inputs = self.inputs.iter().map(|input| format!("{}:{}", input.view, input.feature));
        inputs.chain(self.params.iter().map(|param| param.name.to_string()))
    }

    pub(crate) fn into_wit(self) -> WitManifest {
        let fields = |fields: Vec<Typed>| {
            let fields = fields.into_iter();
            fields.map(|field| Field { name: field.name.into_owned(), value_type: field.value_type }).collect()
        };
        let alias = |(key, column): &(&str, &str)| JoinKeyAlias { join_key: (*key).into(), column: (*column).into() };
        let inputs = self.inputs.into_iter().map(|input| Input {
            view: input.view.into_owned(),
            feature: input.feature.into_owned(),
            value_type: input.value_type,
            join_keys: input.join_keys.iter().map(alias).collect(),
        });
        WitManifest {
            inputs: inputs.collect(),
            params: fields(self.params),
            outputs: fields(self.outputs),
            lookups: self.lookups.into_iter().map(Cow::into_owned).collect(),
            row_wise: self.row_wise,
        }
    }
}
