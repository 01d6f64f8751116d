//! Where the requests go: the base URL as a person gave it, and what is said of it.

use reqwest::Url;

/// What the two paths of the interface are, after the base.
const CHAT: &str = "chat/completions";
const MODELS: &str = "models";

/// Reads a base URL, with or without a slash at the end, with or without `/chat/completions`.
///
/// # Errors
/// For what is no `http` or `https` URL with a host, and for one that holds a password.
pub(super) fn base(given: &str) -> Result<Url, String> {
    let given = given.trim();
    let url = Url::parse(given).map_err(|error| {
        let told = if given.is_empty() { "it is empty".to_owned() } else { format!("{given:?} is no URL ({error})") };
        format!("{told}; write it like https://api.example.com/v1 or http://localhost:8000/v1")
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        // `localhost:8000/v1` parses, with a scheme called localhost.
        return Err(format!("{given:?} begins with neither http:// nor https://; write the scheme in front"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it holds a name or a password before the @; give the key by key_env or key_file".to_owned());
    }
    Ok(url)
}

/// Where chat completions are asked for.
pub(super) fn chat(base: &Url) -> Url {
    below(base, CHAT)
}

/// Where the models are listed.
pub(super) fn models(base: &Url) -> Url {
    below(base, MODELS)
}

/// `base` with `tail` as the end of its path. Its query stays, which some providers want for a version.
fn below(base: &Url, tail: &str) -> Url {
    let mut url = base.clone();
    let path = base.path().trim_end_matches('/');
    let path = path.strip_suffix(CHAT).unwrap_or(path).trim_end_matches('/');
    let path = format!("{path}/{tail}");
    url.set_path(&path);
    url.set_fragment(None);
    url
}

/// Whether the host is this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let plain = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || plain.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The URL for a message: without the query, which may hold a key.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    let _ = url.set_password(None);
    let _ = url.set_username("");
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_is_taken_as_given_with_or_without_slash_and_version() {
        for (given, want) in [
            ("https://a.example/v1", "https://a.example/v1/chat/completions"),
            ("https://a.example/v1/", "https://a.example/v1/chat/completions"),
            ("https://a.example", "https://a.example/chat/completions"),
            (" http://localhost:8000/ ", "http://localhost:8000/chat/completions"),
            ("https://a.example/openai/v1//", "https://a.example/openai/v1/chat/completions"),
            ("https://a.example/v1/chat/completions", "https://a.example/v1/chat/completions"),
            ("https://a.example/v1?api-version=2", "https://a.example/v1/chat/completions?api-version=2"),
        ] {
            assert_eq!(chat(&base(given).unwrap()).as_str(), want);
        }
        assert_eq!(
            models(&base("https://a.example/v1/chat/completions/").unwrap()).as_str(),
            "https://a.example/v1/models"
        );
    }

    #[test]
    fn what_is_no_url_says_how_to_write_one() {
        for (given, word) in [
            ("", "empty"),
            ("api.example.com/v1", "no URL"),
            ("localhost:8000/v1", "neither http:// nor https://"),
            ("ftp://a.example", "neither http:// nor https://"),
            ("http://", "no URL"),
            ("https://me:secret@a.example/v1", "password before the @"),
        ] {
            let error = base(given).unwrap_err();
            assert!(error.contains(word), "{given}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn this_machine_is_known_by_name_and_number() {
        for (given, here) in [
            ("http://localhost:1/v1", true),
            ("http://127.0.0.1/v1", true),
            ("http://127.9.0.1/v1", true),
            ("http://[::1]:8000", true),
            ("http://192.168.0.5/v1", false),
            ("http://localhost.example.com", false),
        ] {
            assert_eq!(is_loopback(&base(given).unwrap()), here, "{given}");
        }
    }

    #[test]
    fn a_shown_url_has_no_query() {
        assert_eq!(shown(&base("https://a.example/v1?key=abc").unwrap()), "https://a.example/v1");
    }
}
