//! Columns from a file's folders, as in `date=2024-01-01/part-0.parquet`: Hive's layout of partitions.

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, new_null_array};
use arrow_schema::{DataType, Field};
use littoral_columnar::Columns;
use littoral_model::{value::ValueType, view::FeatureView};
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// How Hive writes a null.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// A column with one value in all rows of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Constant {
    /// Its name.
    pub(crate) name: String,
    /// Its value as text; `None` is null.
    pub(crate) value: Option<String>,
    data_type: DataType,
}

/// Returns the columns of the folders between the load's folder and the file. Of equal names the innermost counts.
pub(crate) fn constants(below: &Path, view: &FeatureView, columns: &Columns) -> Vec<Constant> {
    let mut constants: BTreeMap<String, Constant> = BTreeMap::new();
    for folder in below.parent().into_iter().flat_map(Path::components) {
        let folder = folder.as_os_str().to_string_lossy();
        let Some((name, value)) = folder.split_once('=').filter(|(name, _)| !name.is_empty()) else { continue };
        let (name, value) = (unescaped(name), unescaped(value));
        let value = Some(value).filter(|value| value != NULL);
        let data_type = data_type(value_type(view, columns, &name));
        constants.insert(name.clone(), Constant { name, value, data_type });
    }
    constants.into_values().collect()
}

impl Constant {
    /// Returns the column's field.
    pub(crate) fn field(&self) -> Field {
        Field::new(&self.name, self.data_type.clone(), true)
    }

    /// Returns the column for this many rows.
    ///
    /// # Errors
    /// When the folder's value is not of the view's type.
    pub(crate) fn column(&self, rows: usize) -> Result<ArrayRef, String> {
        let Some(value) = &self.value else { return Ok(new_null_array(&self.data_type, rows)) };
        let wrong = |what: &str| format!("the folder '{}={value}' does not name {what}", self.name);
        Ok(match self.data_type {
            DataType::Int64 => {
                let value = value.parse().map_err(|_| wrong("a whole number"))?;
                Arc::new(Int64Array::from_value(value, rows))
            }
            DataType::Float64 => {
                Arc::new(Float64Array::from_value(value.parse().map_err(|_| wrong("a number"))?, rows))
            }
            DataType::Boolean => {
                let value: bool = value.to_ascii_lowercase().parse().map_err(|_| wrong("true or false"))?;
                Arc::new(BooleanArray::from(vec![value; rows]))
            }
            _ => Arc::new(StringArray::from(vec![value.as_str(); rows])),
        })
    }
}

/// The view's use of a column.
fn value_type(view: &FeatureView, columns: &Columns, column: &str) -> Option<ValueType> {
    let mapped = columns.field_mapping.get(column).map_or(column, String::as_str);
    let takes = |name: &String| columns.renamed.get(name).map_or(mapped == name, |given| given == column);
    let keys = view.join_keys.iter().map(|key| (&key.name, key.value_type));
    let features = view.features.iter().map(|feature| (&feature.name, feature.value_type));
    keys.chain(features).find(|(name, _)| takes(name)).map(|(_, value_type)| value_type)
}

/// Returns the type of a folder's value; text for all other types.
fn data_type(value_type: Option<ValueType>) -> DataType {
    match value_type {
        Some(ValueType::Int32 | ValueType::Int64) => DataType::Int64,
        Some(ValueType::Float | ValueType::Double) => DataType::Float64,
        Some(ValueType::Bool) => DataType::Boolean,
        _ => DataType::Utf8,
    }
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
            ("amount", None, DataType::Float64),
            ("city", Some("São/Paulo%"), DataType::Utf8),
            ("date", Some("2024-01-01"), DataType::Utf8),
            ("driver", Some("7"), DataType::Int64),
        ];
        let expected = expected.map(|(name, value, data_type)| (name, value, Field::new(name, data_type, true)));
        assert_eq!(found, expected);
        assert!(constants.iter().all(|constant| constant.column(3).unwrap().len() == 3));
        assert_eq!(constants[0].column(2).unwrap().null_count(), 2);
    }

    #[test]
    fn a_value_of_another_type_is_named() {
        let constants = constants(Path::new("id=seven/late=TRUE/f.parquet"), &view(), &Columns::default());
        assert_eq!(constants[0].column(1).unwrap_err(), "the folder 'id=seven' does not name a whole number");
        assert!(constants[1].column(1).is_ok());
    }
}
