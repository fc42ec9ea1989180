//! The rows of one call.

use crate::{
    column::{Column, ColumnData, Status},
    error::Error,
    manifest::Manifest,
};
use std::cell::Cell;

/// The rows of one call: a column for each input and parameter.
#[derive(Clone, Debug)]
pub struct Batch {
    pub(crate) rows: usize,
    pub(crate) manifest: Manifest,
    pub(crate) columns: Vec<Column>,
    /// The index after the column that was requested last.
    pub(crate) next: Cell<usize>,
}

/// A column's values, by row.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a, T> {
    values: &'a [T],
    /// `None` if every value is present.
    statuses: Option<&'a [Status]>,
}

macro_rules! typed {
    ($($name:ident, $variant:ident, $type:ty, $what:literal;)*) => {
        impl Batch {
            $(
                #[doc = concat!("The values of a ", $what, " column: `view:feature`, or a parameter's name.")]
                ///
                /// # Errors
                /// If the manifest declares no such column, or declares it with another type.
                pub fn $name(&self, name: &str) -> Result<Values<'_, $type>, Error> {
                    let column = self.column(name)?;
                    match &column.data {
                        ColumnData::$variant(values) => Ok(Values::new(values, column.statuses.as_deref())),
                        _ => Err(Error::failed(format!("column '{name}' is not declared as {}", $what))),
                    }
                }
            )*
        }
    };
}

typed! {
    bools, Bools, bool, "bool";
    int32s, Int32s, i32, "int32";
    int64s, Int64s, i64, "int64";
    floats, Floats, f32, "float";
    doubles, Doubles, f64, "double";
    strings, Strings, String, "string";
    bytes, Bytes, Vec<u8>, "bytes";
    unix_timestamps, UnixTimestamps, i64, "unix timestamp";
    bool_lists, BoolLists, Vec<bool>, "bool list";
    int32_lists, Int32Lists, Vec<i32>, "int32 list";
    int64_lists, Int64Lists, Vec<i64>, "int64 list";
    float_lists, FloatLists, Vec<f32>, "float list";
    double_lists, DoubleLists, Vec<f64>, "double list";
    string_lists, StringLists, Vec<String>, "string list";
    bytes_lists, BytesLists, Vec<Vec<u8>>, "bytes list";
    unix_timestamp_lists, UnixTimestampLists, Vec<i64>, "unix timestamp list";
}

impl Batch {
    /// Returns the number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Computes something for each row, in order.
    pub fn each<T>(&self, compute: impl FnMut(usize) -> T) -> Vec<T> {
        (0..self.rows).map(compute).collect()
    }

    /// Returns a column unchanged.
    ///
    /// # Errors
    /// If the manifest declares no such column.
    pub fn column(&self, name: &str) -> Result<&Column, Error> {
        let place = self.manifest.place(name, self.next.get());
        self.next.set(place.map_or(0, |place| place + 1));
        place
            .and_then(|place| self.columns.get(place))
            .ok_or_else(|| Error::failed(format!("column '{name}' is not declared in the manifest")))
    }
}

impl<'a, T> Values<'a, T> {
    pub(crate) fn new(values: &'a [T], statuses: Option<&'a [Status]>) -> Self {
        Self { values, statuses }
    }

    /// Returns the value of a row; `None` if it is absent for any reason.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&'a T> {
        self.values.get(row).filter(|_| self.status(row) == Status::Present)
    }

    /// Returns the status of a row's value.
    #[must_use]
    pub fn status(&self, row: usize) -> Status {
        let status = match self.statuses {
            Some(statuses) => statuses.get(row).copied(),
            None => (row < self.values.len()).then_some(Status::Present),
        };
        status.unwrap_or(Status::NotFound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ValueType, testing::options};

    fn batch() -> Batch {
        let manifest = Manifest::new()
            .input("trips", "distance", ValueType::Double)
            .input("rides", "distance", ValueType::Double)
            .param("hour", ValueType::Int64);
        let columns = vec![
            options(vec![Some(1.5), None], ColumnData::Doubles),
            options(vec![Some(2.5), Some(3.5)], ColumnData::Doubles),
            options(vec![Some(7), Some(8)], ColumnData::Int64s),
        ];
        Batch { rows: 2, manifest, columns, next: Cell::new(0) }
    }

    #[test]
    fn columns_are_found_by_view_and_feature_and_params_by_name() {
        let batch = batch();
        assert_eq!(batch.doubles("rides:distance").unwrap().get(1), Some(&3.5));
        assert_eq!(batch.int64s("hour").unwrap().get(0), Some(&7));
        let trips = batch.doubles("trips:distance").unwrap();
        assert_eq!((trips.get(1), trips.status(1)), (None, Status::NullValue));
        assert_eq!((trips.get(2), trips.status(2)), (None, Status::NotFound));
    }

    #[test]
    fn a_wrong_name_or_type_is_an_error() {
        let batch = batch();
        let error = batch.doubles("distance").unwrap_err().to_string();
        assert_eq!(error, "column 'distance' is not declared in the manifest");
        let error = batch.strings("hour").unwrap_err().to_string();
        assert_eq!(error, "column 'hour' is not declared as string");
    }
}
