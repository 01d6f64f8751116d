//! Encodings, gzip, workbooks and parquet, made here.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use parquet::basic::{Compression as Codec, GzipLevel, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::json;

use super::{Read, options, pair, read_all, read_with, refused, rows};
use crate::data::import::{Format, ImportError, Options};

const TABLE: &str = "質問,回答\r\n首都はどこですか？,東京です。\r\n山はどれが高い？,富士山が高い。\r\n";

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(bytes).expect("pack");
    packed.finish().expect("pack")
}

fn utf16(text: &str, little: bool, mark: bool) -> Vec<u8> {
    let units = mark.then_some(0xFEFF).into_iter().chain(text.encode_utf16());
    units.flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
}

/// A zip of stored or deflated parts; nothing looks at the check sums but readers of the parts.
pub(super) fn zip(parts: &[(&str, &[u8])], deflated: bool) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in parts {
        let mut sum = flate2::Crc::new();
        sum.update(bytes);
        let packed = if deflated {
            let mut packed = DeflateEncoder::new(Vec::new(), Compression::default());
            packed.write_all(bytes).expect("pack");
            packed.finish().expect("pack")
        } else {
            bytes.to_vec()
        };
        let method = if deflated { 8u16 } else { 0 };
        let mut about = Vec::new();
        for number in [20u16, 0, method, 0, 0x21] {
            about.extend(number.to_le_bytes());
        }
        for number in [sum.sum(), packed.len() as u32, bytes.len() as u32] {
            about.extend(number.to_le_bytes());
        }
        about.extend((name.len() as u16).to_le_bytes());
        about.extend(0u16.to_le_bytes());
        let offset = out.len() as u32;
        out.extend(b"PK\x03\x04");
        out.extend(&about);
        out.extend(name.as_bytes());
        out.extend(&packed);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&about);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let at = out.len() as u32;
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend((parts.len() as u16).to_le_bytes());
    out.extend((parts.len() as u16).to_le_bytes());
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(at.to_le_bytes());
    out.extend([0; 2]);
    out
}

/// A workbook with one sheet of these rows (the insides of `<row>`) for each name.
pub(super) fn workbook(sheets: &[(&str, &str)], strings: &str) -> Vec<u8> {
    let types = r#"<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>"#;
    let office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let package = "http://schemas.openxmlformats.org/package/2006/relationships";
    let root = format!(
        r#"<Relationships xmlns="{package}"><Relationship Id="rId1" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>"#
    );
    let (mut list, mut links) = (String::new(), String::new());
    let mut parts = Vec::new();
    for (i, (name, rows)) in (1..).zip(sheets) {
        let _ = write!(list, r#"<sheet name="{name}" sheetId="{i}" r:id="rId{i}"/>"#);
        let _ =
            write!(links, r#"<Relationship Id="rId{i}" Type="{office}/worksheet" Target="worksheets/sheet{i}.xml"/>"#);
        let sheet = format!(r#"<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>"#);
        parts.push((format!("xl/worksheets/sheet{i}.xml"), sheet));
    }
    let book = format!(r#"<workbook xmlns="{main}" xmlns:r="{office}"><sheets>{list}</sheets></workbook>"#);
    let links = format!(r#"<Relationships xmlns="{package}">{links}</Relationships>"#);
    let strings = format!(r#"<sst xmlns="{main}" {strings}</sst>"#);
    parts.extend([
        ("[Content_Types].xml".to_owned(), types.to_owned()),
        ("_rels/.rels".to_owned(), root),
        ("xl/workbook.xml".to_owned(), book),
        ("xl/_rels/workbook.xml.rels".to_owned(), links),
        ("xl/sharedStrings.xml".to_owned(), strings),
    ]);
    let parts: Vec<(&str, &[u8])> = parts.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    zip(&parts, true)
}

/// Cells of texts, as the insides of rows.
pub(super) fn sheet(rows: &[&[&str]]) -> String {
    let row = |(number, cells): (usize, &&[&str])| {
        let cell = |(i, text): (usize, &&str)| {
            let name = format!("{}{number}", char::from(b'A' + i as u8));
            match text.parse::<f64>() {
                Ok(_) => format!(r#"<c r="{name}"><v>{text}</v></c>"#),
                Err(_) if text.is_empty() => String::new(),
                Err(_) => format!(r#"<c r="{name}" t="inlineStr"><is><t>{text}</t></is></c>"#),
            }
        };
        format!(r#"<row r="{number}">{}</row>"#, cells.iter().enumerate().map(cell).collect::<String>())
    };
    (1..).zip(rows).map(row).collect()
}

/// Every compression that is read.
pub(super) fn codecs() -> [Codec; 5] {
    let (gzip, zstd) = (Codec::GZIP(GzipLevel::default()), Codec::ZSTD(ZstdLevel::default()));
    [Codec::UNCOMPRESSED, Codec::SNAPPY, Codec::LZ4_RAW, gzip, zstd]
}

/// A parquet file of optional texts, row groups of two rows.
pub(super) fn parquet_file(rows: &[[Option<&str>; 2]], codec: Codec) -> Vec<u8> {
    let schema = "message schema { optional binary question (UTF8); optional binary answer; }";
    let schema = Arc::new(parse_message_type(schema).expect("schema"));
    let about = Arc::new(WriterProperties::builder().set_compression(codec).build());
    let mut file = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut file, schema, about).expect("writer");
    for rows in rows.chunks(2) {
        let mut group = writer.next_row_group().expect("group");
        let mut column = 0;
        while let Some(mut open) = group.next_column().expect("column") {
            let cells: Vec<Option<&str>> = rows.iter().map(|row| row[column]).collect();
            let levels: Vec<i16> = cells.iter().map(|cell| i16::from(cell.is_some())).collect();
            let values: Vec<ByteArray> = cells.into_iter().flatten().map(ByteArray::from).collect();
            open.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).expect("write");
            open.close().expect("close");
            column += 1;
        }
        group.close().expect("close");
    }
    writer.close().expect("close");
    file
}

#[test]
fn every_encoding_gives_the_same_rows_and_is_named() {
    let cp932 = encoding_rs::SHIFT_JIS.encode(TABLE).0.into_owned();
    let euc = encoding_rs::EUC_JP.encode(TABLE).0.into_owned();
    let tabs = TABLE.replace(',', "\t");
    let expected = read_all(TABLE).items;
    for (name, bytes) in [
        ("utf-8", TABLE.as_bytes().to_vec()),
        ("utf-8-sig", [b"\xEF\xBB\xBF", TABLE.as_bytes()].concat()),
        ("utf-16le", utf16(TABLE, true, true)),
        ("utf-16be", utf16(TABLE, false, true)),
        ("utf-16le", utf16(&tabs, true, false)),
        ("utf-16be", utf16(&tabs, false, false)),
        ("cp932", cp932.clone()),
        ("euc-jp", euc),
        ("cp932", gzip(&cp932)),
    ] {
        let Read { items, summary } = read_with(&bytes, &Options::default()).expect(name);
        assert_eq!(summary.encoding, name);
        assert_eq!(items, expected, "{name}");
    }
    let latin = encoding_rs::WINDOWS_1252
        .encode("prompt,output\nOù est-il allé ?,Là-bas, je crois…\n".replace(", je", " je").as_str())
        .0
        .into_owned();
    let Read { items, summary } = read_with(&latin, &Options::default()).expect("latin");
    assert_eq!(summary.encoding, "windows-1252");
    assert_eq!(pair(rows(&items)[0]), (json!({"prompt": "Où est-il allé ?"}), None, Some("Là-bas je crois…")));
}

#[test]
fn one_bad_byte_is_one_bad_row_in_any_encoding() {
    let line = r#"{"prompt": "首都はどこですか？", "completion": "東京です。"}"#;
    let lines = format!("{line}\n").repeat(12);
    for (encoding, bad) in
        [(encoding_rs::UTF_8, &[0xE3u8][..]), (encoding_rs::SHIFT_JIS, &[0x81]), (encoding_rs::EUC_JP, &[0xFF])]
    {
        let mut bytes = encoding.encode(&lines).0.into_owned();
        let ends: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at] == b'\n').collect();
        // Behind the last letter of the seventh line's answer.
        let at = ends[6] - 2;
        bytes.splice(at..at, bad.iter().copied());
        let Read { items, .. } = read_with(&bytes, &Options::default()).expect("reads");
        assert_eq!(rows(&items).len(), 11, "{}", encoding.name());
        let why = refused(&items);
        assert!(why[0].0 == 7 && why[0].1.contains("東京です。"), "{}: {why:?}", encoding.name());
    }
    let mut wide: Vec<u16> = lines.encode_utf16().collect();
    wide[20] = 0xD800;
    let bytes: Vec<u8> = [0xFEFF].into_iter().chain(wide).flat_map(u16::to_le_bytes).collect();
    let Read { items, .. } = read_with(&bytes, &Options::default()).expect("reads");
    assert_eq!((rows(&items).len(), refused(&items)[0].0), (11, 1));
}

#[test]
fn an_encoding_that_a_person_names_is_used() {
    let named = Options { encoding: Some("cp932".into()), ..Options::default() };
    let bytes = encoding_rs::SHIFT_JIS.encode("prompt,output\n東,京\n").0.into_owned();
    let Read { items, .. } = read_with(&bytes, &named).expect("reads");
    assert_eq!(pair(rows(&items)[0]).2, Some("京"));
    let wrong = Options { encoding: Some("klingon".into()), ..Options::default() };
    assert!(matches!(read_with(b"x", &wrong), Err(ImportError::Encoding { .. })));
}

#[test]
fn a_workbook_is_read_by_its_cells() {
    let faq = sheet(&[
        &["ID", "質問", "回答", "メモ"],
        &["1", "q1", "a1"],
        &["2", "q2", "42"],
        &["3", "q3", "", "x"],
        &[],
        &["4.5", "q4", "a4"],
    ]);
    let Read { items, summary } =
        read_with(&workbook(&[("表紙", ""), ("FAQ", &faq)], ">"), &Options::default()).expect("reads");
    assert_eq!(summary.format, Format::Xlsx);
    let found = rows(&items);
    assert_eq!(pair(found[0]), (json!({"question": "q1"}), None, Some("a1")));
    assert_eq!((pair(found[1]).2, found[2].id.as_deref(), found[2].line), (Some("42"), Some("4.5"), 6));
    assert_eq!(refused(&items)[0].0, 4);
    let raw = items.iter().find_map(|item| match item {
        crate::data::import::Item::Refused { raw, .. } => Some(raw.as_str()),
        crate::data::import::Item::Row(_) => None,
    });
    assert_eq!(raw, Some(r#"{"ID":"3","質問":"q3","回答":null,"メモ":"x"}"#));
    // Mended, that is read as a row of the same file.
    let again = summary.again();
    let Read { items, .. } =
        read_with(raw.unwrap_or_default().replace("null", "\"a3\"").as_bytes(), &again).expect("reads");
    assert_eq!(pair(rows(&items)[0]), (json!({"question": "q3", "メモ": "x"}), None, Some("a3")));
}

#[test]
fn which_of_several_sheets_is_asked() {
    let rows_of = |answer| sheet(&[&["prompt", "output"], &["q", answer]]);
    let book = workbook(&[("one", &rows_of("a")), ("two", &rows_of("b"))], ">");
    let Err(ImportError::Unrecognised { found, example, .. }) = read_with(&book, &Options::default()).map(|r| r.items)
    else {
        panic!("a sheet was guessed")
    };
    assert_eq!((found, example.as_str()), (vec!["one".to_owned(), "two".to_owned()], "--map sheet=one"));
    let Read { items, .. } = read_with(&book, &options(&[("sheet", "two")])).expect("reads");
    assert_eq!(pair(rows(&items)[0]).2, Some("b"));
}

#[test]
fn parquet_is_read_over_row_groups_and_nulls() {
    let data = [[Some("q1"), Some("a1")], [Some("q2"), None], [None, Some("a3")], [Some("質問"), Some("答え")]];
    for codec in codecs() {
        let file = parquet_file(&data, codec);
        let Read { items, summary } = read_with(&file, &Options::default()).expect("reads");
        assert_eq!(summary.format, Format::Parquet);
        assert_eq!(pair(rows(&items)[1]), (json!({"question": "質問"}), None, Some("答え")));
        assert_eq!(refused(&items).iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(read_with(&gzip(&file), &Options::default()).expect("reads").items, items);
    }
}

#[test]
fn what_unpacks_without_end_or_declares_what_it_has_not_is_an_error() {
    let bomb = gzip(&gzip_bomb());
    assert!(matches!(read_with(&bomb, &Options::default()), Err(ImportError::Binary { .. })));
    let bomb = gzip_bomb();
    let Err(error) = read_with(&bomb, &Options::default()).map(|read| read.items) else { panic!("a bomb was read") };
    assert!(matches!(error, ImportError::Bomb { .. }), "{error}");
    let rows = sheet(&[&["prompt", "output"], &["q", "a"]]);
    let boasting = workbook(&[("one", &rows)], r#"uniqueCount="9999999999999">"#);
    let Err(error) = read_with(&boasting, &Options::default()).map(|read| read.items) else {
        panic!("it was believed")
    };
    assert!(error.to_string().contains("9999999999999"), "{error}");
    let zeros = vec![b' '; 300 << 20];
    let wide = zip(&[("xl/workbook.xml", &zeros)], true);
    assert!(matches!(read_with(&wide, &Options::default()), Err(ImportError::Bomb { .. })));
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let Read { items, .. } = read_all(&format!("{{\"prompt\": \"a\", \"output\": \"b\"}}\n{{\"prompt\": {deep}}}\n"));
    assert_eq!(refused(&items)[0].0, 2);
}

/// 100 MiB of spaces in 100 KiB.
fn gzip_bomb() -> Vec<u8> {
    gzip(&vec![b' '; 100 << 20])
}

#[test]
fn what_is_no_data_is_named() {
    for (bytes, word) in [
        (&b"%PDF-1.7\n"[..], "PDF"),
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\x0d\x01\x02\x03\x04\x05\x06\x07\x08", "control"),
        (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "old Excel"),
        (b"PK\x03\x04 and nothing else", "xlsx"),
        (b"PAR1 and nothing else", "parquet"),
        (b"\x1f\x8b\x08 and nothing else", "gzip"),
    ] {
        let Err(error) = read_with(bytes, &Options::default()).map(|read| read.items) else {
            panic!("{word} was read")
        };
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn one_raw_zero_byte_is_one_bad_row_and_no_other_encoding() {
    // Once at an even place and once at an odd one, in a file of less than 100 bytes and in a longer one.
    for zero in ["x\0", "xy\0"] {
        for times in [1, 20] {
            let good = "{\"prompt\": \"q\", \"completion\": \"a\"}\n";
            let text = format!("{good}{{\"prompt\": \"{zero}\", \"completion\": \"a\"}}\n{}", good.repeat(times));
            let Read { items, summary } = read_with(text.as_bytes(), &Options::default()).expect("reads");
            assert_eq!((summary.encoding.as_str(), rows(&items).len()), ("utf-8", 1 + times), "{text:?}");
            let why = refused(&items);
            assert!(why.len() == 1 && why[0].0 == 2 && why[0].1.contains("control character"), "{why:?}");
        }
        // Nothing forbids it in a table, whichever encoding that is in.
        let table = TABLE.replace("東京", &format!("{zero}東京")).repeat(8);
        for (name, encoding) in
            [("utf-8", encoding_rs::UTF_8), ("cp932", encoding_rs::SHIFT_JIS), ("euc-jp", encoding_rs::EUC_JP)]
        {
            let bytes = encoding.encode(&table.replacen('\0', "", 7)).0.into_owned();
            let Read { items, summary } = read_with(&bytes, &Options::default()).expect(name);
            assert_eq!((summary.encoding.as_str(), refused(&items)), (name, vec![]));
            let held = rows(&items).into_iter().filter(|row| pair(row).2.is_some_and(|answer| answer.contains('\0')));
            assert_eq!(held.count(), 1, "{name}");
        }
    }
}

#[test]
fn utf_16_without_a_mark_is_found_where_nearly_all_is_japanese() {
    // The one character in twenty that has a zero byte is a comma or ends a line.
    let long = "日本で一番高い山はどれですか、そしてその高さは何メートルありますか？".to_owned();
    let table = format!("質問,回答\r\n{}", format!("{long},{long}\r\n").repeat(9));
    for (name, little) in [("utf-16le", true), ("utf-16be", false)] {
        let Read { items, summary } = read_with(&utf16(&table, little, false), &Options::default()).expect(name);
        assert_eq!((summary.encoding.as_str(), rows(&items).len()), (name, 9));
    }
}
