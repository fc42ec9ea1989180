//! The columns of a pushed frame, by the names of a view and of the view's source.

use crate::failure::Failure;
use littoral_api::code;
use littoral_columnar::EVENT_TIMESTAMP;
use littoral_model::{
    catalogue::Catalogue,
    details::{RowSource, ViewDetails},
    view::FeatureView,
};
use littoral_read::cell::{Cell, Columns};

/// The name of the time of creation when Feast's SDK writes to a remote online store.
const CREATED: &str = "created";

/// The Feast endpoint that received the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// `/push`: the frame has the columns of the source.
    Push,
    /// `/write-to-online-store`: Feast's SDK renames the time columns to `event_timestamp` and `created`. Other clients
    /// send the names of the source.
    Write,
}

/// A frame under the names of one view.
pub(super) struct Named<'a> {
    view: &'a FeatureView,
    source: Option<&'a RowSource>,
    df: &'a Columns<'a>,
    door: Door,
}

impl<'a> Named<'a> {
    /// Checks that the frame has the time columns that the view's source names, as Feast does.
    pub(super) fn new(
        catalogue: &'a Catalogue,
        view: &'a FeatureView,
        df: &'a Columns<'a>,
        door: Door,
    ) -> Result<Self, Failure> {
        let source = catalogue.view_details(&view.name).and_then(|details: &ViewDetails| details.source.as_ref());
        let named = Self { view, source, df, door };
        let created = source.and_then(|source| source.created.as_deref());
        if let Some(created) = created
            && named.time_column(created, CREATED)?.is_none()
        {
            return Err(named.lacks(created, "the time when a row was made"));
        }
        Ok(named)
    }

    /// Returns the column of the event times, and its name. `None` if neither the view's source nor the frame has one.
    pub(super) fn times(&self) -> Result<Option<(&'a str, &'a [Cell<'a>])>, Failure> {
        match self.source.and_then(|source| source.event_timestamp.as_deref()) {
            None => Ok(self.column(EVENT_TIMESTAMP)),
            Some(column) => match self.time_column(column, EVENT_TIMESTAMP)? {
                None => Err(self.lacks(column, "the time of the event")),
                found => Ok(found),
            },
        }
    }

    /// Returns the column of this name in the view: the column of that name, or the one that the source's field mapping
    /// maps to it.
    pub(super) fn get(&self, name: &str) -> Result<Option<&'a [Cell<'a>]>, Failure> {
        Ok(self.find(name)?.map(|(_, cells)| cells))
    }

    fn time_column(&self, column: &str, of_sdk: &'static str) -> Result<Option<(&'a str, &'a [Cell<'a>])>, Failure> {
        // A mapping may rename the time column, so search for its own name too.
        let found = self.find(column)?.or_else(|| self.column(column));
        Ok(match self.door {
            Door::Push => found,
            Door::Write => found.or_else(|| self.column(of_sdk)),
        })
    }

    fn column(&self, name: &str) -> Option<(&'a str, &'a [Cell<'a>])> {
        self.df.0.iter().find(|(column, _)| **column == *name).map(|(column, cells)| (&**column, cells.as_slice()))
    }

    fn find(&self, name: &str) -> Result<Option<(&'a str, &'a [Cell<'a>])>, Failure> {
        let Some(source) = self.source.filter(|source| !source.field_mapping.is_empty()) else {
            return Ok(self.column(name));
        };
        let mut named = self.df.0.iter().filter(|(column, _)| source.renamed(column) == name);
        let found = named.next().map(|(column, cells)| (&**column, cells.as_slice()));
        match (found, named.next()) {
            (Some((first, _)), Some((second, _))) => {
                let message = format!(
                    "df has two columns for '{name}' of view '{}': '{first}' and '{second}', by the field mapping of its \
                     source '{}'; send one of them",
                    self.view.name, source.name
                );
                Err(Failure::invalid(code::AMBIGUOUS_COLUMN, message))
            }
            (found, _) => Ok(found),
        }
    }

    /// The error begins with Feast's text, for which clients may search.
    fn lacks(&self, column: &str, what: &str) -> Failure {
        let source = self.source.map_or("", |source| source.name.as_str());
        let message = format!(
            "Field \"{column}\" does not exist in schema: df lacks column '{column}', which is {what} in source '{source}' of view \
             '{}'",
            self.view.name
        );
        Failure::invalid(code::MISSING_COLUMN, message)
    }
}
