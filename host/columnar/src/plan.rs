//! Plans: which column supplies which part of a view's rows. Decided once per schema, before any
//! row is read.

use crate::{Checked, EVENT_TIMESTAMP, Error, Limits, canonical, event_times};
use arrow_array::RecordBatch;
use arrow_schema::Schema;
use littoral_model::{
    event_time::EventTime,
    value::ValueType,
    view::{FeatureView, JoinKey},
};
use std::collections::{BTreeMap, BTreeSet};

/// What to do with columns that the view does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extra {
    /// Reject the batch: in a request, such a column is probably a misspelt feature.
    #[default]
    Reject,
    /// Skip them; [`Plan::ignored`] lists them.
    Ignore,
}

/// What to do with a feature that has no column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// The feature is null in every row, like a feature that a JSON row omits.
    #[default]
    Null,
    /// Reject the batch: in a file, such a feature is probably misspelt.
    Reject,
}

/// Which column has the creation times of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Created {
    /// None.
    #[default]
    Unused,
    /// This one, if it exists and its type can hold times. Values that are not times are ignored: the name is a guess.
    IfThere(String),
    /// This one, if it exists. It must then hold times: the view's source names it.
    Named(String),
    /// This one, which must exist.
    Required(String),
}

/// How columns are matched to a view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// The event timestamp's column. `None` stands for [`EVENT_TIMESTAMP`], or for the time of the
    /// write if that column is missing.
    pub timestamp: Option<String>,
    /// Join key or feature -> column, for names that differ.
    pub renamed: BTreeMap<String, String>,
    /// Column -> join key, feature or time column, as in a view's row source. An existing column
    /// replaces the name that it maps to; a missing one is ignored. [`Self::renamed`] has
    /// precedence.
    pub field_mapping: BTreeMap<String, String>,
    /// The column with the creation times.
    pub created: Created,
    /// The handling of columns that the view does not have.
    pub extra: Extra,
    /// The handling of features without a column.
    pub missing: Missing,
}

/// A column in a plan.
#[derive(Clone, Debug)]
pub(crate) struct PlannedColumn {
    /// The name in the view.
    pub(crate) name: String,
    /// The name in the batch, for errors.
    pub(crate) column: String,
    /// The column's index in the batch.
    pub(crate) index: usize,
    /// The value type to which it is converted.
    pub(crate) value_type: ValueType,
}

/// The column with the creation times.
#[derive(Clone, Debug)]
pub(crate) struct CreatedColumn {
    /// The name in the batch.
    pub(crate) column: String,
    /// The column's index in the batch.
    pub(crate) index: usize,
    /// Whether the column was not named explicitly, so that values that are not times are ignored.
    pub(crate) lenient: bool,
}

/// A plan that converts batches of one schema to rows of one view.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) view: FeatureView,
    pub(crate) keys: Vec<PlannedColumn>,
    /// For each feature of the view, its column.
    pub(crate) features: Vec<Option<PlannedColumn>>,
    pub(crate) timestamp: Option<(String, usize)>,
    pub(crate) created: Option<CreatedColumn>,
    ignored: Vec<String>,
}

impl Plan {
    /// Matches the columns to the view and checks their types.
    ///
    /// # Errors
    /// [`Error`], which names the column.
    pub fn new(schema: &Schema, view: &FeatureView, columns: &Columns) -> Result<Self, Error> {
        let matching = Matching::new(schema, view, columns)?;
        let keys = matching.keys()?;
        let features = matching.features()?;
        let timestamp = matching.timestamp()?;
        let mut used: BTreeSet<usize> = (keys.iter().chain(features.iter().flatten()).map(|column| column.index))
            .chain(timestamp.iter().map(|(_, index)| *index))
            .collect();
        let created = matching.created(&used)?;
        used.extend(created.iter().map(|created| created.index));
        let ignored = matching.others(&used);
        if let (Extra::Reject, Some(column)) = (columns.extra, ignored.first()) {
            return Err(Error::UnknownColumn { view: view.name.clone(), column: column.clone() });
        }
        Ok(Self { view: view.clone(), keys, features, timestamp, created, ignored })
    }

    /// Returns the names of the skipped columns.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// Returns the name of the column with the creation times, if any.
    #[must_use]
    pub fn created(&self) -> Option<&str> {
        self.created.as_ref().map(|created| created.column.as_str())
    }

    /// Returns the indexes of the columns from which rows are created, ascending.
    #[must_use]
    pub fn used(&self) -> Vec<usize> {
        let columns = self.keys.iter().chain(self.features.iter().flatten()).map(|column| column.index);
        let used: BTreeSet<usize> = columns.chain(self.timestamp.iter().map(|(_, index)| *index)).collect();
        used.into_iter().collect()
    }

    /// Returns the indexes of the columns of entity key and times, ascending.
    #[must_use]
    pub fn used_by_keys(&self) -> Vec<usize> {
        let columns = self.keys.iter().map(|column| column.index);
        let times =
            self.timestamp.iter().map(|(_, index)| *index).chain(self.created.iter().map(|created| created.index));
        let used: BTreeSet<usize> = columns.chain(times).collect();
        used.into_iter().collect()
    }

    /// Returns the plan for batches with only these columns, which must be ascending indexes of
    /// the original batches. Features without a column are then null. This lets a reader skip
    /// unneeded columns.
    ///
    /// # Errors
    /// [`Error::MissingKey`] if a join key is not among them.
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
        plan.created = plan.created.and_then(|created| Some(CreatedColumn { index: moved(created.index)?, ..created }));
        Ok(plan)
    }

    /// Returns whether rows have event timestamps.
    #[must_use]
    pub fn has_timestamps(&self) -> bool {
        self.timestamp.is_some()
    }

    /// Checks a batch's values and converts them to the view's types. Rows without an event
    /// timestamp get `default_time`.
    ///
    /// # Errors
    /// [`Error::Value`] with column and row; [`Error::TooManyRows`], [`Error::TooLarge`].
    pub fn check(&self, batch: &RecordBatch, default_time: EventTime, limits: Limits) -> Result<Checked, Error> {
        Checked::new(self, batch, default_time, limits)
    }
}

/// Matches the columns of a schema to a view.
struct Matching<'a> {
    schema: &'a Schema,
    view: &'a FeatureView,
    columns: &'a Columns,
    by_name: BTreeMap<&'a str, usize>,
    /// Name in the view -> column, by the field mapping.
    mapped: BTreeMap<&'a str, &'a str>,
}

impl<'a> Matching<'a> {
    fn new(schema: &'a Schema, view: &'a FeatureView, columns: &'a Columns) -> Result<Self, Error> {
        let mut by_name = BTreeMap::new();
        for (index, field) in schema.fields().iter().enumerate() {
            if by_name.insert(field.name().as_str(), index).is_some() {
                return Err(Error::DuplicateColumn(field.name().clone()));
            }
        }
        for name in columns.renamed.keys() {
            if view.feature(name).is_none() && !view.join_keys.iter().any(|key| key.name == *name) {
                return Err(Error::UnknownMapping { view: view.name.clone(), name: name.clone() });
            }
        }
        let mapped = mapped(&columns.field_mapping, &by_name)?;
        Ok(Self { schema, view, columns, by_name, mapped })
    }

    /// Returns the names of the existing columns, for errors.
    fn there(&self) -> String {
        self.by_name.keys().take(64).map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
    }

    /// Returns the column that stands for a join key or a feature.
    fn column_of(&self, name: &str) -> String {
        let column = self.columns.renamed.get(name).map(String::as_str).or_else(|| self.mapped.get(name).copied());
        column.unwrap_or(name).to_owned()
    }

    /// Returns the column of a join key or a feature, if it exists.
    fn find(&self, name: &str, value_type: ValueType) -> Result<Option<PlannedColumn>, Error> {
        let column = self.column_of(name);
        let Some(&index) = self.by_name.get(column.as_str()) else { return Ok(None) };
        canonical::check_type(&column, self.schema.field(index).data_type(), value_type)?;
        Ok(Some(PlannedColumn { name: name.to_owned(), column, index, value_type }))
    }

    /// Returns a column of times, if it exists.
    fn time_column(&self, name: &str) -> Option<(String, usize)> {
        let column = self.mapped.get(name).copied().unwrap_or(name);
        self.by_name.get(column).map(|index| (column.to_owned(), *index))
    }

    fn keys(&self) -> Result<Vec<PlannedColumn>, Error> {
        let key = |key: &JoinKey| {
            self.find(&key.name, key.value_type)?.ok_or_else(|| Error::MissingKey {
                view: self.view.name.clone(),
                column: self.column_of(&key.name),
                there: self.there(),
            })
        };
        self.view.join_keys.iter().map(key).collect()
    }

    fn features(&self) -> Result<Vec<Option<PlannedColumn>>, Error> {
        let mut features = Vec::with_capacity(self.view.features.len());
        for feature in &self.view.features {
            let found = self.find(&feature.name, feature.value_type)?;
            let required = self.columns.missing == Missing::Reject || self.columns.renamed.contains_key(&feature.name);
            if found.is_none() && required {
                return Err(Error::MissingFeature {
                    view: self.view.name.clone(),
                    column: self.column_of(&feature.name),
                    there: self.there(),
                });
            }
            features.push(found);
        }
        if features.iter().all(Option::is_none) {
            return Err(Error::NoFeatures { view: self.view.name.clone(), there: self.there() });
        }
        Ok(features)
    }

    fn timestamp(&self) -> Result<Option<(String, usize)>, Error> {
        let name = self.columns.timestamp.as_deref().unwrap_or(EVENT_TIMESTAMP);
        let timestamp = self.time_column(name);
        match &timestamp {
            Some((column, index)) => event_times::check_type(column, self.schema.field(*index).data_type())?,
            None if self.columns.timestamp.is_some() => {
                return Err(Error::MissingTimestamp { column: name.to_owned(), there: self.there() });
            }
            None => {}
        }
        Ok(timestamp)
    }

    /// Returns the column with the creation times. A column that is `used` already is none.
    fn created(&self, used: &BTreeSet<usize>) -> Result<Option<CreatedColumn>, Error> {
        let wanted = &self.columns.created;
        let (Created::IfThere(name) | Created::Named(name) | Created::Required(name)) = wanted else { return Ok(None) };
        // The column with this name may be a feature.
        let Some((column, index)) = self.time_column(name).filter(|(_, index)| !used.contains(index)) else {
            return match wanted {
                Created::Required(name) => Err(Error::MissingTimestamp { column: name.clone(), there: self.there() }),
                _ => Ok(None),
            };
        };
        let lenient = matches!(wanted, Created::IfThere(_));
        match event_times::check_type(&column, self.schema.field(index).data_type()) {
            Err(_) if lenient => Ok(None),
            checked => checked.map(|()| Some(CreatedColumn { column, index, lenient })),
        }
    }

    /// Returns the names of the columns that are not `used`.
    fn others(&self, used: &BTreeSet<usize>) -> Vec<String> {
        let others = self.by_name.iter().filter(|(_, index)| !used.contains(index));
        others.map(|(name, _)| (*name).to_owned()).collect()
    }
}

/// Resolves a field mapping against the existing columns: name -> column.
fn mapped<'a>(
    field_mapping: &'a BTreeMap<String, String>,
    there: &BTreeMap<&str, usize>,
) -> Result<BTreeMap<&'a str, &'a str>, Error> {
    let mut mapped = BTreeMap::new();
    for (column, name) in
        field_mapping.iter().filter(|(column, name)| column != name && there.contains_key(column.as_str()))
    {
        // A column that is itself mapped to another name does not conflict.
        let is_itself = there.contains_key(name.as_str()) && !field_mapping.contains_key(name);
        if is_itself || mapped.insert(name.as_str(), column.as_str()).is_some() {
            return Err(Error::DuplicateColumn(name.clone()));
        }
    }
    Ok(mapped)
}
