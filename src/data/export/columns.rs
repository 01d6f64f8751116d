//! Tables: CSV and Parquet, a column a field.

use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use serde_json::{Map, Value};

use super::{ExportError, Exported, Format, marks, pair};
use crate::store::Record;

/// Rows a group of a Parquet file.
const GROUP: usize = 10_000;

/// Column names, and each record's texts under them.
struct Table {
    names: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
    left_out: Vec<(i64, String)>,
}

fn table(records: &[Record]) -> Table {
    let mut table = Table { names: Vec::new(), rows: Vec::new(), left_out: Vec::new() };
    let mut rows: Vec<Map<String, Value>> = Vec::new();
    for record in records {
        match pair(record) {
            Ok((fields, answer)) => {
                let mut row = fields.clone();
                row.insert("output".into(), answer.into());
                marks(record, &mut row);
                rows.push(row);
            }
            Err(why) => table.left_out.push((record.id, why)),
        }
    }
    for row in &rows {
        for name in row.keys() {
            if !table.names.contains(name) {
                table.names.push(name.clone());
            }
        }
    }
    table.rows = rows
        .iter()
        .map(|row| {
            let text = |name: &String| match row.get(name)? {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            };
            table.names.iter().map(text).collect()
        })
        .collect();
    table
}

/// Commas, quotation marks where needed, line feeds, UTF-8.
pub(super) fn csv(records: &[Record]) -> Result<Exported, ExportError> {
    let table = table(records);
    let failed = |reason: String| ExportError::Write { format: Format::Csv, reason };
    let mut writer = csv::Writer::from_writer(Vec::new());
    if !table.names.is_empty() {
        writer.write_record(&table.names).map_err(|error| failed(error.to_string()))?;
    }
    for row in &table.rows {
        let row = row.iter().map(|cell| cell.as_deref().unwrap_or_default());
        writer.write_record(row).map_err(|error| failed(error.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|error| failed(error.to_string()))?;
    Ok(Exported { files: vec![("", bytes)], rows: table.rows.len(), left_out: table.left_out })
}

/// Optional UTF-8 columns, snappy.
pub(super) fn parquet(records: &[Record]) -> Result<Exported, ExportError> {
    let table = table(records);
    let failed = |reason: parquet::errors::ParquetError| ExportError::Write {
        format: Format::Parquet,
        reason: reason.to_string(),
    };
    let columns = table
        .names
        .iter()
        .map(|name| {
            let column = Type::primitive_type_builder(name, Physical::BYTE_ARRAY)
                .with_repetition(Repetition::OPTIONAL)
                .with_logical_type(Some(LogicalType::String));
            column.build().map(Arc::new)
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    let schema = Type::group_type_builder("records").with_fields(columns).build().map_err(failed)?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, Arc::new(schema), Arc::new(properties)).map_err(failed)?;
    for rows in table.rows.chunks(GROUP) {
        let mut group = writer.next_row_group().map_err(failed)?;
        for index in 0..table.names.len() {
            let Some(mut column) = group.next_column().map_err(failed)? else { break };
            let cells = rows.iter().map(|row| row.get(index).and_then(Option::as_deref));
            let values: Vec<ByteArray> = cells.clone().flatten().map(ByteArray::from).collect();
            let levels: Vec<i16> = cells.map(|cell| i16::from(cell.is_some())).collect();
            column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).map_err(failed)?;
            column.close().map_err(failed)?;
        }
        group.close().map_err(failed)?;
    }
    writer.close().map_err(failed)?;
    Ok(Exported { files: vec![("", bytes)], rows: table.rows.len(), left_out: table.left_out })
}
