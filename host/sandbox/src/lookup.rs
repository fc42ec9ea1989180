//! The host's side of `lookup`.

use crate::{
    bindings::v0_2::feature_reader::LookupError,
    guest::{Call, Guest, Pace},
    keys::{self, Keys},
    thread_time,
};
use littoral_model::{
    column::{Column, Status},
    entity_key::KeyBatch,
    parts,
    read::{ReadAnswer, ReadError, ReadRequest, ViewRead, row_status},
    row::Row,
    row_body::ValueRef,
    view::FeatureView,
};

/// The least memory of any value, in bytes: the slot of a list or text, which is larger here than in the guest, or a
/// number.
const SLOT_LEN: usize = size_of::<String>();

impl Guest {
    /// Looks up rows. A guest whose WIT version has no `unknown` status gets an error for an unknown row.
    ///
    /// # Errors
    /// The trap that ends a guest whose time is used up.
    pub(crate) async fn look_up(
        &mut self,
        view: String,
        keys: Vec<Column>,
        features: Vec<String>,
        tells_unknown: bool,
    ) -> wasmtime::Result<Result<Vec<Column>, LookupError>> {
        let Self { call, pace, .. } = self;
        pace.step().await?;
        let Some(call) = call else {
            return Ok(Err(LookupError::Unavailable("lookups are possible only within transform".into())));
        };
        match call.lookup(pace, &view, &keys, &features, tells_unknown).await {
            Ok(columns) => Ok(Ok(columns)),
            Err(Ended::Rejected(error)) => {
                call.lookup_rejected = true;
                Ok(Err(error))
            }
            Err(Ended::Trap(trap)) => Err(trap),
        }
    }
}

/// What the host knows about the row of a key.
#[derive(Clone, Copy, Default)]
struct Found<'a> {
    row: Option<&'a Row>,
    unknown: bool,
}

/// Why a lookup returns no rows.
enum Ended {
    /// The error for the guest.
    Rejected(LookupError),
    /// The guest's time is used up.
    Trap(wasmtime::Error),
}

impl From<LookupError> for Ended {
    fn from(error: LookupError) -> Self {
        Self::Rejected(error)
    }
}

impl From<wasmtime::Error> for Ended {
    fn from(trap: wasmtime::Error) -> Self {
        Self::Trap(trap)
    }
}

impl Call {
    async fn lookup(
        &mut self,
        pace: &mut Pace,
        view: &str,
        key_columns: &[Column],
        features: &[String],
        tells_unknown: bool,
    ) -> Result<Vec<Column>, Ended> {
        if !self.manifest.lookups.iter().any(|declared| declared == view) {
            return Err(LookupError::NotDeclared(format!(
                "view '{view}' is not among the lookups that the module declares"
            ))
            .into());
        }
        let catalogue = self.reader.catalogue();
        let view = catalogue.view(view).ok_or_else(|| LookupError::Invalid(format!("there is no view '{view}'")))?;
        let mut places = Vec::with_capacity(features.len().min(view.features.len()));
        let mut asked = vec![false; view.features.len()];
        for name in features {
            pace.step().await?;
            let (index, _) = view
                .feature(name)
                .ok_or_else(|| LookupError::Invalid(format!("view '{}' has no feature '{name}'", view.name)))?;
            if std::mem::replace(&mut asked[index], true) {
                return Err(LookupError::Invalid(format!("feature '{name}' is requested twice")).into());
            }
            places.push(index);
        }
        let keys = keys::encode(view, key_columns)?;
        self.keys_left = (self.keys_left.checked_sub(keys.absent.len() as u64)).ok_or_else(|| {
            LookupError::TooMany(format!("{} more keys, but the call has {} left", keys.absent.len(), self.keys_left))
        })?;
        let Keys { batch, absent } = keys;
        let all_there = batch.len() == absent.len();
        let answer = if batch.is_empty() { ReadAnswer::default() } else { self.read(pace, view, batch).await? };
        if !tells_unknown && let Some(error) = answer.unknown_error(0, |_| view.name.clone()) {
            return Err(self.failed(error));
        }
        let unknown = |key| answer.is_unknown(0, key);
        let mut rows: Vec<Found<'_>> = (answer.rows.first().into_iter().flatten().enumerate())
            .map(|(key, row)| Found { row: row.as_ref(), unknown: unknown(key) })
            .collect();
        if !all_there {
            let mut found = rows.into_iter();
            rows = absent
                .into_iter()
                .map(|absent| if absent { Found::default() } else { found.next().unwrap_or_default() })
                .collect();
        }
        let mut budget = self.answer_bytes;
        let mut columns = Vec::with_capacity(places.len());
        for place in places {
            pace.step().await?;
            columns.push(self.gather(view, place, &rows, &mut budget)?);
        }
        Ok(columns)
    }

    async fn read(&mut self, pace: &mut Pace, view: &FeatureView, keys: KeyBatch) -> Result<ReadAnswer, Ended> {
        let request = ReadRequest { reads: vec![ViewRead { view: view.id, keys }], demand: self.demand.clone() };
        let mut answer = ReadAnswer::default();
        if view.merge.combines() || !self.reader.read_local(&request, &mut answer) {
            let slice = pace.check()?;
            let read = if view.merge.combines() {
                parts::read(&*self.reader, &request, self.now, &mut answer).await
            } else {
                self.reader.read(&request).await.map(|read| answer = read)
            };
            slice.begin(thread_time::exact());
            read.map_err(|error| self.failed(error))?;
        }
        Ok(answer)
    }

    /// Records a read that failed for a reason outside the guest.
    fn failed(&mut self, error: ReadError) -> Ended {
        let why = error.to_string();
        self.lookup_failed = Some(error);
        LookupError::Unavailable(why).into()
    }

    /// Gathers the column of one feature. `budget` counts down, and values that would exceed it are not copied.
    fn gather(
        &self,
        view: &FeatureView,
        place: usize,
        rows: &[Found<'_>],
        budget: &mut usize,
    ) -> Result<Column, LookupError> {
        let value_type = view.features[place].value_type;
        let mut column = Column::with_capacity(value_type, rows.len());
        for Found { row, unknown } in rows {
            let mut bytes = SLOT_LEN;
            let status = if *unknown { Status::Unknown } else { row_status(view, *row, self.now) };
            match (row, status) {
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
            *budget = budget.checked_sub(bytes).ok_or_else(|| {
                let (name, keys) = (view.name.as_str(), rows.len());
                LookupError::TooMany(format!(
                    "the values of {keys} rows of '{name}' need more than the {} bytes that a lookup returns at once; look up \
                     fewer",
                    self.answer_bytes
                ))
            })?;
        }
        Ok(column)
    }
}
