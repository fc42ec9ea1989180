//! Connects the component's exports to the trait.

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

/// A module: what it declares, and what it computes.
pub trait FeatureModule {
    /// Whether `transform` handles [`crate::Status::Unknown`] itself, in inputs and in lookups. If `false`, an unknown
    /// input makes the outputs of its row unknown if the module is row-wise, and otherwise fails the call. An unknown
    /// row in a lookup always fails it.
    const HANDLES_UNKNOWN: bool = false;

    /// Returns what the module reads and produces. Must always return the same manifest.
    fn describe() -> Manifest;

    /// Computes the outputs for a batch.
    ///
    /// # Errors
    /// Any error that the module cannot handle. The call then fails with its text, and nothing else is affected.
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

/// The functions that [`export!`] calls.
pub mod run {
    use super::*;

    /// Starts every call: makes panics log their reason.
    pub fn begin() {
        #[cfg(target_arch = "wasm32")]
        crate::log::panics();
    }

    /// Returns the declaration, for the host.
    #[must_use]
    pub fn describe<M: FeatureModule>() -> crate::bindings::littoral::feature::types::Manifest {
        begin();
        M::describe().into_wit()
    }

    /// Returns a declaration that was built without the trait, for the host.
    #[must_use]
    pub fn described(manifest: Manifest) -> crate::bindings::littoral::feature::types::Manifest {
        manifest.into_wit()
    }

    /// Runs one call, for the host.
    ///
    /// # Errors
    /// The module's own errors.
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

    /// Returns the outputs in the manifest's order.
    pub(crate) fn in_order(manifest: &Manifest, outputs: Result<Outputs, Error>) -> Result<Vec<Column>, Error> {
        let mut columns = outputs?.columns;
        let mut ordered = Vec::with_capacity(manifest.outputs.len());
        for output in &manifest.outputs {
            let index = columns.iter().position(|(name, _)| *name == output.name);
            let index = index.ok_or_else(|| Error::failed(format!("output '{}' was not set", output.name)))?;
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
        assert_eq!(error, "output 'bucket' was not set");
        let more = Outputs::new().doubles("score", vec![]).strings("bucket", vec![]).bools("late", vec![]);
        let error = in_order(&manifest(), Ok(more)).unwrap_err().to_string();
        assert_eq!(error, "output 'late' is not declared in the manifest");
    }
}
