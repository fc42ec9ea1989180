//! Columns as the host holds them and as guests see them. Values move; nothing is copied.

use crate::bindings::types::{Column as GuestColumn, ColumnData as GuestData, Status as GuestStatus};
use littoral_model::{
    column::{Column, ColumnData, Status},
    statuses::Statuses,
};

pub(crate) fn to_guest(column: Column) -> GuestColumn {
    let data = match column.data {
        ColumnData::Bool(values) => GuestData::Bools(values),
        ColumnData::Int32(values) => GuestData::Int32s(values),
        ColumnData::Int64(values) => GuestData::Int64s(values),
        ColumnData::Float(values) => GuestData::Floats(values),
        ColumnData::Double(values) => GuestData::Doubles(values),
        ColumnData::String(values) => GuestData::Strings(values),
        ColumnData::Bytes(values) => GuestData::Bytes(values),
        ColumnData::UnixTimestamp(values) => GuestData::UnixTimestamps(values),
        ColumnData::BoolList(values) => GuestData::BoolLists(values),
        ColumnData::Int32List(values) => GuestData::Int32Lists(values),
        ColumnData::Int64List(values) => GuestData::Int64Lists(values),
        ColumnData::FloatList(values) => GuestData::FloatLists(values),
        ColumnData::DoubleList(values) => GuestData::DoubleLists(values),
        ColumnData::StringList(values) => GuestData::StringLists(values),
        ColumnData::BytesList(values) => GuestData::BytesLists(values),
        ColumnData::UnixTimestampList(values) => GuestData::UnixTimestampLists(values),
    };
    let statuses = column.statuses;
    let statuses = (!statuses.all_present()).then(|| statuses.iter().copied().map(status_to_guest).collect());
    GuestColumn { data, statuses }
}

pub(crate) fn from_guest(column: GuestColumn) -> Column {
    let data = match column.data {
        GuestData::Bools(values) => ColumnData::Bool(values),
        GuestData::Int32s(values) => ColumnData::Int32(values),
        GuestData::Int64s(values) => ColumnData::Int64(values),
        GuestData::Floats(values) => ColumnData::Float(values),
        GuestData::Doubles(values) => ColumnData::Double(values),
        GuestData::Strings(values) => ColumnData::String(values),
        GuestData::Bytes(values) => ColumnData::Bytes(values),
        GuestData::UnixTimestamps(values) => ColumnData::UnixTimestamp(values),
        GuestData::BoolLists(values) => ColumnData::BoolList(values),
        GuestData::Int32Lists(values) => ColumnData::Int32List(values),
        GuestData::Int64Lists(values) => ColumnData::Int64List(values),
        GuestData::FloatLists(values) => ColumnData::FloatList(values),
        GuestData::DoubleLists(values) => ColumnData::DoubleList(values),
        GuestData::StringLists(values) => ColumnData::StringList(values),
        GuestData::BytesLists(values) => ColumnData::BytesList(values),
        GuestData::UnixTimestampLists(values) => ColumnData::UnixTimestampList(values),
    };
    let statuses = match column.statuses {
        Some(statuses) => statuses.into_iter().map(status_from_guest).collect::<Vec<_>>().into(),
        None => Statuses::present(data.len()),
    };
    Column { data, statuses }
}

fn status_to_guest(status: Status) -> GuestStatus {
    match status {
        Status::Present => GuestStatus::Present,
        Status::NullValue => GuestStatus::NullValue,
        Status::NotFound => GuestStatus::NotFound,
        Status::OutsideMaxAge => GuestStatus::OutsideMaxAge,
    }
}

fn status_from_guest(status: GuestStatus) -> Status {
    match status {
        GuestStatus::Present => Status::Present,
        GuestStatus::NullValue => Status::NullValue,
        GuestStatus::NotFound => Status::NotFound,
        GuestStatus::OutsideMaxAge => Status::OutsideMaxAge,
    }
}
