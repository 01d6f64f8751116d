//! The cache without a network, and downloads from a small Hub on this machine.

use std::sync::Arc;
use std::time::Instant;

use super::*;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A cache as Hugging Face's tools lay it out, with a model of two shards.
fn cache() -> tempfile::TempDir {
    let cache = tempfile::tempdir().unwrap();
    let repository = cache.path().join("models--someone--small");
    let snapshot = repository.join("snapshots").join(COMMIT);
    std::fs::create_dir_all(&snapshot).unwrap();
    std::fs::create_dir_all(repository.join("refs")).unwrap();
    std::fs::write(repository.join("refs/main"), COMMIT).unwrap();
    for file in ["config.json", "tokenizer.json", "model-1.safetensors", "model-2.safetensors"] {
        std::fs::write(snapshot.join(file), "{}").unwrap();
    }
    let index = r#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}"#;
    std::fs::write(snapshot.join("model.safetensors.index.json"), index).unwrap();
    cache
}

/// A Hub that nobody answers for: connections to the port are refused at once.
fn offline(cache: &Path) -> hf_hub::HFClientBuilder {
    HFClient::builder().endpoint("http://127.0.0.1:9").cache_dir(cache)
}

fn ask(cache: &Path, id: &str, revision: Option<&str>) -> Result<Fetched, SourceError> {
    fetch_by(offline(cache), id, revision, Duration::from_secs(5), &mut |_| {})
}

#[test]
fn a_cached_model_is_found_without_a_network() {
    let cache = cache();
    for revision in [None, Some("main"), Some(COMMIT)] {
        let found = ask(cache.path(), "someone/small", revision).unwrap();
        assert_eq!(found.revision, COMMIT);
        assert!(found.folder.join("config.json").is_file());
    }
}

#[test]
fn a_cached_model_with_a_shard_missing_is_not_taken_for_whole() {
    let cache = cache();
    let shard = format!("models--someone--small/snapshots/{COMMIT}/model-2.safetensors");
    std::fs::remove_file(cache.path().join(shard)).unwrap();
    assert!(ask(cache.path(), "someone/small", None).is_err());
}

#[test]
fn offline_is_said_plainly_and_soon() {
    let cache = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let error = ask(cache.path(), "someone/else", None).unwrap_err().to_string();
    assert!(error.contains("the Hub cannot be reached") && error.contains("a folder or a GGUF file"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn a_hub_that_never_answers_is_given_up() {
    let cache = tempfile::tempdir().unwrap();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let client = HFClient::builder().endpoint(endpoint).cache_dir(cache.path());
    let error = fetch_by(client, "someone/else", None, Duration::from_millis(300), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("the Hub cannot be reached"), "{error}");
}

#[test]
fn what_is_no_id_or_revision_never_reaches_the_network_or_the_disk() {
    let cache = cache();
    for id in ["", "a/b/c", "../etc", "a b", "someone/..", "-x", "a--b/c"] {
        assert!(ask(cache.path(), id, None).unwrap_err().to_string().contains("Hub id"), "{id}");
    }
    for revision in ["", "../../x", "a//b", "a\u{0}"] {
        let error = ask(cache.path(), "someone/small", Some(revision)).unwrap_err().to_string();
        assert!(error.contains("is no revision"), "{revision}: {error}");
    }
}

/// A Hub on this machine with one model of three files, and who asked it for what. The first `breaks` times that the
/// weights are asked for, the line breaks in the middle.
fn small_hub(breaks: usize) -> (String, Arc<Mutex<Vec<String>>>) {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (log, weights) = (asked.clone(), vec![7_u8; 100_000]);
    let left = Arc::new(Mutex::new(breaks));
    let serve = move |stream: std::net::TcpStream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        loop {
            let mut request = String::new();
            if reader.read_line(&mut request).unwrap_or(0) == 0 {
                return;
            }
            let (mut line, mut token) = (String::new(), false);
            while reader.read_line(&mut line).unwrap_or(0) > 2 {
                token |= line.to_lowercase().starts_with("authorization: bearer");
                line.clear();
            }
            let mut words = request.split_whitespace();
            let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            log.lock().unwrap().push(format!("{method} {path}{}", if token { " with a token" } else { "" }));
            let names = ["config.json", "tokenizer.json", "model.safetensors", "README.md"];
            let file = names.iter().find(|name| path.ends_with(&format!("/{name}")));
            let body = match file {
                Some(&"model.safetensors") => weights.clone(),
                Some(_) => b"{}".to_vec(),
                None if path.contains("/tree/") => serde_json::json!(
                    names.map(|n| { serde_json::json!({"type": "file", "path": n, "oid": "1", "size": 2}) })
                )
                .to_string()
                .into_bytes(),
                None => serde_json::json!({"id": "someone/new", "sha": COMMIT, "siblings":
                    names.map(|n| serde_json::json!({"rfilename": n}))})
                .to_string()
                .into_bytes(),
            };
            let status = match path {
                _ if path.contains("/gated") && !token => "403 Forbidden",
                _ if path.contains("/none") => "404 Not Found",
                _ => "200 OK",
            };
            let etag = file.map_or("list", |name| name);
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\ncontent-type: application/json\r\netag: \"{etag}\"\r\n\
                 x-repo-commit: {COMMIT}\r\n{}\r\n",
                body.len(),
                if status.starts_with("404") { "x-error-code: RepoNotFound\r\n" } else { "" }
            );
            let _ = stream.write_all(head.as_bytes());
            if method == "HEAD" {
                continue;
            }
            let mut left = left.lock().unwrap();
            if *left > 0 && file == Some(&"model.safetensors") {
                *left -= 1;
                let _ = stream.write_all(&body[..body.len() / 2]);
                let _ = stream.shutdown(std::net::Shutdown::Both);
                return;
            }
            let _ = stream.write_all(&body);
        }
    };
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream));
        }
    });
    (address, asked)
}

#[test]
fn a_model_is_brought_whole_once_and_pinned() {
    let cache = tempfile::tempdir().unwrap();
    let (hub, asked) = small_hub(0);
    let client = || HFClient::builder().endpoint(hub.clone()).cache_dir(cache.path());
    let mut seen = Vec::new();
    let wait = Duration::from_secs(10);
    let found = fetch_by(client(), "someone/new", None, wait, &mut |p| seen.push(p)).unwrap();
    assert_eq!(found.revision, COMMIT);
    assert_eq!(std::fs::read(found.folder.join("model.safetensors")).unwrap(), vec![7_u8; 100_000]);
    assert!(!found.folder.join("README.md").exists(), "only what a model needs");
    let last = seen.last().unwrap();
    assert_eq!((last.files_done, last.files, last.bytes_done), (3, 3, 100_004), "{seen:?}");
    // From now on the cache answers, and the Hub is not asked again.
    let before = asked.lock().unwrap().len();
    for revision in [None, Some(COMMIT)] {
        assert_eq!(fetch_by(client(), "someone/new", revision, wait, &mut |_| ()).unwrap(), found);
    }
    assert_eq!(asked.lock().unwrap().len(), before);
}

#[test]
fn a_download_that_broke_off_goes_on_with_what_is_missing() {
    let cache = tempfile::tempdir().unwrap();
    let (hub, asked) = small_hub(1);
    let client = || HFClient::builder().endpoint(hub.clone()).cache_dir(cache.path());
    let wait = Duration::from_secs(10);
    let error = fetch_by(client(), "someone/new", None, wait, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("someone/new") && error.contains("run again"), "{error}");
    let found = fetch_by(client(), "someone/new", None, wait, &mut |_| ()).unwrap();
    assert_eq!(std::fs::metadata(found.folder.join("model.safetensors")).unwrap().len(), 100_000);
    let asked = asked.lock().unwrap();
    let times = |what: &str| asked.iter().filter(|a| a.starts_with("GET") && a.contains(what)).count();
    assert_eq!(times("model.safetensors"), 2, "{asked:?}");
    assert!(times("config.json") <= 2, "{asked:?}");
}

#[test]
fn a_gated_model_takes_a_token_and_says_so() {
    let cache = tempfile::tempdir().unwrap();
    let (hub, asked) = small_hub(0);
    let client = || HFClient::builder().endpoint(hub.clone()).cache_dir(cache.path());
    let wait = Duration::from_secs(10);
    let error = fetch_by(client(), "someone/gated", None, wait, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("HF_TOKEN") && error.contains("accept its terms"), "{error}");
    fetch_by(client().token("secret"), "someone/gated", None, wait, &mut |_| ()).unwrap();
    assert!(asked.lock().unwrap().iter().any(|a| a.ends_with("with a token")));
    let error = fetch_by(client(), "someone/none", None, wait, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("has no model someone/none"), "{error}");
}

#[test]
fn only_the_files_that_are_needed_are_brought() {
    let names = |all: &[&str]| all.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
    let all = names(&["README.md", "config.json", "tokenizer.json", "model.safetensors", "onnx/model.onnx"]);
    assert_eq!(wanted("a/b", &all).unwrap(), ["config.json", "tokenizer.json", "model.safetensors"]);
    let spm = wanted("a/b", &names(&["config.json", "spiece.model", "model.safetensors"])).unwrap_err();
    assert!(spm.to_string().contains("tokenizer.json"), "{spm}");
    let bin = wanted("a/b", &names(&["config.json", "tokenizer.json", "pytorch_model.bin"])).unwrap_err();
    assert!(bin.to_string().contains("safetensors"), "{bin}");
}
