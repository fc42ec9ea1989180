//! Reads additional rows during a call.

use crate::{
    batch::Values,
    column::{Column, ColumnData},
    error::Error,
};

/// Reads additional rows of the replica. The host passes one to `transform`; tests pass their own ([`crate::testing`]).
pub trait Lookup {
    /// Reads features of many rows of one view at once, with one key column for each of the view's join keys, by name.
    ///
    /// # Errors
    /// If the manifest does not declare the view, the keys do not match it, or the rows cannot be read.
    fn lookup(&self, view: &str, keys: &[Column], features: &[&str]) -> Result<Rows, Error>;
}

/// The result of a lookup: a column for each requested feature, with a value for each key.
#[derive(Clone, Debug)]
pub struct Rows {
    pub(crate) features: Vec<String>,
    pub(crate) columns: Vec<Column>,
}

macro_rules! typed {
    ($($name:ident, $variant:ident, $type:ty, $what:literal;)*) => {
        impl Rows {
            $(
                #[doc = concat!("The values of a ", $what, " feature.")]
                ///
                /// # Errors
                /// If the feature was not requested, or has another type.
                pub fn $name(&self, feature: &str) -> Result<Values<'_, $type>, Error> {
                    let index = self.features.iter().position(|known| known == feature);
                    match index.and_then(|index| self.columns.get(index)) {
                        Some(Column { data: ColumnData::$variant(values), statuses }) => {
                            Ok(Values::new(values, statuses.as_deref()))
                        }
                        Some(_) => Err(Error::failed(format!("looked-up feature '{feature}' is not {}", $what))),
                        None => Err(Error::failed(format!("feature '{feature}' was not looked up"))),
                    }
                }
            )*
        }
    };
}

typed! {
    bools, Bools, bool, "bool";
    int32s, Int32s, i32, "int32";
    int64s, Int64s, i64, "int64";
    floats, Floats, f32, "float";
    doubles, Doubles, f64, "double";
    strings, Strings, String, "string";
    unix_timestamps, UnixTimestamps, i64, "unix timestamp";
}

impl Rows {
    /// Returns a feature's column unchanged.
    #[must_use]
    pub fn column(&self, feature: &str) -> Option<&Column> {
        let index = self.features.iter().position(|known| known == feature)?;
        self.columns.get(index)
    }
}

/// The host's lookup.
pub(crate) struct Host;

impl Lookup for Host {
    fn lookup(&self, view: &str, keys: &[Column], features: &[&str]) -> Result<Rows, Error> {
        use crate::bindings::littoral::feature::feature_reader::{LookupError, lookup};
        let features: Vec<String> = features.iter().map(|feature| (*feature).into()).collect();
        let columns = lookup(view, keys, &features).map_err(|error| match error {
            LookupError::NotDeclared(why) | LookupError::Invalid(why) | LookupError::TooMany(why) => {
                Error::failed(format!("looking up '{view}': {why}"))
            }
            LookupError::Unavailable(why) => Error::unavailable(format!("looking up '{view}': {why}")),
        })?;
        Ok(Rows { features, columns })
    }
}
