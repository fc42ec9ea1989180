//! The outputs of a module call for one request.

use crate::{
    column::{Column, ColumnData, Status},
    value::Value,
};
use std::{ops::Range, sync::Arc};

/// The declared outputs for the rows of one request. Requests that one call answered share its
/// columns.
#[derive(Clone, Debug)]
pub struct ModuleOutputs {
    columns: Arc<Vec<Column>>,
    rows: Range<usize>,
}

/// The rows of one output for one request.
#[derive(Clone, Copy, Debug)]
pub struct OutputRows<'a> {
    /// The whole column.
    pub data: &'a ColumnData,
    /// The index of the first row in the column.
    pub first: usize,
    /// The status of each row.
    pub statuses: &'a [Status],
}

impl ModuleOutputs {
    /// Returns the outputs of a range of rows, which share these columns.
    #[must_use]
    pub fn slice(&self, rows: Range<usize>) -> Self {
        Self { columns: self.columns.clone(), rows }
    }

    /// Returns the number of outputs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Returns whether there are no outputs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Returns whether every column has a value and a status for each row.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.columns.iter().all(|column| column.len() >= self.rows.end && column.data.len() >= self.rows.end)
    }

    /// Returns the rows of an output.
    #[must_use]
    pub fn output(&self, output: usize) -> Option<OutputRows<'_>> {
        let column = self.columns.get(output)?;
        let statuses = column.statuses.get(self.rows.clone())?;
        Some(OutputRows { data: &column.data, first: self.rows.start, statuses })
    }

    /// Copies the rows into separate columns.
    #[must_use]
    pub fn into_columns(self) -> Vec<Column> {
        let mut columns = Arc::unwrap_or_clone(self.columns);
        for column in &mut columns {
            drop(column.split_off(self.rows.end));
            *column = column.split_off(self.rows.start);
        }
        columns
    }
}

impl From<Vec<Column>> for ModuleOutputs {
    fn from(columns: Vec<Column>) -> Self {
        let rows = 0..columns.first().map_or(0, Column::len);
        Self { columns: Arc::new(columns), rows }
    }
}

impl OutputRows<'_> {
    /// Returns a copy of a row's value; null when out of range.
    #[must_use]
    pub fn value(&self, row: usize) -> Value {
        self.data.value(self.first + row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{row_body::ValueRef, value::ValueType};

    #[test]
    fn a_request_sees_only_its_rows() {
        let mut column = Column::with_capacity(ValueType::Int64, 4);
        [1, 2, 3].into_iter().for_each(|value| column.push(ValueRef::Int64(value)));
        column.push_absent(Status::NotFound);
        let all = ModuleOutputs::from(vec![column]);
        assert_eq!(all.rows(), 4);
        let outputs = all.slice(2..4);
        let output = outputs.output(0).unwrap();
        assert_eq!((output.value(0), output.statuses), (Value::Int64(3), &[Status::Present, Status::NotFound][..]));
        assert!(outputs.is_whole() && outputs.rows() == 2 && outputs.len() == 1 && outputs.output(1).is_none());
        let own = outputs.into_columns();
        assert_eq!(own[0].data, ColumnData::Int64(vec![3, 0]));
        assert_eq!(own[0].statuses, [Status::Present, Status::NotFound]);
        let beyond = all.slice(3..5);
        assert!(!beyond.is_whole() && beyond.output(0).is_none());
    }
}
