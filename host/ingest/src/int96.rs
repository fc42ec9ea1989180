//! INT96, the timestamps of old Parquet writers: a day and the nanoseconds within it.
//!
//! Arrow reads them as nanoseconds since 1970, which silently overflow after the year 2262. Such columns are therefore
//! read a second time, in seconds, which hold every day; where the two differ, the seconds are right.

use crate::Error;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, cast::AsArray as _, types};
use arrow_schema::{DataType, Field, FieldRef, Schema, TimeUnit};
use parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader},
    basic::Type as PhysicalType,
    errors::ParquetError,
    schema::types::SchemaDescriptor,
};
use std::sync::Arc;

/// The second reading of a file's INT96 columns.
pub(crate) struct Seconds {
    /// The indices of the columns in the batches of the first reading.
    columns: Vec<usize>,
    reader: ParquetRecordBatchReader,
}

/// Returns the metadata for reading a file's INT96 columns in seconds, or `None` if the file has no such column.
pub(crate) fn in_seconds(metadata: &ArrowReaderMetadata) -> Result<Option<ArrowReaderMetadata>, ParquetError> {
    let parquet = metadata.parquet_schema();
    if !parquet.columns().iter().any(|column| column.physical_type() == PhysicalType::INT96) {
        return Ok(None);
    }
    let schema = Arc::new(Schema::new(fields(metadata.schema().fields(), &mut 0, parquet)));
    let options = ArrowReaderOptions::new().with_schema(schema);
    ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options).map(Some)
}

/// Returns the indices of the file's root columns that contain an INT96.
pub(crate) fn roots(parquet: &SchemaDescriptor) -> Vec<usize> {
    let of_leaf = |(leaf, column): (usize, &Arc<parquet::schema::types::ColumnDescriptor>)| {
        (column.physical_type() == PhysicalType::INT96).then(|| parquet.get_column_root_idx(leaf))
    };
    let mut roots: Vec<usize> = parquet.columns().iter().enumerate().filter_map(of_leaf).collect();
    roots.dedup();
    roots
}

/// Returns the fields with seconds in place of INT96. `leaf` counts the file's leaves, in order.
fn fields(all: &arrow_schema::Fields, leaf: &mut usize, parquet: &SchemaDescriptor) -> Vec<FieldRef> {
    all.iter().map(|field| in_field(field, leaf, parquet)).collect()
}

fn in_field(field: &Field, leaf: &mut usize, parquet: &SchemaDescriptor) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::List(element) => DataType::List(in_field(element, leaf, parquet)),
        DataType::LargeList(element) => DataType::LargeList(in_field(element, leaf, parquet)),
        DataType::FixedSizeList(element, len) => DataType::FixedSizeList(in_field(element, leaf, parquet), *len),
        DataType::Map(entries, sorted) => DataType::Map(in_field(entries, leaf, parquet), *sorted),
        DataType::Struct(members) => DataType::Struct(fields(members, leaf, parquet).into()),
        plain => {
            let physical = parquet.columns().get(*leaf).map(|column| column.physical_type());
            *leaf += 1;
            match physical {
                Some(PhysicalType::INT96) => DataType::Timestamp(TimeUnit::Second, None),
                _ => plain.clone(),
            }
        }
    };
    Arc::new(field.clone().with_data_type(data_type))
}

impl Seconds {
    /// `columns` are the indices of the reader's columns in the batches of the first reading.
    pub(crate) fn new(columns: Vec<usize>, reader: ParquetRecordBatchReader) -> Self {
        Self { columns, reader }
    }

    /// Returns the batch, in which columns whose nanoseconds overflow are replaced by the columns in seconds. `broken`
    /// converts a reason to the file's error.
    pub(crate) fn mend(&mut self, batch: RecordBatch, broken: impl Fn(String) -> Error) -> Result<RecordBatch, Error> {
        let seconds = match self.reader.next() {
            Some(Ok(seconds)) if seconds.num_rows() == batch.num_rows() => seconds,
            Some(Err(error)) => return Err(broken(error.to_string())),
            _ => return Err(broken("its INT96 columns end early".to_owned())),
        };
        let mut columns = batch.columns().to_vec();
        let mut fields: Vec<FieldRef> = batch.schema().fields().iter().map(Arc::clone).collect();
        for (at, seconds) in self.columns.iter().zip(seconds.columns()) {
            if !agree(&columns[*at], seconds) {
                fields[*at] = Arc::new(fields[*at].as_ref().clone().with_data_type(seconds.data_type().clone()));
                columns[*at] = Arc::clone(seconds);
            }
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|error| broken(error.to_string()))
    }
}

/// Returns whether all values in nanoseconds lie within their seconds. Columns of other types (maps, structs) cannot be
/// features, so they count as agreeing.
fn agree(nanos: &ArrayRef, seconds: &ArrayRef) -> bool {
    match (nanos.data_type(), seconds.data_type()) {
        (DataType::Timestamp(TimeUnit::Nanosecond, _), DataType::Timestamp(TimeUnit::Second, _)) => {
            let nanos = nanos.as_primitive::<types::TimestampNanosecondType>();
            let seconds: Int64Array = seconds.as_primitive::<types::TimestampSecondType>().reinterpret_cast();
            let mut rows = 0..nanos.len();
            rows.all(|row| nanos.is_null(row) || nanos.value(row).div_euclid(1_000_000_000) == seconds.value(row))
        }
        (DataType::List(_), DataType::List(_)) => {
            agree(nanos.as_list::<i32>().values(), seconds.as_list::<i32>().values())
        }
        (DataType::LargeList(_), DataType::LargeList(_)) => {
            agree(nanos.as_list::<i64>().values(), seconds.as_list::<i64>().values())
        }
        (DataType::FixedSizeList(_, _), DataType::FixedSizeList(_, _)) => {
            agree(nanos.as_fixed_size_list().values(), seconds.as_fixed_size_list().values())
        }
        _ => true,
    }
}
