//! The host's side of `lookup`.

use crate::{
    bindings::{feature_reader, feature_reader::LookupError, types::Column as GuestColumn},
    columns,
    guest::{Call, Guest},
    keys::{self, Keys},
};
use littoral_model::{
    column::{Column, Status},
    read::{ReadAnswer, ReadRequest, ViewRead, row_status},
    row::Row,
    view::FeatureView,
};

impl feature_reader::Host for Guest {
    async fn lookup(
        &mut self,
        view: String,
        keys: Vec<GuestColumn>,
        features: Vec<String>,
    ) -> Result<Vec<GuestColumn>, LookupError> {
        match &mut self.call {
            Some(call) => call.lookup(&view, &keys, &features).await,
            None => Err(LookupError::Unavailable("lookups are possible only within transform".into())),
        }
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
        let request = ReadRequest { reads: vec![ViewRead { view: view.id, keys: batch }], demand: self.demand.clone() };
        let mut answer = ReadAnswer::default();
        if !self.reader.read_now(&request, &mut answer) {
            answer = match self.reader.read(&request).await {
                Ok(answer) => answer,
                Err(error) => {
                    self.lookup_failed = Some(error.clone());
                    return Err(LookupError::Unavailable(error.to_string()));
                }
            };
        }
        let rows = answer.rows.pop().unwrap_or_default();
        let gathered = places.into_iter().map(|place| columns::to_guest(self.gather(view, place, &rows, &absent)));
        Ok(gathered.collect())
    }

    fn gather(&self, view: &FeatureView, place: usize, rows: &[Option<Row>], absent: &[bool]) -> Column {
        let value_type = view.features[place].value_type;
        let mut column = Column::with_capacity(value_type, rows.len());
        for (row, absent) in rows.iter().zip(absent) {
            let row = row.as_ref().filter(|_| !absent);
            match (row, row_status(view, row, self.now)) {
                (Some(row), Status::Present) => column.push(row.value(place, value_type)),
                (_, status) => column.push_absent(status),
            }
        }
        column
    }
}
