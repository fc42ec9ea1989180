//! Which column is which part of a view: decided once for a schema, before any row is looked at.

use crate::{Checked, EVENT_TIMESTAMP, Error, Limits, canonical, event_times};
use arrow_array::RecordBatch;
use arrow_schema::Schema;
use littoral_model::{event_time::EventTime, value::ValueType, view::FeatureView};
use std::collections::{BTreeMap, BTreeSet};

/// What to do with columns that the view does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extra {
    /// Refuse the batch: at a door, such a column is likely a misspelt feature.
    #[default]
    Refuse,
    /// Leave them out; [`Plan::ignored`] names them.
    Ignore,
}

/// What to do when a feature has no column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// The feature is null in every row, as where a JSON row leaves it out.
    #[default]
    Null,
    /// Refuse the batch: in a file, such a feature is likely misspelt.
    Refuse,
}

/// How columns are found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// The event timestamp's column. `None` takes [`EVENT_TIMESTAMP`], and the time of the write where that is missing.
    pub timestamp: Option<String>,
    /// Join key or feature -> column, where the names differ.
    pub renamed: BTreeMap<String, String>,
    /// Columns beyond the view's.
    pub extra: Extra,
    /// Features without a column.
    pub missing: Missing,
}

/// One column of a plan.
#[derive(Clone, Debug)]
pub(crate) struct PlannedColumn {
    /// The name within the view.
    pub(crate) name: String,
    /// The name within the batch, for errors.
    pub(crate) column: String,
    /// Where it stands in the batch.
    pub(crate) index: usize,
    /// What it becomes.
    pub(crate) value_type: ValueType,
}

/// How batches of one schema become rows of one view.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) view: FeatureView,
    pub(crate) keys: Vec<PlannedColumn>,
    /// Per feature of the view.
    pub(crate) features: Vec<Option<PlannedColumn>>,
    pub(crate) timestamp: Option<(String, usize)>,
    ignored: Vec<String>,
}

impl Plan {
    /// Finds each part of the view among the columns and checks their types.
    ///
    /// # Errors
    /// [`Error`], naming the column.
    pub fn new(schema: &Schema, view: &FeatureView, columns: &Columns) -> Result<Self, Error> {
        let mut by_name = BTreeMap::new();
        for (index, field) in schema.fields().iter().enumerate() {
            if by_name.insert(field.name().as_str(), index).is_some() {
                return Err(Error::DuplicateColumn(field.name().clone()));
            }
        }
        let there = || by_name.keys().take(64).map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
        for name in columns.renamed.keys() {
            if view.feature(name).is_none() && !view.join_keys.iter().any(|key| key.name == *name) {
                return Err(Error::UnknownMapping { view: view.name.clone(), name: name.clone() });
            }
        }
        let column_of = |name: &str| columns.renamed.get(name).cloned().unwrap_or_else(|| name.to_owned());
        let find = |name: &str, value_type: ValueType| -> Result<Option<PlannedColumn>, Error> {
            let column = column_of(name);
            let Some(&index) = by_name.get(column.as_str()) else { return Ok(None) };
            canonical::check_type(&column, schema.field(index).data_type(), value_type)?;
            Ok(Some(PlannedColumn { name: name.to_owned(), column, index, value_type }))
        };
        let mut keys = Vec::with_capacity(view.join_keys.len());
        for key in &view.join_keys {
            keys.push(find(&key.name, key.value_type)?.ok_or_else(|| Error::MissingKey {
                view: view.name.clone(),
                column: column_of(&key.name),
                there: there(),
            })?);
        }
        let mut features = Vec::with_capacity(view.features.len());
        for feature in &view.features {
            let found = find(&feature.name, feature.value_type)?;
            let wanted = columns.missing == Missing::Refuse || columns.renamed.contains_key(&feature.name);
            if found.is_none() && wanted {
                return Err(Error::MissingFeature {
                    view: view.name.clone(),
                    column: column_of(&feature.name),
                    there: there(),
                });
            }
            features.push(found);
        }
        if features.iter().all(Option::is_none) {
            return Err(Error::NoFeatures { view: view.name.clone(), there: there() });
        }
        let timestamp_name = columns.timestamp.as_deref().unwrap_or(EVENT_TIMESTAMP);
        let timestamp = by_name.get(timestamp_name).map(|index| (timestamp_name.to_owned(), *index));
        match &timestamp {
            Some((column, index)) => event_times::check_type(column, schema.field(*index).data_type())?,
            None if columns.timestamp.is_some() => {
                return Err(Error::MissingTimestamp { column: timestamp_name.to_owned(), there: there() });
            }
            None => {}
        }
        let used: BTreeSet<usize> = (keys.iter().chain(features.iter().flatten()).map(|column| column.index))
            .chain(timestamp.iter().map(|(_, index)| *index))
            .collect();
        let ignored: Vec<String> =
            (by_name.iter().filter(|(_, index)| !used.contains(index))).map(|(name, _)| (*name).to_owned()).collect();
        if let (Extra::Refuse, Some(column)) = (columns.extra, ignored.first()) {
            return Err(Error::UnknownColumn { view: view.name.clone(), column: column.clone() });
        }
        Ok(Self { view: view.clone(), keys, features, timestamp, ignored })
    }

    /// The columns that are left out, by name.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// Where the columns stand that are used, ascending.
    #[must_use]
    pub fn used(&self) -> Vec<usize> {
        let columns = self.keys.iter().chain(self.features.iter().flatten()).map(|column| column.index);
        let used: BTreeSet<usize> = columns.chain(self.timestamp.iter().map(|(_, index)| *index)).collect();
        used.into_iter().collect()
    }

    /// Where the entity key's and the timestamp's columns stand, ascending.
    #[must_use]
    pub fn used_by_keys(&self) -> Vec<usize> {
        let columns = self.keys.iter().map(|column| column.index);
        let used: BTreeSet<usize> = columns.chain(self.timestamp.iter().map(|(_, index)| *index)).collect();
        used.into_iter().collect()
    }

    /// The same plan for batches that hold only these columns, given ascending as in the batches before; features
    /// without a column are then null. Lets a reader skip what it does not need.
    ///
    /// # Errors
    /// [`Error::MissingKey`] when a join key is not among them.
    pub fn project(&self, columns: &[usize]) -> Result<Self, Error> {
        let moved = |index: usize| columns.iter().position(|column| *column == index);
        let mut plan = self.clone();
        for key in &mut plan.keys {
            key.index = moved(key.index).ok_or_else(|| Error::MissingKey {
                view: self.view.name.clone(),
                column: key.column.clone(),
                there: "only the columns that are read".to_owned(),
            })?;
        }
        for feature in &mut plan.features {
            *feature =
                feature.take().and_then(|planned| Some(PlannedColumn { index: moved(planned.index)?, ..planned }));
        }
        plan.timestamp = plan.timestamp.and_then(|(name, index)| Some((name, moved(index)?)));
        Ok(plan)
    }

    /// Whether rows bring their event timestamps.
    #[must_use]
    pub fn has_timestamps(&self) -> bool {
        self.timestamp.is_some()
    }

    /// Checks a batch's values and brings them into the view's types. Rows without an event timestamp get
    /// `default_time`.
    ///
    /// # Errors
    /// [`Error::Value`] with column and row; [`Error::TooManyRows`], [`Error::TooLarge`].
    pub fn check(&self, batch: &RecordBatch, default_time: EventTime, limits: Limits) -> Result<Checked, Error> {
        Checked::new(self, batch, default_time, limits)
    }
}
