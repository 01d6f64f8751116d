//! The 23 files of the reference data, against what their manifest says of them.

use std::path::PathBuf;

use serde_json::Value;

use crate::data::import::{ImportError, Item, Options, Summary, inspect, read};

fn folder() -> Option<PathBuf> {
    let shared = std::env::var_os("TOGI_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")), PathBuf::from);
    let folder = shared.join("data/messy");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: {} is not there (set TOGI_SHARED)", folder.display());
    assert!(std::env::var_os("TOGI_REQUIRE_SHARED").is_none_or(|v| v != "1"), "TOGI_REQUIRE_SHARED is set");
    None
}

#[test]
fn shared_messy_files_give_exactly_the_rows_and_errors_of_their_manifest() {
    let Some(folder) = folder() else { return };
    let manifest: Vec<Value> =
        serde_json::from_slice(&std::fs::read(folder.join("MANIFEST.json")).expect("manifest")).expect("json");
    let mut wrong = Vec::new();
    for expected in &manifest {
        let name = expected["file"].as_str().expect("file");
        let path = folder.join(name);
        let (mut rows, mut refused) = (0u64, Vec::new());
        let done: Result<Summary, ImportError> = read(&path, &Options::default(), &mut |item| {
            match item {
                Item::Row(_) => rows += 1,
                Item::Refused { line, reason, .. } => refused.push((line, reason)),
            }
            Ok(())
        });
        let encoding = match &done {
            Ok(summary) => summary.encoding.clone(),
            Err(ImportError::Unrecognised { encoding, .. }) => encoding.clone(),
            Err(other) => format!("{other}"),
        };
        let errors = refused.len() as u64 + u64::from(done.is_err());
        println!("{name}: {rows} rows, {errors} errors; {refused:?} {done:?}");
        if Some(rows) != expected["rows"].as_u64() || Some(errors) != expected["errors"].as_u64() {
            wrong.push(format!("{name}: {rows} rows, {errors} errors ({refused:?}, {done:?}), not {expected}"));
        }
        // The file that is none of ours is UTF-8 with two surrogates, whatever its manifest says.
        if let Some(wanted) = expected["encoding"].as_str().filter(|_| expected["unrecognised"].is_null()) {
            let word = wanted.split(['(', ')', ' ']).any(|word| word == encoding);
            if !word {
                wrong.push(format!("{name}: {encoding}, not {wanted}"));
            }
        }
        if let Some(lines) = expected["error_lines"].as_array() {
            let found: Vec<u64> = refused.iter().map(|(line, _)| *line).collect();
            let wanted: Vec<u64> = lines.iter().filter_map(Value::as_u64).collect();
            if found != wanted {
                wrong.push(format!("{name}: errors in lines {found:?}, not {wanted:?}"));
            }
        }
        match (inspect(&path, &Options::default()), &done) {
            (Ok(preview), Ok(summary)) => {
                assert_eq!((preview.format, &preview.encoding), (summary.format, &summary.encoding), "{name}");
                if preview.first.len() != 3 {
                    wrong.push(format!("{name}: {preview:?}"));
                }
            }
            (Err(_), Err(_)) => {}
            (one, other) => wrong.push(format!("{name}: {one:?} and yet {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
