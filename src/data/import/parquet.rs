//! Parquet, row by row.
//!
//! The crate's own record reader gives nested lists and structs without Arrow. What it panics on is an error here.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use serde_json::{Number, Value};

use super::element::{Element, Fields, Own, Take};
use super::error::{Fault, ImportError};
use super::pages;
use super::source::Source;

/// Reads every row.
pub(super) fn each(source: &Source<'_>, take: &mut Take<'_>) -> Result<(), Fault> {
    let file = source.seekable()?;
    let copy = file.try_clone().map_err(|e| source.fails(e))?;
    let reader = guarded(source, || SerializedFileReader::new(file))?;
    guarded(source, || check(&copy, &reader))?;
    let mut rows = guarded(source, || reader.get_row_iter(None))?;
    let mut line = 0;
    while let Some(row) = guarded(source, || rows.next().transpose())? {
        line += 1;
        take(Element { line, fields: fields(row), own: Own::Binary })?;
    }
    Ok(())
}

/// The names of its columns.
pub(super) fn columns(source: &Source<'_>) -> Result<Vec<String>, ImportError> {
    let file = source.seekable()?;
    let reader = guarded(source, || SerializedFileReader::new(file))?;
    let schema = reader.metadata().file_metadata().schema();
    Ok(if schema.is_group() {
        schema.get_fields().iter().map(|field| field.name().to_owned()).collect()
    } else {
        Vec::new()
    })
}

/// Looks whether the file declares sizes that nothing should make room for, or rows that it does not hold.
fn check(file: &File, reader: &SerializedFileReader<File>) -> Result<(), ParquetError> {
    let general = |why: String| Err(ParquetError::General(why));
    // Nulls take hardly any room, so a file of few bytes may hold many rows; this many it does not.
    let most = file.metadata()?.len().saturating_mul(100).saturating_add(1_000_000);
    let mut rows = 0u64;
    for (number, group) in (1..).zip(reader.metadata().row_groups()) {
        let wanted = group.num_rows();
        rows = rows.saturating_add(wanted.try_into().unwrap_or(u64::MAX));
        if rows > most || group.columns().is_empty() {
            return general(format!("row group {number} says it has {wanted} rows"));
        }
        for column in group.columns() {
            let (start, len) = column.byte_range();
            let why = match pages::check(file, start, len) {
                Ok(held) if held >= wanted => continue,
                Ok(held) => format!("its pages hold {held} values for {wanted} rows"),
                Err(why) => why,
            };
            return general(format!("column {}, row group {number}: {why}", column.column_path().string()));
        }
    }
    Ok(())
}

/// Lets the crate do one thing. It panics on some files that are damaged; that ends the file, not the program.
fn guarded<T>(source: &Source<'_>, work: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ImportError> {
    let reason = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => return Ok(done),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "its parts contradict each other".to_owned(),
    };
    Err(ImportError::Damaged { file: source.name().to_owned(), format: "parquet", reason })
}

fn fields(row: Row) -> Result<Fields, String> {
    let read = |(name, field): (String, Field)| match value(&field) {
        Ok(value) => Ok((name, value)),
        Err(why) => Err(format!("`{name}` {why}")),
    };
    row.into_columns().into_iter().map(read).collect()
}

/// A value as JSON. Bytes without a type are text, or refuse the row; days and times are as in ISO 8601.
fn value(field: &Field) -> Result<Value, String> {
    let float = |number: f64| Number::from_f64(number).map_or_else(|| Value::String(number.to_string()), Value::Number);
    Ok(match field {
        Field::Null => Value::Null,
        Field::Bool(yes) => Value::Bool(*yes),
        Field::Byte(number) => Value::from(*number),
        Field::Short(number) => Value::from(*number),
        Field::Int(number) => Value::from(*number),
        Field::Long(number) => Value::from(*number),
        Field::UByte(number) => Value::from(*number),
        Field::UShort(number) => Value::from(*number),
        Field::UInt(number) => Value::from(*number),
        Field::ULong(number) => Value::from(*number),
        Field::Float16(number) => float(f64::from(*number)),
        // By way of its shortest text, so that 0.1 stays 0.1.
        Field::Float(number) => number.to_string().parse().map_or_else(|_| float(f64::from(*number)), float),
        Field::Double(number) => float(*number),
        Field::Str(text) => Value::String(text.clone()),
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => Value::String(text.to_owned()),
            Err(_) => return Err("holds bytes that are no UTF-8 text".to_owned()),
        },
        Field::Group(row) => {
            let read = row.get_column_iter().map(|(name, field)| value(field).map(|value| (name.clone(), value)));
            Value::Object(read.collect::<Result<_, _>>()?)
        }
        Field::ListInternal(list) => Value::Array(list.elements().iter().map(value).collect::<Result<_, _>>()?),
        Field::MapInternal(map) => {
            let entries = map.entries().iter().map(|(key, held)| {
                let key = match value(key)? {
                    Value::String(key) => key,
                    other => other.to_string(),
                };
                value(held).map(|held| (key, held))
            });
            Value::Object(entries.collect::<Result<_, String>>()?)
        }
        // Decimals, dates and times print as people write them.
        other => Value::String(other.to_string()),
    })
}
