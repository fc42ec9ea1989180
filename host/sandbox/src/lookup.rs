//! The host's side of `lookup`.

use crate::{
    bindings::{feature_reader, feature_reader::LookupError, types::Column as GuestColumn},
    columns,
    guest::{Call, Guest},
    keys::{self, Keys},
};
use littoral_model::{
    column::{Column, Status},
    entity_key::KeyBatch,
    parts,
    read::{ReadAnswer, ReadRequest, ViewRead, row_status},
    row::Row,
    row_body::ValueRef,
    view::FeatureView,
};
use std::time::{Duration, Instant};

/// Bytes that any value takes in the guest, at least: a pointer and a length, or a number.
const SLOT_LEN: usize = 8;

impl feature_reader::Host for Guest {
    async fn lookup(
        &mut self,
        view: String,
        keys: Vec<GuestColumn>,
        features: Vec<String>,
    ) -> Result<Vec<GuestColumn>, LookupError> {
        let Some(call) = &mut self.call else {
            return Err(LookupError::Unavailable("lookups are possible only within transform".into()));
        };
        call.waited = Duration::ZERO;
        let columns = call.lookup(&view, &keys, &features).await;
        let waited = call.waited;
        if !waited.is_zero() {
            self.deadline.waited(waited);
        }
        columns
    }
}

impl Call {
    async fn lookup(
        &mut self,
        view: &str,
        key_columns: &[GuestColumn],
        features: &[String],
    ) -> Result<Vec<GuestColumn>, LookupError> {
        if !self.manifest.lookups.iter().any(|declared| declared == view) {
            return Err(LookupError::NotDeclared(format!(
                "view '{view}' is not among the lookups that the module declares"
            )));
        }
        let catalogue = self.reader.catalogue();
        let view = catalogue.view(view).ok_or_else(|| LookupError::Invalid(format!("there is no view '{view}'")))?;
        let places = features.iter().map(|name| {
            view.feature(name)
                .map(|(index, _)| index)
                .ok_or_else(|| LookupError::Invalid(format!("view '{}' has no feature '{name}'", view.name)))
        });
        let places = places.collect::<Result<Vec<usize>, _>>()?;
        let keys = keys::encode(view, key_columns)?;
        self.keys_left = (self.keys_left.checked_sub(keys.absent.len() as u64)).ok_or_else(|| {
            LookupError::TooMany(format!("{} more keys, the call has {} left", keys.absent.len(), self.keys_left))
        })?;
        let Keys { batch, absent } = keys;
        let all_there = batch.len() == absent.len();
        let mut rows = if batch.is_empty() { Vec::new() } else { self.read(view, batch).await? };
        if !all_there {
            let mut found = rows.into_iter();
            rows = absent.into_iter().map(|absent| if absent { None } else { found.next().flatten() }).collect();
        }
        let mut room = self.answer_bytes;
        let columns = places.into_iter().map(|place| self.gather(view, place, &rows, &mut room).map(columns::to_guest));
        columns.collect()
    }

    async fn read(&mut self, view: &FeatureView, keys: KeyBatch) -> Result<Vec<Option<Row>>, LookupError> {
        let request = ReadRequest { reads: vec![ViewRead { view: view.id, keys }], demand: self.demand.clone() };
        let mut answer = ReadAnswer::default();
        if view.merge.combines() || !self.reader.read_now(&request, &mut answer) {
            let begun = Instant::now();
            let read = if view.merge.combines() {
                parts::read(&*self.reader, &request, self.now, &mut answer).await
            } else {
                self.reader.read(&request).await.map(|read| answer = read)
            };
            self.waited = begun.elapsed();
            if let Err(error) = read {
                let why = error.to_string();
                self.lookup_failed = Some(error);
                return Err(LookupError::Unavailable(why));
            }
        }
        Ok(answer.rows.pop().unwrap_or_default())
    }

    /// One feature's column. What would not fit the guest's memory is not even gathered: `room` counts down.
    fn gather(
        &self,
        view: &FeatureView,
        place: usize,
        rows: &[Option<Row>],
        room: &mut usize,
    ) -> Result<Column, LookupError> {
        let value_type = view.features[place].value_type;
        let mut column = Column::with_capacity(value_type, rows.len());
        for row in rows {
            let row = row.as_ref();
            let mut bytes = SLOT_LEN;
            match (row, row_status(view, row, self.now)) {
                (Some(row), Status::Present) => {
                    let value = row.value(place, value_type);
                    bytes += match value {
                        ValueRef::String(text) => text.len(),
                        ValueRef::Bytes(bytes) => bytes.len(),
                        ValueRef::List(_) => row.body().len(),
                        _ => 0,
                    };
                    column.push(value);
                }
                (_, status) => column.push_absent(status),
            }
            *room = room.checked_sub(bytes).ok_or_else(|| {
                let (name, keys) = (view.name.as_str(), rows.len());
                LookupError::TooMany(format!(
                    "the values of {keys} rows of '{name}' take more than the {} bytes that a module may have; look up \
                     fewer at once",
                    self.answer_bytes
                ))
            })?;
        }
        Ok(column)
    }
}
