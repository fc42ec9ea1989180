//! Columns of values, each with its status.

pub use crate::bindings::littoral::feature::types::{Column, ColumnData, Status};

/// Returns a column of optional values; `None` is null.
pub(crate) fn from_options<T: Default>(values: Vec<Option<T>>, wrap: fn(Vec<T>) -> ColumnData) -> Column {
    let status = |value: &Option<T>| if value.is_some() { Status::Present } else { Status::NullValue };
    let statuses = values.iter().any(Option::is_none).then(|| values.iter().map(status).collect());
    Column { data: wrap(values.into_iter().map(Option::unwrap_or_default).collect()), statuses }
}

/// Calls a macro with every kind of data.
macro_rules! with_variants {
    ($made:ident) => {
        $made!(
            Bools,
            Int32s,
            Int64s,
            Floats,
            Doubles,
            Strings,
            Bytes,
            UnixTimestamps,
            BoolLists,
            Int32Lists,
            Int64Lists,
            FloatLists,
            DoubleLists,
            StringLists,
            BytesLists,
            UnixTimestampLists
        )
    };
}

impl Column {
    /// Returns the number of values.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a column of no rows is like any other")]
    pub fn len(&self) -> usize {
        macro_rules! len {
            ($($variant:ident),+) => { match &self.data { $(ColumnData::$variant(values) => values.len(),)+ } };
        }
        with_variants!(len)
    }

    /// Returns the status of a row's value; `None` if there is no such row.
    #[must_use]
    pub fn status(&self, row: usize) -> Option<Status> {
        match &self.statuses {
            Some(statuses) => statuses.get(row).copied(),
            None => (row < self.len()).then_some(Status::Present),
        }
    }

    /// Returns one row of the column.
    pub(crate) fn row(&self, row: usize) -> Self {
        macro_rules! row {
            ($($variant:ident),+) => {
                match &self.data { $(ColumnData::$variant(values) => ColumnData::$variant(vec![values[row].clone()]),)+ }
            };
        }
        let data = with_variants!(row);
        Self { data, statuses: self.statuses.as_ref().map(|statuses| vec![statuses[row]]) }
    }

    /// Returns a row's value and status as text, in which NaN equals NaN.
    pub(crate) fn comparable(&self, row: usize) -> String {
        format!("{:?}, {:?}", self.row(row).data, self.status(row))
    }
}
