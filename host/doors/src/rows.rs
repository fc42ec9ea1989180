//! Builds rows: from values of a request to packed rows. Each error names its row and column.

use crate::{Config, failure::Failure};
use http::StatusCode;
use littoral_api::code;
use littoral_model::{
    entity_key::KEY_LEN_MAX,
    event_time::EventTime,
    row_body::BodyBuilder,
    view::FeatureView,
    write::{RowBatch, RowWrite},
};
use littoral_read::{cell::Cell, coerce};

/// The rows of one write.
pub(crate) struct Rows {
    batch: RowBatch,
    rows_max: usize,
    bytes_max: usize,
    now: EventTime,
}

/// Writes rows of one view: [`begin`](Writer::begin), the join keys in order, the features in order,
/// [`end`](Writer::end).
pub(crate) struct Writer<'a> {
    rows: &'a mut Rows,
    view: &'a FeatureView,
    /// What errors call the row, and its number.
    at: (&'static str, usize),
    key: Vec<u8>,
    keys: usize,
    values: usize,
    builder: BodyBuilder,
    body: Vec<u8>,
}

impl Rows {
    pub(crate) fn new(config: &Config) -> Self {
        let bytes_max = config.write_packed_bytes_max.min(u32::MAX as usize);
        let mut batch = RowBatch::default();
        let now = littoral_runtime::clock::wall();
        batch.stamp(now);
        Self { batch, rows_max: config.write_rows_max, bytes_max, now }
    }

    /// Returns the event time of rows without one.
    pub(crate) fn now(&self) -> EventTime {
        self.now
    }

    /// Begins rows of a view.
    pub(crate) fn view<'a>(&'a mut self, view: &'a FeatureView) -> Writer<'a> {
        let builder = BodyBuilder::new(view.features.len());
        Writer { rows: self, view, at: ("row", 0), key: Vec::new(), keys: 0, values: 0, builder, body: Vec::new() }
    }

    /// Returns the rows.
    pub(crate) fn finish(self) -> RowBatch {
        self.batch
    }

    fn push(&mut self, row: RowWrite<'_>) -> Result<(), Failure> {
        let too_large = |message| Failure::new(StatusCode::PAYLOAD_TOO_LARGE, code::WRITE_TOO_LARGE, message);
        if self.batch.len() >= self.rows_max {
            return Err(too_large(format!("more than {} rows at once; write them in parts", self.rows_max)));
        }
        let len = row.key.len() + row.body.map_or(0, <[u8]>::len);
        if self.batch.payload_len() + len > self.bytes_max {
            return Err(too_large(format!("the rows are larger than {} bytes; write them in parts", self.bytes_max)));
        }
        self.batch.push(row);
        Ok(())
    }
}

impl Writer<'_> {
    /// Begins a row. `kind` and `number` are what errors call it, as in `row 3` or `delete 0`.
    pub(crate) fn begin(&mut self, kind: &'static str, number: usize) {
        self.at = (kind, number);
        self.key.clear();
        self.keys = 0;
        self.values = 0;
        self.builder.reset();
    }

    fn wrong(&self, column: &str, reason: &str) -> Failure {
        let (kind, number) = self.at;
        let message = format!("view '{}', {kind} {number}, column '{column}': {reason}", self.view.name);
        Failure::invalid(code::INVALID_ROW, message)
    }

    /// Appends the next join key.
    pub(crate) fn key(&mut self, cell: &Cell<'_>) -> Result<(), Failure> {
        let Some(key) = self.view.join_keys.get(self.keys) else { return Ok(()) };
        coerce::key(key.value_type, cell).map_err(|reason| self.wrong(&key.name, &reason))?.push(&mut self.key);
        self.keys += 1;
        if self.key.len() > KEY_LEN_MAX {
            let reason = format!("the entity key is {} bytes long; the longest is {KEY_LEN_MAX}", self.key.len());
            return Err(self.wrong(&key.name, &reason));
        }
        Ok(())
    }

    /// Appends the next feature.
    pub(crate) fn value(&mut self, cell: &Cell<'_>) -> Result<(), Failure> {
        let Some(feature) = self.view.features.get(self.values) else { return Ok(()) };
        let value = coerce::value(feature.value_type, cell).map_err(|reason| self.wrong(&feature.name, &reason))?;
        let pushed = self.builder.push(feature.value_type, &value);
        pushed.map_err(|error| self.wrong(&feature.name, &error.to_string()))?;
        self.values += 1;
        Ok(())
    }

    /// Ends the row. Features without a value are null.
    pub(crate) fn end(&mut self, event_time: EventTime) -> Result<(), Failure> {
        self.body.clear();
        let packed = self.builder.append_to(&mut self.body);
        packed.map_err(|error| self.wrong("*", &error.to_string()))?;
        let body = Some(self.body.as_slice());
        self.rows.push(RowWrite { view: self.view.id, event_time, key: &self.key, body })
    }

    /// Ends the row as a deletion.
    pub(crate) fn delete(&mut self, event_time: EventTime) -> Result<(), Failure> {
        self.rows.push(RowWrite { view: self.view.id, event_time, key: &self.key, body: None })
    }
}
