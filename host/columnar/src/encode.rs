//! Encodes packed rows as an Arrow IPC stream.

use crate::{EVENT_TIMESTAMP, Error, canonical};
use arrow_array::{
    ArrayRef, RecordBatch, TimestampNanosecondArray, TimestampSecondArray,
    builder::{
        BinaryBuilder, BooleanBuilder, Float32Builder, Float64Builder, Int32Builder, Int64Builder, ListBuilder,
        StringBuilder,
    },
};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{Field, Schema};
use littoral_model::{
    entity_key,
    row_body::{self, ValueRef},
    value::ValueType,
    view::FeatureView,
    write::RowBatch,
};
use std::sync::Arc;

/// Encodes the rows of one view as an Arrow IPC stream of one batch: join keys, features,
/// `event_timestamp`. Deletions are skipped, because columns cannot represent them.
///
/// # Errors
/// [`Error::Row`] for bytes that are not a row of the view.
pub fn encode(rows: &RowBatch, view: &FeatureView) -> Result<Vec<u8>, Error> {
    let mut keys: Vec<Builder> = view.key_types().map(Builder::new).collect();
    let mut features: Vec<Builder> = view.features.iter().map(|feature| Builder::new(feature.value_type)).collect();
    let mut times = Vec::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        let Some(body) = row.body else { continue };
        let no_row = || Error::Row { view: view.name.clone(), row: index };
        view.check_body(body).map_err(|_| no_row())?;
        let key = entity_key::split(row.key, view.key_types()).map_err(|_| no_row())?;
        keys.iter_mut().zip(key).for_each(|(builder, value)| builder.push(value));
        for (at, (builder, feature)) in features.iter_mut().zip(&view.features).enumerate() {
            builder.push(row_body::value_at(body, at, feature.value_type));
        }
        times.push(row.event_time.0);
    }
    let names = (view.join_keys.iter().map(|key| &key.name)).chain(view.features.iter().map(|feature| &feature.name));
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (name, builder) in names.zip(keys.into_iter().chain(features)) {
        let column = builder.finish();
        fields.push(Field::new(name, column.data_type().clone(), true));
        columns.push(column);
    }
    let times = TimestampNanosecondArray::from(times).with_timezone("UTC");
    fields.push(Field::new(EVENT_TIMESTAMP, arrow_array::Array::data_type(&times).clone(), false));
    columns.push(Arc::new(times));
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns);
    stream(&batch.map_err(|error| Error::Malformed(error.to_string()))?)
}

/// Encodes a batch as an Arrow IPC stream.
///
/// # Errors
/// [`Error::Malformed`] if Arrow rejects the batch.
pub fn stream(batch: &RecordBatch) -> Result<Vec<u8>, Error> {
    let write = || {
        let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
        writer.write(batch)?;
        writer.into_inner()
    };
    write().map_err(|error: arrow_schema::ArrowError| Error::Malformed(error.to_string()))
}

/// A column under construction.
enum Builder {
    Bool(BooleanBuilder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Timestamp(Int64Builder),
    Float(Float32Builder),
    Double(Float64Builder),
    String(StringBuilder),
    Bytes(BinaryBuilder),
    List(Box<ListBuilder<Box<dyn arrow_array::builder::ArrayBuilder>>>),
}

impl Builder {
    fn new(value_type: ValueType) -> Self {
        match value_type {
            ValueType::Bool => Self::Bool(BooleanBuilder::new()),
            ValueType::Int32 => Self::Int32(Int32Builder::new()),
            ValueType::Int64 => Self::Int64(Int64Builder::new()),
            ValueType::UnixTimestamp => Self::Timestamp(Int64Builder::new()),
            ValueType::Float => Self::Float(Float32Builder::new()),
            ValueType::Double => Self::Double(Float64Builder::new()),
            ValueType::String => Self::String(StringBuilder::new()),
            ValueType::Bytes => Self::Bytes(BinaryBuilder::new()),
            list => {
                let element = list.element().unwrap_or(ValueType::Int64);
                let values = arrow_array::builder::make_builder(&canonical::arrow_type(element), 0);
                Self::List(Box::new(ListBuilder::new(values)))
            }
        }
    }

    fn push(&mut self, value: ValueRef<'_>) {
        macro_rules! some {
            ($builder:expr, $variant:ident) => {
                $builder.append_option(if let ValueRef::$variant(v) = value { Some(v) } else { None })
            };
        }
        match self {
            Self::Bool(builder) => some!(builder, Bool),
            Self::Int32(builder) => some!(builder, Int32),
            Self::Int64(builder) => some!(builder, Int64),
            Self::Timestamp(builder) => some!(builder, UnixTimestamp),
            Self::Float(builder) => some!(builder, Float),
            Self::Double(builder) => some!(builder, Double),
            Self::String(builder) => some!(builder, String),
            Self::Bytes(builder) => some!(builder, Bytes),
            Self::List(builder) => {
                if let ValueRef::List(list) = value {
                    list.iter().for_each(|element| push_element(builder.values(), element));
                    builder.append(true);
                } else {
                    builder.append(false);
                }
            }
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Bool(mut builder) => Arc::new(builder.finish()),
            Self::Int32(mut builder) => Arc::new(builder.finish()),
            Self::Int64(mut builder) => Arc::new(builder.finish()),
            Self::Timestamp(mut builder) => {
                let seconds: TimestampSecondArray = builder.finish().reinterpret_cast();
                Arc::new(seconds.with_timezone("UTC"))
            }
            Self::Float(mut builder) => Arc::new(builder.finish()),
            Self::Double(mut builder) => Arc::new(builder.finish()),
            Self::String(mut builder) => Arc::new(builder.finish()),
            Self::Bytes(mut builder) => Arc::new(builder.finish()),
            Self::List(mut builder) => Arc::new(builder.finish()),
        }
    }
}

fn push_element(values: &mut Box<dyn arrow_array::builder::ArrayBuilder>, element: ValueRef<'_>) {
    macro_rules! append {
        ($builder:ty, $value:expr) => {
            if let Some(builder) = values.as_any_mut().downcast_mut::<$builder>() {
                builder.append_value($value);
            }
        };
    }
    match element {
        ValueRef::Bool(v) => append!(BooleanBuilder, v),
        ValueRef::Int32(v) => append!(Int32Builder, v),
        ValueRef::Int64(v) | ValueRef::UnixTimestamp(v) => append!(Int64Builder, v),
        ValueRef::Float(v) => append!(Float32Builder, v),
        ValueRef::Double(v) => append!(Float64Builder, v),
        ValueRef::String(v) => append!(StringBuilder, v),
        ValueRef::Bytes(v) => append!(BinaryBuilder, v),
        ValueRef::Null | ValueRef::List(_) => {}
    }
}
