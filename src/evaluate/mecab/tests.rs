use std::fs;

use super::*;

/// The dictionary, where one is installed; without one such tests are skipped, and fail where nothing may be.
pub(in crate::evaluate) fn dictionary() -> Option<&'static Mecab> {
    static OPEN: std::sync::OnceLock<Option<Mecab>> = std::sync::OnceLock::new();
    let open = OPEN.get_or_init(|| match Mecab::find(None) {
        Ok(mecab) => Some(mecab),
        Err(error) => {
            assert!(error.is_not_found(), "{error}");
            assert!(std::env::var_os("TOGI_REQUIRE_SHARED").is_none_or(|v| v != "1"), "{error}");
            eprintln!("skipped: {error}");
            None
        }
    });
    open.as_ref()
}

#[test]
fn japanese_is_cut_into_the_words_that_mecab_finds() {
    let Some(mecab) = dictionary() else { return };
    let cut = |text: &str| mecab.words(text).join("|");
    // mecab-python3 1.0.12 with ipadic 1.0.0, -Owakati.
    assert_eq!(cut("すもももももももものうち"), "すもも|も|もも|も|もも|の|うち");
    assert_eq!(
        cut("包丁を研ぐ前に、砥石を水に浸しておきます。"),
        "包丁|を|研ぐ|前|に|、|砥石|を|水|に|浸し|て|おき|ます|。"
    );
    assert_eq!(mecab.signature(), "ja-mecab-0.996-IPA");
}

#[test]
fn any_text_is_cut_and_loses_nothing_but_its_white_space() {
    let Some(mecab) = dictionary() else { return };
    let long = "とても長い文章です".repeat(20_000);
    let texts = [
        "",
        " ",
        "\u{0}",
        "a\u{0}b",
        "\n\n改\t\t行 \u{b} あり\n",
        "\u{ffff}東京\u{183ff}",
        "\u{10ffff}",
        "ﾊﾝｶｸ ｶﾅ",
        "\u{3000}",
        "a\u{a0}b",
        "e\u{301}",
        "👩‍👩‍👧‍👦",
        "1234567890",
        &"x".repeat(100_000),
        &" a".repeat(40_000),
        &long,
    ];
    let bare = |text: &str| text.chars().filter(|c| !white::is_space(*c)).collect::<String>();
    for text in texts {
        let words = mecab.words(text);
        assert!(words.iter().all(|word| !word.is_empty() && !word.contains(white::is_space)), "{text:.40}");
        assert_eq!(words.concat(), bare(text), "{text:.40}");
    }
    // The blanks between words are no words, however many there are.
    assert_eq!(mecab.words("東京 都"), mecab.words(&format!("東京{}都", " ".repeat(100))));
}

#[test]
fn what_is_no_dictionary_is_told_apart() {
    let desk = tempfile::TempDir::new().unwrap();
    let said = |folder: &Path| Mecab::open(folder).unwrap_err().to_string();
    assert!(said(&desk.path().join("nowhere")).contains("sys.dic"), "{}", said(desk.path()));
    for file in FILES {
        assert!(said(desk.path()).contains(&format!("has no {file}")), "{}", said(desk.path()));
        fs::write(desk.path().join(file), b"").unwrap();
    }
    assert!(said(desk.path()).contains("damaged"), "{}", said(desk.path()));
}

#[test]
fn a_damaged_or_foreign_dictionary_is_refused_and_a_path_with_blanks_is_not() {
    let Some(mecab) = dictionary() else { return };
    let desk = tempfile::TempDir::new().unwrap();
    let folder = desk.path().join("a dictionary");
    fs::create_dir(&folder).unwrap();
    let copy = |changed: &str, change: &dyn Fn(&mut Vec<u8>)| {
        for file in FILES {
            let to = folder.join(file);
            let _ = fs::remove_file(&to);
            let from = mecab.folder().canonicalize().unwrap().join(file);
            if file == changed {
                let mut bytes = fs::read(from).unwrap();
                change(&mut bytes);
                fs::write(&to, bytes).unwrap();
            } else {
                std::os::unix::fs::symlink(from, &to).unwrap();
            }
        }
        Mecab::open(&folder)
    };
    assert_eq!(copy("", &|_| ()).unwrap().words("東京都"), ["東京", "都"]);
    for file in FILES {
        let cut = copy(file, &|bytes| bytes.truncate(bytes.len() - 5)).unwrap_err();
        assert!(matches!(cut, MecabError::Damaged { .. }) && cut.to_string().contains(file), "{cut}");
    }
    let foreign = copy("sys.dic", &|bytes| bytes[40..46].copy_from_slice(b"EUC-JP")).unwrap_err();
    assert!(foreign.to_string().contains("EUC-JP") && foreign.to_string().contains("UTF-8"), "{foreign}");
    let led_astray = copy("sys.dic", &|bytes| bytes[72..76].copy_from_slice(&i32::MAX.to_le_bytes())).unwrap_err();
    assert!(led_astray.to_string().contains("index"), "{led_astray}");
    let costs = copy("unk.dic", &|bytes| {
        let tokens = 72 + u32::from_le_bytes(bytes[24..28].try_into().unwrap()) as usize;
        bytes[tokens] = 0xff;
        bytes[tokens + 1] = 0xff;
    });
    assert!(costs.unwrap_err().to_string().contains("not there"));
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]
    #[test]
    fn no_text_is_too_strange(text in r"(\PC|\pC|[あ-ん一-龠ｱ-ﾝ]{3}|[\x{18300}-\x{18400}]| |\n){0,60}") {
        if let Some(mecab) = dictionary() {
            let bare: String = text.chars().filter(|c| !white::is_space(*c)).collect();
            proptest::prop_assert_eq!(mecab.words(&text).concat(), bare);
        }
    }
}
