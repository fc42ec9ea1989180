//! The versions of the WIT package that components may be built for, as one trait, so that the code of a call exists
//! once.
//!
//! The versions differ in few types: since 0.2.0 a status can state that a row is unknown, and a module can fail for
//! that reason. Values are moved between the host's columns and a guest's, not copied.

use crate::{
    bindings::{self, v0_2::feature_reader::LookupError},
    fault,
    guest::Guest,
};
use littoral_model::{
    column::{Column, ColumnData, Status},
    ports::ModuleError,
    statuses::Statuses,
};
use std::sync::Arc;
use wasmtime::component::{ComponentType, Lift, Lower};

/// A version of the WIT package.
pub(crate) trait Version: 'static {
    /// A column, as the guest's version defines it.
    type Column: ComponentType + Lift + Send + Sync + 'static;
    /// The argument of `transform`.
    type Batch: ComponentType + Lower + Send + Sync + 'static;
    /// What `transform` reports if it cannot compute.
    type Report: ComponentType + Lift + Send + Sync + 'static;

    /// Creates the argument of a call.
    fn batch(rows: u32, inputs: Vec<Column>, params: Vec<Column>) -> Self::Batch;

    /// Returns the inputs and parameters of a batch.
    fn parts(batch: Self::Batch) -> (Vec<Column>, Vec<Column>);

    /// Converts a column that a guest has returned.
    fn from_guest(column: Self::Column) -> Column;

    /// Returns the error that a guest has reported, in one bounded line.
    fn report(report: Self::Report, module: &Arc<str>) -> ModuleError;
}

/// Version 0.1.0.
pub(crate) enum V0_1 {}

/// Version 0.2.0.
pub(crate) enum V0_2 {}

/// Implements [`Version`] and the host's side of the imports. `$has_unknown` is whether the version has a status for
/// unknown rows; `$unknown` is the guest's status for [`Status::Unknown`], `$extra` is the same where the version has
/// it, and `$unavailable` is its report that rows are unknown.
macro_rules! version {
    ($version:ident, $wit:ident, $has_unknown:literal, $unknown:ident, [$($extra:ident)?], [$($unavailable:ident)?],
     [$(($host:ident, $guest:ident)),+]) => {
        mod $wit {
            use super::*;
            use bindings::$wit::{feature_reader, logging, types};

            impl Version for $version {
                type Column = types::Column;
                type Batch = types::Batch;
                type Report = types::TransformError;

                fn batch(rows: u32, inputs: Vec<Column>, params: Vec<Column>) -> types::Batch {
                    let to_guest = |columns: Vec<Column>| columns.into_iter().map(to_guest).collect();
                    types::Batch { rows, inputs: to_guest(inputs), params: to_guest(params) }
                }

                fn parts(batch: types::Batch) -> (Vec<Column>, Vec<Column>) {
                    let back = |columns: Vec<types::Column>| columns.into_iter().map(Self::from_guest).collect();
                    (back(batch.inputs), back(batch.params))
                }

                fn from_guest(column: types::Column) -> Column {
                    let data = match column.data {
                        $(types::ColumnData::$guest(values) => ColumnData::$host(values),)+
                    };
                    let status = |status| match status {
                        types::Status::Present => Status::Present,
                        types::Status::NullValue => Status::NullValue,
                        types::Status::NotFound => Status::NotFound,
                        types::Status::OutsideMaxAge => Status::OutsideMaxAge,
                        $(types::Status::$extra => Status::$extra,)?
                    };
                    let statuses = match column.statuses {
                        Some(statuses) => statuses.into_iter().map(status).collect::<Vec<_>>().into(),
                        None => Statuses::present(data.len()),
                    };
                    Column { data, statuses }
                }

                fn report(report: types::TransformError, module: &Arc<str>) -> ModuleError {
                    match report {
                        types::TransformError::InvalidInput(text) | types::TransformError::Failed(text) => {
                            fault::reported(&text, module)
                        }
                        $(types::TransformError::$unavailable(text) => fault::unavailable(&text, module),)?
                    }
                }
            }

            fn to_guest(column: Column) -> types::Column {
                let data = match column.data {
                    $(ColumnData::$host(values) => types::ColumnData::$guest(values),)+
                };
                let status = |status| match status {
                    Status::Present => types::Status::Present,
                    Status::NullValue => types::Status::NullValue,
                    Status::NotFound => types::Status::NotFound,
                    Status::OutsideMaxAge => types::Status::OutsideMaxAge,
                    Status::Unknown => types::Status::$unknown,
                };
                let statuses = column.statuses;
                let statuses = (!statuses.all_present()).then(|| statuses.iter().copied().map(status).collect());
                types::Column { data, statuses }
            }

            impl types::Host for Guest {}

            impl feature_reader::Host for Guest {
                async fn lookup(
                    &mut self,
                    view: String,
                    keys: Vec<types::Column>,
                    features: Vec<String>,
                ) -> wasmtime::Result<Result<Vec<types::Column>, feature_reader::LookupError>> {
                    let keys = keys.into_iter().map($version::from_guest).collect();
                    let found = self.look_up(view, keys, features, $has_unknown).await?;
                    Ok(match found {
                        Ok(columns) => Ok(columns.into_iter().map(to_guest).collect()),
                        Err(LookupError::NotDeclared(why)) => Err(feature_reader::LookupError::NotDeclared(why)),
                        Err(LookupError::Invalid(why)) => Err(feature_reader::LookupError::Invalid(why)),
                        Err(LookupError::TooMany(why)) => Err(feature_reader::LookupError::TooMany(why)),
                        Err(LookupError::Unavailable(why)) => Err(feature_reader::LookupError::Unavailable(why)),
                    })
                }
            }

            impl logging::Host for Guest {
                async fn log(&mut self, level: logging::Level, message: String) -> wasmtime::Result<()> {
                    let level = match level {
                        logging::Level::Debug => tracing::Level::DEBUG,
                        logging::Level::Info => tracing::Level::INFO,
                        logging::Level::Warn => tracing::Level::WARN,
                        logging::Level::Error => tracing::Level::ERROR,
                    };
                    self.pace.step().await?;
                    self.log_line(level, &message);
                    Ok(())
                }
            }
        }
    };
    ($version:ident, $wit:ident, $has_unknown:literal, $unknown:ident, $extra:tt, $unavailable:tt) => {
        version!(
            $version, $wit, $has_unknown, $unknown, $extra, $unavailable,
            [
                (Bool, Bools),
                (Int32, Int32s),
                (Int64, Int64s),
                (Float, Floats),
                (Double, Doubles),
                (String, Strings),
                (Bytes, Bytes),
                (UnixTimestamp, UnixTimestamps),
                (BoolList, BoolLists),
                (Int32List, Int32Lists),
                (Int64List, Int64Lists),
                (FloatList, FloatLists),
                (DoubleList, DoubleLists),
                (StringList, StringLists),
                (BytesList, BytesLists),
                (UnixTimestampList, UnixTimestampLists)
            ]
        );
    };
}

// A guest of 0.1.0 never receives a column with an unknown row: its call or lookup fails before that.
version!(V0_1, v0_1, false, NotFound, [], []);
version!(V0_2, v0_2, true, Unknown, [Unknown], [Unavailable]);
