//! From the component's exports to the trait.

use crate::{
    batch::Batch,
    bindings::littoral::feature::types::{Batch as WitBatch, TransformError},
    column::Column,
    error::Error,
    lookup::{Host, Lookup},
    manifest::Manifest,
    outputs::Outputs,
    unknown,
};
use std::cell::Cell;

/// A module.
pub trait FeatureModule {
    /// Whether `transform` looks for [`crate::Status::Unknown`] itself, in inputs and in what it looks up. Unless it says so, an
    /// unknown input makes the outputs of its row unknown where the module is row-wise, and fails the call elsewhere, as an
    /// unknown row that is looked up always does.
    const HANDLES_UNKNOWN: bool = false;

    /// What the module reads and makes. Must always return the same.
    fn describe() -> Manifest;

    /// Computes the outputs for a batch.
    ///
    /// # Errors
    /// Whatever the module cannot go on after: the call then fails with its text, and nothing else is affected.
    fn transform(batch: &Batch, lookup: &dyn Lookup) -> Result<Outputs, Error>;
}

/// Makes a type that implements [`FeatureModule`] the component's module.
#[macro_export]
macro_rules! export {
    ($module:ty) => {
        #[doc(hidden)]
        struct LittoralComponent;

        impl $crate::bindings::Guest for LittoralComponent {
            fn describe() -> $crate::bindings::littoral::feature::types::Manifest {
                $crate::run::describe::<$module>()
            }

            fn transform(
                batch: $crate::bindings::littoral::feature::types::Batch,
            ) -> Result<
                Vec<$crate::bindings::littoral::feature::types::Column>,
                $crate::bindings::littoral::feature::types::TransformError,
            > {
                $crate::run::transform::<$module>(batch)
            }
        }

        #[cfg(target_arch = "wasm32")]
        $crate::bindings::export_component!(LittoralComponent with_types_in $crate::bindings);
    };
}

/// What [`export!`] calls.
pub mod run {
    use super::*;

    /// What every call begins with: a panic shall say why.
    pub fn begin() {
        #[cfg(target_arch = "wasm32")]
        crate::log::panics();
    }

    /// The declaration, for the host.
    #[must_use]
    pub fn describe<M: FeatureModule>() -> crate::bindings::littoral::feature::types::Manifest {
        begin();
        M::describe().into_wit()
    }

    /// A declaration made without the trait, for the host.
    #[must_use]
    pub fn described(manifest: Manifest) -> crate::bindings::littoral::feature::types::Manifest {
        manifest.into_wit()
    }

    /// One call, for the host.
    ///
    /// # Errors
    /// The module's own.
    pub fn transform<M: FeatureModule>(batch: WitBatch) -> Result<Vec<Column>, TransformError> {
        begin();
        let mut columns = batch.inputs;
        columns.extend(batch.params);
        let batch = Batch { rows: batch.rows as usize, manifest: M::describe(), columns, next: Cell::new(0) };
        unknown::compute::<M>(&batch, &Host).map_err(|error| match error {
            Error::InvalidInput(why) => TransformError::InvalidInput(why),
            Error::Unavailable(why) => TransformError::Unavailable(why),
            Error::Failed(why) => TransformError::Failed(why),
        })
    }

    /// The outputs in the manifest's order.
    pub(crate) fn in_order(manifest: &Manifest, outputs: Result<Outputs, Error>) -> Result<Vec<Column>, Error> {
        let mut columns = outputs?.columns;
        let mut ordered = Vec::with_capacity(manifest.outputs.len());
        for output in &manifest.outputs {
            let index = columns.iter().position(|(name, _)| *name == output.name);
            let index = index.ok_or_else(|| Error::failed(format!("output '{}' was not made", output.name)))?;
            ordered.push(columns.swap_remove(index).1);
        }
        match columns.first() {
            Some((name, _)) => Err(Error::failed(format!("output '{name}' is not declared in the manifest"))),
            None => Ok(ordered),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::run::in_order;
    use crate::{Manifest, Outputs, ValueType};

    fn manifest() -> Manifest {
        Manifest::new().output("score", ValueType::Double).output("bucket", ValueType::String)
    }

    #[test]
    fn outputs_come_in_the_manifests_order() {
        let outputs = Outputs::new().strings("bucket", vec![None]).doubles("score", vec![Some(0.5)]);
        let columns = in_order(&manifest(), Ok(outputs)).unwrap();
        assert!(matches!(columns[0].data, crate::ColumnData::Doubles(_)));
        assert!(matches!(columns[1].data, crate::ColumnData::Strings(_)));
    }

    #[test]
    fn an_output_that_is_missing_or_not_declared_is_named() {
        let error = in_order(&manifest(), Ok(Outputs::new().doubles("score", vec![]))).unwrap_err().to_string();
        assert_eq!(error, "output 'bucket' was not made");
        let more = Outputs::new().doubles("score", vec![]).strings("bucket", vec![]).bools("late", vec![]);
        let error = in_order(&manifest(), Ok(more)).unwrap_err().to_string();
        assert_eq!(error, "output 'late' is not declared in the manifest");
    }
}
