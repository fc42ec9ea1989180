//! The outputs of a module.

use crate::column::{Column, ColumnData, from_options};

/// A column for each output, by name. `None` is null.
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    pub(crate) columns: Vec<(String, Column)>,
}

macro_rules! typed {
    ($($name:ident, $variant:ident, $type:ty, $what:literal;)*) => {
        impl Outputs {
            $(
                #[doc = concat!("Sets a ", $what, " output.")]
                #[must_use]
                pub fn $name(self, name: &str, values: Vec<Option<$type>>) -> Self {
                    self.column(name, from_options(values, ColumnData::$variant))
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
    bytes, Bytes, Vec<u8>, "bytes";
    unix_timestamps, UnixTimestamps, i64, "unix timestamp";
    bool_lists, BoolLists, Vec<bool>, "bool list";
    int32_lists, Int32Lists, Vec<i32>, "int32 list";
    int64_lists, Int64Lists, Vec<i64>, "int64 list";
    float_lists, FloatLists, Vec<f32>, "float list";
    double_lists, DoubleLists, Vec<f64>, "double list";
    string_lists, StringLists, Vec<String>, "string list";
    bytes_lists, BytesLists, Vec<Vec<u8>>, "bytes list";
    unix_timestamp_lists, UnixTimestampLists, Vec<i64>, "unix timestamp list";
}

impl Outputs {
    /// Returns an empty set of outputs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets an output with its own statuses.
    #[must_use]
    pub fn column(mut self, name: &str, column: Column) -> Self {
        self.columns.push((name.into(), column));
        self
    }
}
