//! A batch that was checked against its view.

use crate::{
    EVENT_TIMESTAMP, Error, Limits, Plan,
    canonical::{self, CellError},
    cells::{Cells, Values},
    event_times,
};
use arrow_array::{
    Array, ArrayRef, Int64Array, RecordBatch, TimestampNanosecondArray, UInt32Array, cast::AsArray as _,
    types::Int64Type,
};
use arrow_schema::{Field, Schema};
use littoral_model::{
    entity_key::{self, KEY_LEN_MAX},
    event_time::EventTime,
    row_body::BodyBuilder,
    value::ValueType,
    view::ViewId,
    write::{RowBatch, RowWrite},
};
use std::sync::Arc;

/// A batch's columns, converted to the view's value types. No key or event timestamp is null.
#[derive(Clone, Debug)]
pub struct Checked {
    view: ViewId,
    rows: usize,
    keys: Vec<(String, ValueType, ArrayRef)>,
    /// For each feature of the view, its column.
    features: Vec<(ValueType, Option<(String, ArrayRef)>)>,
    times: Option<Int64Array>,
    /// The creation time of each row, if a column has it.
    created: Option<Vec<Option<i64>>>,
    default_time: EventTime,
}

impl Checked {
    pub(crate) fn new(
        plan: &Plan,
        batch: &RecordBatch,
        default_time: EventTime,
        limits: Limits,
    ) -> Result<Self, Error> {
        // Check this first: a batch of Null columns states a number of rows and contains no bytes.
        if batch.num_rows() > limits.rows_max {
            return Err(Error::TooManyRows(limits.rows_max));
        }
        let at = |column: &str| {
            let column = column.to_owned();
            move |(row, reason): CellError| Error::Value { column, row, reason }
        };
        let mut keys = Vec::with_capacity(plan.keys.len());
        for key in &plan.keys {
            let array = canonical::canonical(batch.column(key.index), key.value_type, limits.bytes_max);
            let array = array.map_err(at(&key.column))?;
            if let Some(row) = (0..array.len()).find(|row| array.is_null(*row)) {
                let reason = "the join key is null; every row needs its whole entity key".to_owned();
                return Err(Error::Value { column: key.column.clone(), row, reason });
            }
            keys.push((key.name.clone(), key.value_type, array));
        }
        let mut features = Vec::with_capacity(plan.features.len());
        for (feature, planned) in plan.view.features.iter().zip(&plan.features) {
            let column = match planned {
                None => None,
                Some(planned) => {
                    let array = canonical::canonical(batch.column(planned.index), planned.value_type, limits.bytes_max);
                    Some((planned.name.clone(), array.map_err(at(&planned.column))?))
                }
            };
            features.push((feature.value_type, column));
        }
        let times = match &plan.timestamp {
            None => None,
            Some((column, index)) => {
                Some(event_times::event_times(batch.column(*index), limits.bytes_max).map_err(at(column))?)
            }
        };
        let created = match &plan.created {
            None => None,
            Some(planned) => {
                let times = created(batch.column(planned.index), planned.lenient, limits.bytes_max);
                Some(times.map_err(at(&planned.column))?)
            }
        };
        let checked = Self { view: plan.view.id, rows: batch.num_rows(), keys, features, times, created, default_time };
        checked.check_key_lengths()?;
        Ok(checked)
    }

    fn check_key_lengths(&self) -> Result<(), Error> {
        if self.keys.iter().all(|(_, value_type, _)| !matches!(value_type, ValueType::String | ValueType::Bytes)) {
            return Ok(());
        }
        let mut key = Vec::new();
        let cells = self.key_cells();
        for row in 0..self.rows {
            key.clear();
            push_key(&cells, row, &mut key);
            if key.len() > KEY_LEN_MAX {
                return Err(Error::KeyTooLong { row, len: key.len() });
            }
        }
        Ok(())
    }

    fn key_cells(&self) -> Vec<Cells<'_>> {
        self.keys.iter().map(|(_, value_type, array)| Cells::new(array, *value_type)).collect()
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the event time of row `row`.
    ///
    /// # Panics
    /// Panics if there is no such row, like a slice.
    #[must_use]
    pub fn event_time(&self, row: usize) -> EventTime {
        self.times.as_ref().map_or(self.default_time, |times| EventTime(times.value(row)))
    }

    /// Returns the creation time of row `row`; `None` if unknown.
    #[must_use]
    pub fn created(&self, row: usize) -> Option<EventTime> {
        self.created.as_ref()?.get(row).copied().flatten().map(EventTime)
    }

    /// Calls `each` with every row's index and entity key, in order.
    pub fn for_each_key(&self, mut each: impl FnMut(usize, &[u8])) {
        let cells = self.key_cells();
        let mut key = Vec::new();
        for row in 0..self.rows {
            key.clear();
            push_key(&cells, row, &mut key);
            each(row, &key);
        }
    }

    /// Returns the rows with these indexes, in this order.
    ///
    /// # Errors
    /// [`Error::Malformed`] if an index is out of range.
    pub fn take(&self, rows: &[u32]) -> Result<Self, Error> {
        let indices = UInt32Array::from(rows.to_vec());
        let take = |array: &dyn Array| {
            arrow_select::take::take(array, &indices, Some(arrow_select::take::TakeOptions { check_bounds: true }))
                .map_err(|error| Error::Malformed(error.to_string()))
        };
        let mut taken = Self { rows: rows.len(), ..self.clone() };
        if let Some(created) = &mut taken.created {
            *created = rows.iter().map(|row| created.get(*row as usize).copied().flatten()).collect();
        }
        for (_, _, array) in &mut taken.keys {
            *array = take(array)?;
        }
        for (_, array) in taken.features.iter_mut().filter_map(|(_, column)| column.as_mut()) {
            *array = take(array)?;
        }
        if let Some(times) = &mut taken.times {
            *times = take(times)?.as_primitive::<Int64Type>().clone();
        }
        Ok(taken)
    }

    /// Appends every row, packed.
    ///
    /// # Errors
    /// [`Error::TooManyRows`] or [`Error::TooLarge`] if `rows` would exceed the limits; it then contains a part
    /// of the rows.
    pub fn append_to(&self, rows: &mut RowBatch, limits: Limits) -> Result<(), Error> {
        if rows.len() + self.rows > limits.rows_max {
            return Err(Error::TooManyRows(limits.rows_max));
        }
        let bytes_max = limits.bytes_max.min(u32::MAX as usize);
        let key_cells = self.key_cells();
        let cells: Vec<Option<Cells<'_>>> = (self.features.iter())
            .map(|(value_type, column)| column.as_ref().map(|(_, array)| Cells::new(array, *value_type)))
            .collect();
        let mut builder = BodyBuilder::new(cells.len());
        let (mut key, mut body, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..self.rows {
            key.clear();
            push_key(&key_cells, row, &mut key);
            builder.reset();
            for cell in &cells {
                match cell {
                    Some(cell) => cell.push(row, &mut builder, &mut scratch),
                    None => builder.push_null(),
                }
            }
            body.clear();
            builder.append_to(&mut body).map_err(|_| Error::TooLarge(bytes_max))?;
            if rows.payload_len() + key.len() + body.len() > bytes_max {
                return Err(Error::TooLarge(bytes_max));
            }
            rows.push(RowWrite { view: self.view, event_time: self.event_time(row), key: &key, body: Some(&body) });
        }
        Ok(())
    }

    /// Converts the rows to an Arrow batch with the view's names and types, which every door
    /// accepts.
    ///
    /// # Errors
    /// [`Error::Malformed`] if Arrow rejects the columns, which should not happen.
    pub fn to_batch(&self) -> Result<RecordBatch, Error> {
        let mut fields = Vec::new();
        let mut columns: Vec<ArrayRef> = Vec::new();
        let features = self.features.iter().filter_map(|(_, column)| column.as_ref());
        for (name, array) in self.keys.iter().map(|(name, _, array)| (name, array)).chain(features.map(|(n, a)| (n, a)))
        {
            fields.push(Field::new(name, array.data_type().clone(), true));
            columns.push(Arc::clone(array));
        }
        let times: TimestampNanosecondArray = match &self.times {
            Some(times) => times.reinterpret_cast(),
            None => TimestampNanosecondArray::from(vec![self.default_time.0; self.rows]),
        };
        let times = times.with_timezone("UTC");
        fields.push(Field::new(EVENT_TIMESTAMP, times.data_type().clone(), false));
        columns.push(Arc::new(times));
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
            .map_err(|error| Error::Malformed(error.to_string()))
    }
}

/// Returns the creation times. Null is allowed, and orders before all times.
fn created(array: &ArrayRef, lenient: bool, bytes_max: usize) -> Result<Vec<Option<i64>>, CellError> {
    match event_times::times(array, bytes_max) {
        // Row by row, to keep those values that are valid times.
        Err(_) if lenient => Ok((0..array.len())
            .map(|row| event_times::times(&array.slice(row, 1), bytes_max).ok()?.first().copied().flatten())
            .collect()),
        times => times,
    }
}

#[inline]
fn push_key(cells: &[Cells<'_>], row: usize, key: &mut Vec<u8>) {
    for cell in cells {
        match &cell.values {
            Values::Int64(values) => entity_key::push_i64(key, values[row]),
            Values::Int32(values) => entity_key::push_i64(key, i64::from(values[row])),
            Values::String(values) => entity_key::push_bytes(key, values.value(row).as_bytes()),
            Values::Bytes(values) => entity_key::push_bytes(key, values.value(row)),
            // No other type can be a join key: `FeatureView::normalize` rejects it.
            Values::Bool(_) | Values::Float(_) | Values::Double(_) | Values::List(..) => {}
        }
    }
}
