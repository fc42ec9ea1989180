//! What a call of a module makes for one request.

use crate::{
    column::{Column, ColumnData, Status},
    value::Value,
};
use std::{ops::Range, sync::Arc};

/// The declared outputs for the rows of one request. Requests that one call has answered share its columns.
#[derive(Clone, Debug)]
pub struct ModuleOutputs {
    columns: Arc<Vec<Column>>,
    rows: Range<usize>,
}

/// The rows of one output.
#[derive(Clone, Copy, Debug)]
pub struct OutputRows<'a> {
    /// The whole column.
    pub data: &'a ColumnData,
    /// Where in it the rows begin.
    pub first: usize,
    /// What is known of each row.
    pub statuses: &'a [Status],
}

impl ModuleOutputs {
    /// Some of the columns' rows, which it shares.
    #[must_use]
    pub fn part(&self, rows: Range<usize>) -> Self {
        Self { columns: self.columns.clone(), rows }
    }

    /// How many outputs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Whether every column has a value and a status for each row.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.columns.iter().all(|column| column.len() >= self.rows.end && column.data.len() >= self.rows.end)
    }

    /// The rows of an output.
    #[must_use]
    pub fn output(&self, output: usize) -> Option<OutputRows<'_>> {
        let column = self.columns.get(output)?;
        let statuses = column.statuses.get(self.rows.clone())?;
        Some(OutputRows { data: &column.data, first: self.rows.start, statuses })
    }

    /// The rows as columns of their own.
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
    /// A row's value, owned; null when there is none.
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
    fn each_request_sees_its_own_rows() {
        let mut column = Column::with_capacity(ValueType::Int64, 4);
        [1, 2, 3].into_iter().for_each(|value| column.push(ValueRef::Int64(value)));
        column.push_absent(Status::NotFound);
        let all = ModuleOutputs::from(vec![column]);
        assert_eq!(all.rows(), 4);
        let outputs = all.part(2..4);
        let output = outputs.output(0).unwrap();
        assert_eq!((output.value(0), output.statuses), (Value::Int64(3), &[Status::Present, Status::NotFound][..]));
        assert!(outputs.is_whole() && outputs.rows() == 2 && outputs.len() == 1 && outputs.output(1).is_none());
        let own = outputs.into_columns();
        assert_eq!(own[0].data, ColumnData::Int64(vec![3, 0]));
        assert_eq!(own[0].statuses, [Status::Present, Status::NotFound]);
        let beyond = all.part(3..5);
        assert!(!beyond.is_whole() && beyond.output(0).is_none());
    }
}
