//! Columns from a file's folders, as in `date=2024-01-01/part-0.parquet`: Hive's layout of partitions.

use arrow_array::{ArrayRef, BooleanArray, StringArray, new_null_array};
use arrow_schema::{DataType, Field};
use littoral_columnar::Columns;
use littoral_model::{
    convert::{self, Source},
    value::ValueType,
    view::FeatureView,
};
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// The value by which Hive represents null in a folder's name.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// A column with one value in all rows of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Constant {
    /// Its name.
    pub(crate) name: String,
    /// Its value as text; `None` is null.
    pub(crate) value: Option<String>,
    /// The type of the feature or the join key that it fills; `None` for other columns.
    fills: Option<ValueType>,
}

/// Returns the columns that the folders between the loaded folder and the file define. If several folders define the
/// same column, the innermost one wins.
pub(crate) fn constants(below: &Path, view: &FeatureView, columns: &Columns) -> Vec<Constant> {
    let mut constants: BTreeMap<String, Constant> = BTreeMap::new();
    for folder in below.parent().into_iter().flat_map(Path::components) {
        let folder = folder.as_os_str().to_string_lossy();
        let Some((name, value)) = folder.split_once('=').filter(|(name, _)| !name.is_empty()) else { continue };
        let (name, value) = (unescaped(name), unescaped(value));
        let value = Some(value).filter(|value| value != NULL);
        let fills = value_type(view, columns, &name);
        constants.insert(name.clone(), Constant { name, value, fills });
    }
    constants.into_values().collect()
}

impl Constant {
    /// Returns the column's field.
    pub(crate) fn field(&self) -> Field {
        Field::new(&self.name, self.data_type(), true)
    }

    /// Returns the type of the column. A folder's value is text, which the conversion table accepts for every type
    /// except bool.
    fn data_type(&self) -> DataType {
        match self.fills {
            Some(ValueType::Bool) => DataType::Boolean,
            _ => DataType::Utf8,
        }
    }

    /// Checks that the value can be converted to the type of the feature or join key that it fills.
    ///
    /// # Errors
    /// What is wrong, with the folder's name.
    pub(crate) fn check(&self) -> Result<(), String> {
        let (Some(value), Some(fills)) = (&self.value, self.fills) else { return Ok(()) };
        let checked = match fills {
            ValueType::Bool => self.column(0).map(drop),
            _ => convert::value(fills, &Source::Text(value)).map(drop).map_err(|refusal| refusal.to_string()),
        };
        checked.map_err(|reason| format!("the folder '{}={value}': {reason}", self.name))
    }

    /// Returns the column for this many rows.
    ///
    /// # Errors
    /// When a boolean is neither `true` nor `false`.
    pub(crate) fn column(&self, rows: usize) -> Result<ArrayRef, String> {
        let Some(value) = &self.value else { return Ok(new_null_array(&self.data_type(), rows)) };
        Ok(match self.fills {
            // Hive writes booleans as words. The conversion table accepts no text as a bool.
            Some(ValueType::Bool) => {
                let is_true: bool =
                    value.to_ascii_lowercase().parse().map_err(|_| "a bool is 'true' or 'false'".to_owned())?;
                Arc::new(BooleanArray::from(vec![is_true; rows]))
            }
            _ => Arc::new(StringArray::from(vec![value.as_str(); rows])),
        })
    }
}

/// Returns the type of the feature or join key that a column fills, or `None` if the view does not use it.
fn value_type(view: &FeatureView, columns: &Columns, column: &str) -> Option<ValueType> {
    let mapped = columns.field_mapping.get(column).map_or(column, String::as_str);
    let takes = |name: &String| columns.renamed.get(name).map_or(mapped == name, |given| given == column);
    let keys = view.join_keys.iter().map(|key| (&key.name, key.value_type));
    let features = view.features.iter().map(|feature| (&feature.name, feature.value_type));
    keys.chain(features).find(|(name, _)| takes(name)).map(|(_, value_type)| value_type)
}

/// Decodes the `%XX` of a folder's name, with which Hive writes characters that a path cannot contain.
fn unescaped(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escaped = behind.first_chunk::<2>().filter(|_| *first == b'%');
        let escaped = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = &behind[if escaped.is_some() { 2 } else { 0 }..];
    }
    String::from_utf8(bytes).unwrap_or_else(|_| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use littoral_model::{
        merge::MergePolicy,
        view::{Feature, JoinKey, ViewId},
    };

    fn view() -> FeatureView {
        let key = JoinKey { name: "id".into(), entity: "id".into(), value_type: ValueType::Int64 };
        let features = [("n", ValueType::Double), ("late", ValueType::Bool)];
        FeatureView {
            id: ViewId(1),
            name: "v".into(),
            join_keys: vec![key],
            features: features.map(|(name, value_type)| Feature { name: name.into(), value_type }).to_vec(),
            ttl_ms: None,
            merge: MergePolicy::default(),
        }
    }

    #[test]
    fn folders_give_columns_of_the_views_types() {
        let columns = Columns {
            renamed: [("id".to_owned(), "driver".to_owned())].into(),
            field_mapping: [("amount".to_owned(), "n".to_owned())].into(),
            ..Columns::default()
        };
        let below = Path::new(
            "date=2024-01-01/plain/city=S%C3%A3o%2FPaulo%/driver=7/amount=__HIVE_DEFAULT_PARTITION__/f.parquet",
        );
        let constants = constants(below, &view(), &columns);
        let found: Vec<_> = constants.iter().map(|c| (c.name.as_str(), c.value.as_deref(), c.field())).collect();
        let expected = [
            ("amount", None, DataType::Utf8),
            ("city", Some("São/Paulo%"), DataType::Utf8),
            ("date", Some("2024-01-01"), DataType::Utf8),
            ("driver", Some("7"), DataType::Utf8),
        ];
        let expected = expected.map(|(name, value, data_type)| (name, value, Field::new(name, data_type, true)));
        assert_eq!(found, expected);
        assert!(constants.iter().all(|constant| constant.column(3).unwrap().len() == 3));
        assert_eq!(constants[0].column(2).unwrap().null_count(), 2);
    }

    #[test]
    fn a_folders_value_is_converted_like_every_other_text() {
        let checked = |folder: &str| {
            let constants = constants(&Path::new(folder).join("f.parquet"), &view(), &Columns::default());
            constants[0].check()
        };
        for fine in ["id=7", "id=5.0", "n=0.1", "n=NaN", "late=TRUE", "late=false", "other=anything"] {
            checked(fine).unwrap();
        }
        for (wrong, why) in [
            ("id=seven", "'seven'"),
            ("n=1e400", "'1e400'"),
            ("n=9007199254740993", "'9007199254740993'"),
            ("late=yes", "'true' or 'false'"),
        ] {
            let reason = checked(wrong).unwrap_err();
            assert!(reason.starts_with(&format!("the folder '{wrong}': ")) && reason.contains(why), "{reason}");
        }
    }
}
