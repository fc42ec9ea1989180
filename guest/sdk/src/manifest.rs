//! What a module reads and makes.

use crate::bindings::littoral::feature::types::{Field, Input, JoinKeyAlias, Manifest as WitManifest};

pub use crate::bindings::littoral::feature::types::ValueType;

/// What a module reads and makes, built up part by part. Names are checked when the module is uploaded.
#[derive(Clone, Debug, Default)]
pub struct Manifest {
    pub(crate) inputs: Vec<(String, Input)>,
    pub(crate) params: Vec<Field>,
    pub(crate) outputs: Vec<Field>,
    pub(crate) lookups: Vec<String>,
}

impl Manifest {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a feature; in [`crate::Batch`] it is named `view:feature`.
    #[must_use]
    pub fn input(self, view: &str, feature: &str, value_type: ValueType) -> Self {
        self.input_by(view, feature, value_type, &[])
    }

    /// Reads a feature whose join keys the request gives under other names: `(join key, request's column)`.
    #[must_use]
    pub fn input_by(mut self, view: &str, feature: &str, value_type: ValueType, join_keys: &[(&str, &str)]) -> Self {
        let join_keys = join_keys
            .iter()
            .map(|(join_key, column)| JoinKeyAlias { join_key: (*join_key).into(), column: (*column).into() });
        let input = Input { view: view.into(), feature: feature.into(), value_type, join_keys: join_keys.collect() };
        self.inputs.push((format!("{view}:{feature}"), input));
        self
    }

    /// Takes a request parameter.
    #[must_use]
    pub fn param(mut self, name: &str, value_type: ValueType) -> Self {
        self.params.push(Field { name: name.into(), value_type });
        self
    }

    /// Makes an output.
    #[must_use]
    pub fn output(mut self, name: &str, value_type: ValueType) -> Self {
        self.outputs.push(Field { name: name.into(), value_type });
        self
    }

    /// May look up rows of a view.
    #[must_use]
    pub fn lookup(mut self, view: &str) -> Self {
        self.lookups.push(view.into());
        self
    }

    pub(crate) fn into_wit(self) -> WitManifest {
        WitManifest {
            inputs: self.inputs.into_iter().map(|(_, input)| input).collect(),
            params: self.params,
            outputs: self.outputs,
            lookups: self.lookups,
        }
    }
}
