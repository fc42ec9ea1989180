//! The values of a request.

use crate::{
    cell::Cell,
    error::{Error, Kind},
    plan::Plan,
};

/// The values of a request, by column: join keys and parameters of modules.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The names of the columns, as in [`crate::Shape::columns`].
    pub names: &'a [&'a str],
    /// The columns, with one value per row.
    pub columns: &'a [&'a [Cell<'a>]],
}

impl Input<'_> {
    /// Returns the number of rows, which is the length of every column.
    ///
    /// # Errors
    /// [`Kind::UnequalLengths`] and [`Kind::NoEntities`].
    pub(crate) fn rows(&self, plan: &Plan) -> Result<usize, Error> {
        let Some(first) = self.columns.first() else {
            // A view without join keys has one row.
            let is_global = plan.lookups.iter().all(|lookup| lookup.keys.as_ref().is_some_and(Vec::is_empty));
            return if is_global { Ok(1) } else { Err(no_entities()) };
        };
        if let Some(at) = self.columns.iter().position(|column| column.len() != first.len()) {
            let message = format!(
                "All entity rows must have the same columns: '{}' has {} values, '{}' has {}",
                self.names[0],
                first.len(),
                self.names[at],
                self.columns[at].len()
            );
            return Err(Error::request(Kind::UnequalLengths, message));
        }
        if first.is_empty() { Err(no_entities()) } else { Ok(first.len()) }
    }
}

fn no_entities() -> Error {
    Error::request(Kind::NoEntities, "No entity in the request: 'entities' needs at least one column with a value")
}
