//! Tests a module without wasm: build a batch, provide rows to look up, and read the outputs.
//!
//! ```
//! # use littoral_guest::{Batch, Error, FeatureModule, Lookup, Manifest, Outputs, ValueType};
//! # struct Doubled;
//! # impl FeatureModule for Doubled {
//! #     fn describe() -> Manifest {
//! #         Manifest::new().input("trips", "distance", ValueType::Double).output("doubled", ValueType::Double)
//! #     }
//! #     fn transform(batch: &Batch, _: &dyn Lookup) -> Result<Outputs, Error> {
//! #         let distance = batch.doubles("trips:distance")?;
//! #         Ok(Outputs::new().doubles("doubled", batch.each(|row| distance.get(row).map(|miles| miles * 2.0))))
//! #     }
//! # }
//! use littoral_guest::{ColumnData, Status, testing::{Call, NoRows, options}};
//!
//! let call = Call::new(2).column("trips:distance", options(vec![Some(1.5), None], ColumnData::Doubles));
//! let made = call.run::<Doubled>(&NoRows).unwrap();
//! assert_eq!(made.value("doubled", 0).as_deref(), Some("3.0"));
//! assert_eq!(made.status("doubled", 1), Some(Status::NullValue));
//! ```

use crate::{
    batch::Batch,
    column::{Column, ColumnData, Status, from_options},
    error::Error,
    guest::FeatureModule,
    lookup::{Lookup, Rows},
    unknown,
};
use std::{cell::Cell, collections::HashMap};

/// Builds a call.
#[derive(Clone, Debug)]
pub struct Call {
    rows: usize,
    columns: HashMap<String, Column>,
}

/// The outputs of a call.
#[derive(Clone, Debug)]
pub struct Made {
    columns: HashMap<String, Column>,
}

/// Returns a column of optional values, for example `options(vec![Some(1.0), None], ColumnData::Doubles)`.
pub fn options<T: Default>(values: Vec<Option<T>>, wrap: fn(Vec<T>) -> ColumnData) -> Column {
    from_options(values, wrap)
}

impl Call {
    /// Returns a call of `rows` rows.
    #[must_use]
    pub fn new(rows: usize) -> Self {
        Self { rows, columns: HashMap::new() }
    }

    /// Sets an input (`view:feature`) or a parameter.
    #[must_use]
    pub fn column(mut self, name: &str, column: Column) -> Self {
        self.columns.insert(name.into(), column);
        self
    }

    /// Calls the module.
    ///
    /// # Errors
    /// The module's own errors. Also if a declared column was not set, if the outputs are not the declared ones, or if
    /// their number of rows differs.
    pub fn run<M: FeatureModule>(self, lookup: &dyn Lookup) -> Result<Made, Error> {
        let manifest = M::describe();
        let columns = manifest.columns().map(|name| {
            let column = self.columns.get(&name).cloned();
            column.ok_or_else(|| Error::failed(format!("the test sets no column '{name}'")))
        });
        let columns = columns.collect::<Result<Vec<Column>, Error>>()?;
        let batch = Batch { rows: self.rows, manifest, columns, next: Cell::new(0) };
        let made = unknown::compute::<M>(&batch, lookup)?;
        if let Some(wrong) = made.iter().find(|column| column.len() != self.rows) {
            return Err(Error::failed(format!("an output has {} rows, not {}", wrong.len(), self.rows)));
        }
        let names = batch.manifest.outputs.iter().map(|output| output.name.to_string());
        Ok(Made { columns: names.zip(made).collect() })
    }

    /// Calls the module with all rows, and with each row alone, because a host may combine rows of several requests in
    /// one batch. Returns the outputs of all rows if they are equal.
    ///
    /// # Errors
    /// As for [`Call::run`]. Also if a row's outputs depend on other rows; such a module must not be declared as
    /// [`crate::Manifest::row_wise`].
    pub fn run_row_wise<M: FeatureModule>(self, lookup: &dyn Lookup) -> Result<Made, Error> {
        let all = self.clone().run::<M>(lookup)?;
        for row in 0..self.rows {
            let columns = self.columns.iter().map(|(name, column)| (name.clone(), column.row(row))).collect();
            let alone = Self { rows: 1, columns }.run::<M>(lookup)?;
            for (output, column) in &all.columns {
                let (together, alone) = (column.comparable(row), alone.columns[output].comparable(0));
                if together != alone {
                    return Err(Error::failed(format!(
                        "the output '{output}' of row {row} is {together} among {} rows and {alone} alone",
                        self.rows
                    )));
                }
            }
        }
        Ok(all)
    }
}

impl Made {
    /// Returns an output's column.
    #[must_use]
    pub fn column(&self, output: &str) -> Option<&Column> {
        self.columns.get(output)
    }

    /// Returns the status of an output's row.
    #[must_use]
    pub fn status(&self, output: &str, row: usize) -> Option<Status> {
        self.column(output)?.status(row)
    }

    /// Returns a scalar output's value of a row as text; `None` if it is not present.
    #[must_use]
    pub fn value(&self, output: &str, row: usize) -> Option<String> {
        let column = self.column(output)?;
        if column.status(row) != Some(Status::Present) {
            return None;
        }
        match &column.data {
            ColumnData::Bools(values) => Some(values[row].to_string()),
            ColumnData::Int32s(values) => Some(values[row].to_string()),
            ColumnData::Int64s(values) | ColumnData::UnixTimestamps(values) => Some(values[row].to_string()),
            ColumnData::Floats(values) => Some(format!("{:?}", values[row])),
            ColumnData::Doubles(values) => Some(format!("{:?}", values[row])),
            ColumnData::Strings(values) => Some(values[row].clone()),
            _ => None,
        }
    }
}

/// A replica without rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRows;

impl Lookup for NoRows {
    fn lookup(&self, view: &str, _: &[Column], _: &[&str]) -> Result<Rows, Error> {
        Err(Error::failed(format!("the test provides no rows of '{view}'")))
    }
}

/// A replica of one view. A function returns each feature for the key columns.
pub struct ViewRows<F> {
    view: &'static str,
    answer: F,
}

impl<F: Fn(&[Column], &str) -> Column> ViewRows<F> {
    /// Returns a replica with rows of one view.
    pub fn new(view: &'static str, answer: F) -> Self {
        Self { view, answer }
    }
}

impl<F: Fn(&[Column], &str) -> Column> Lookup for ViewRows<F> {
    fn lookup(&self, view: &str, keys: &[Column], features: &[&str]) -> Result<Rows, Error> {
        if view != self.view {
            return Err(Error::failed(format!("the test provides rows of '{}', not of '{view}'", self.view)));
        }
        let columns = features.iter().map(|feature| (self.answer)(keys, feature)).collect();
        Ok(Rows { features: features.iter().map(|feature| (*feature).into()).collect(), columns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Manifest, Outputs, ValueType};

    /// Computes each distance relative to the largest in its batch, which depends on the other rows.
    struct Shares;

    impl FeatureModule for Shares {
        fn describe() -> Manifest {
            Manifest::new().input("trips", "distance", ValueType::Double).output("share", ValueType::Double)
        }

        fn transform(batch: &Batch, _: &dyn Lookup) -> Result<Outputs, Error> {
            let distance = batch.doubles("trips:distance")?;
            let largest =
                (0..batch.rows()).filter_map(|row| distance.get(row)).fold(0.0, |max: f64, miles| max.max(*miles));
            Ok(Outputs::new().doubles("share", batch.each(|row| distance.get(row).map(|miles| miles / largest))))
        }
    }

    #[test]
    fn outputs_that_depend_on_other_rows_are_rejected() {
        let call = |distances| Call::new(2).column("trips:distance", options(distances, ColumnData::Doubles));
        let made = call(vec![Some(4.0), None]).run_row_wise::<Shares>(&NoRows).unwrap();
        assert_eq!(made.value("share", 0).as_deref(), Some("1.0"), "one row and an absent one hang on no other");
        let error = call(vec![Some(1.0), Some(4.0)]).run_row_wise::<Shares>(&NoRows).unwrap_err().to_string();
        assert!(error.contains("output 'share' of row 0") && error.contains("alone"), "{error}");
    }
}
