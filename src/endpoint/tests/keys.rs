//! Where the key goes, and where it must not.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use tempfile::NamedTempFile;

use super::*;
use crate::endpoint::EndpointError;

const KEY: &str = "sk-very-secret-0123456789abcdefghijklmnop";

/// A file with a key, that only its owner may read.
fn key_file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600)).unwrap();
    file
}

fn with_key(settings: Settings, file: &NamedTempFile) -> Settings {
    Settings { key_file: Some(file.path().to_path_buf()), ..settings }
}

#[tokio::test]
async fn the_key_is_sent_as_a_bearer_and_none_without_one() {
    let server = server(good("yes")).await;
    let file = key_file(&format!("{KEY}\n"));
    run(with_key(settings_of(&server), &file), &prompts(1));
    run(settings_of(&server), &prompts(1));
    // Any variable that the build sets and this process may not change will do.
    run(Settings { key_env: Some("CARGO_PKG_NAME".to_owned()), ..settings_of(&server) }, &prompts(1));
    let sent: Vec<_> = asked(&server)
        .await
        .iter()
        .map(|request| request.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned()))
        .collect();
    let named = format!("Bearer {}", env!("CARGO_PKG_NAME"));
    assert_eq!(sent, [Some(format!("Bearer {KEY}")), None, Some(named)]);
}

#[tokio::test]
async fn the_key_goes_into_the_header_that_is_named_and_nowhere_else() {
    let file = key_file(&format!("{KEY}\n"));
    for name in ["api-key", "X-Api-Key"] {
        let server = server(error(401, &format!("the {name} {KEY} is wrong"))).await;
        let settings = Settings { key_header: Some(name.to_owned()), ..with_key(settings_of(&server), &file) };
        let seen = run(settings.clone(), &prompts(1));
        let sent = asked(&server).await;
        assert_eq!(sent[0].headers.get(name).unwrap().to_str().unwrap(), KEY, "without Bearer");
        assert!(sent.iter().all(|request| request.headers.get("authorization").is_none()));
        let endpoint = Endpoint::open(settings.clone()).unwrap();
        let all = format!("{:?} {:?} {} {endpoint:?} {settings:?}", seen.summary, seen.failures, seen.summary.ending);
        assert!(all.contains("401") && !all.contains("sk-very"), "{all}");
    }
}

#[test]
fn a_header_that_cannot_carry_the_key_is_refused_and_not_repeated() {
    let of = |header: &str, key: &str| {
        let text = format!("base_url = \"http://127.0.0.1\"\nmodel = \"m\"\nkey_header = \"{header}\"\n{key}");
        Settings::from_table("big", &toml::from_str(&text).unwrap())
    };
    let key = "key_env = \"BIG_API_KEY\"";
    assert_eq!(of("api-key", key).unwrap().key_header.as_deref(), Some("api-key"));
    for (header, key, why) in [
        ("api-key", "", "there is no key"),
        ("api key", key, "must be the name of a header"),
        (KEY, key, "must be the name of a header"),
        ("Content-Type", key, "which the request has already"),
    ] {
        let told = of(header, key).unwrap_err().to_string();
        assert!(told.contains(why) && !told.contains("sk-very"), "{told}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_takes_no_key_along() {
    let elsewhere = server(good("stolen")).await;
    for status in [301, 302, 303, 307, 308] {
        let to = format!("{}/v1/chat/completions?key=abc", elsewhere.uri());
        let server = server(ResponseTemplate::new(status).insert_header("Location", to.as_str())).await;
        let file = key_file(KEY);
        let seen = run(with_key(settings_of(&server), &file), &prompts(8));
        let told = seen.summary.ending.to_string();
        assert!(told.contains(&format!("sends on to {}", elsewhere.uri())) && !told.contains("abc"), "{told}");
        assert_eq!(seen.summary.left, 8);
    }
    assert!(asked(&elsewhere).await.is_empty());
}

#[tokio::test]
async fn a_server_that_repeats_the_key_does_not_get_it_shown() {
    let file = key_file(KEY);
    // At the cut of a long message too, where only the beginning of the key would be left.
    for before in [0, 270, 290] {
        for status in [200, 400, 401, 500] {
            let told = format!("{}Incorrect key {KEY} provided", "x".repeat(before));
            let server = server(error(status, &told)).await;
            let seen = run(Settings { retries: 1, ..with_key(settings_of(&server), &file) }, &prompts(1));
            let all = format!("{:?} {:?} {:?} {}", seen.summary, seen.failures, seen.retries, seen.summary.ending);
            assert!(!all.contains("sk-very"), "{status}: {all}");
            assert!(all.contains("Incorrect"), "{status}: {all}");
        }
    }
}

#[test]
fn the_key_is_in_no_debug() {
    let file = key_file(KEY);
    let endpoint = Endpoint::open(with_key(settings("http://localhost:1/v1"), &file)).unwrap();
    assert!(!format!("{endpoint:?} {endpoint:#?}").contains("sk-very"));
}

#[test]
fn a_key_file_that_lets_others_in_is_refused_with_what_to_do() {
    let file = key_file(KEY);
    for (mode, fine) in [(0o600, true), (0o400, true), (0o640, false), (0o644, false), (0o604, false), (0o620, false)] {
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        let opened = Endpoint::open(with_key(settings("http://localhost:1"), &file));
        assert_eq!(opened.is_ok(), fine, "{mode:o}");
        if let Err(error) = opened {
            let told = error.to_string();
            assert!(told.contains(&format!("mode 0{mode:o}")) && told.contains("run chmod 600"), "{told}");
            assert!(told.contains(&file.path().display().to_string()), "{told}");
        }
    }
}

#[test]
fn what_is_no_key_is_told_without_showing_it() {
    for (text, words) in [
        ("", "is empty"),
        (" \n", "is empty"),
        ("one\ntwo-secret", "spaces or characters"),
        ("kéy-secret", "spaces or characters"),
        (&"secret".repeat(20_000), "too long"),
    ] {
        let told = Endpoint::open(with_key(settings("http://localhost:1"), &key_file(text))).unwrap_err().to_string();
        assert!(told.contains(words) && !told.contains("secret"), "{told}");
    }
    let folder = tempfile::tempdir().unwrap();
    for (path, words) in [(folder.path().to_path_buf(), "is no file"), (folder.path().join("none"), "could not read")] {
        let told = Endpoint::open(Settings { key_file: Some(path), ..settings("http://localhost:1") });
        assert!(told.unwrap_err().to_string().contains(words), "{words}");
    }
    let unset = Settings { key_env: Some("TOGI_NO_SUCH_VARIABLE".to_owned()), ..settings("http://localhost:1") };
    let error = Endpoint::open(unset).unwrap_err();
    assert!(matches!(error, EndpointError::Key(_)));
    assert!(error.to_string().contains("TOGI_NO_SUCH_VARIABLE that key_env names is not set"), "{error}");
}

#[test]
fn a_key_in_clear_over_the_network_is_warned_of() {
    let file = key_file(KEY);
    let warned = |url: &str| Endpoint::open(with_key(settings(url), &file)).unwrap().warnings().len();
    assert_eq!(warned("http://models.example.com/v1"), 1);
    assert_eq!(warned("http://192.168.0.9:8000/v1"), 1);
    assert_eq!(warned("https://models.example.com/v1"), 0);
    assert_eq!(warned("http://127.0.0.1:8000/v1"), 0);
    assert!(
        Endpoint::open(settings("http://models.example.com/v1")).unwrap().warnings().is_empty(),
        "no key, no warning"
    );
}
