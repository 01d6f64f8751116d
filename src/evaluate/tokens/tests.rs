use super::*;

fn cut(tokens: Tokens, text: &str) -> String {
    tokens.of(text, None).unwrap().join("|")
}

/// sacrebleu 2.6.0, `rouge_score` 0.1.2 and nltk 3.10.4 say the same.
#[test]
fn texts_are_cut_as_the_references_cut_them() {
    let line = "Mr. Sato's knife-set cost $1,250.50 (was 9-10) &amp; lasts\u{1c}…for 3 kitchens.";
    let cases = [
        (Tokens::Mteval13a, "Mr|.|Sato's|knife-set|cost|$|1,250.50|(|was|9|-|10|)|&|lasts|…for|3|kitchens|."),
        (
            Tokens::International,
            "Mr|.|Sato|'|s|knife|-|set|cost|$|1,250.50|(|was|9-10|)|&|amp|;|lasts|…|for|3|kitchens|.",
        ),
        (Tokens::Plain, "Mr.|Sato's|knife-set|cost|$1,250.50|(was|9-10)|&amp;|lasts|…for|3|kitchens."),
        (Tokens::Rouge, "mr|sato|s|knife|set|cost|1|250|50|was|9|10|amp|lasts|for|3|kitchens"),
        (Tokens::RougeStemmed, "mr|sato|s|knife|set|cost|1|250|50|was|9|10|amp|last|for|3|kitchen"),
    ];
    for (tokens, right) in cases {
        assert_eq!(cut(tokens, line), right, "{}", tokens.name());
    }
    assert_eq!(cut(Tokens::Characters, " 研ぎ\u{3000}a\u{1f}b\n"), "研|ぎ|a|b");
    assert_eq!(cut(Tokens::International, "砥石（#1000）で、研ぐ。"), "砥石|（|#1000|）|で|、|研ぐ|。");
    assert_eq!(Tokens::Japanese.of("研ぐ", None), None, "without a dictionary there are no words");
    for tokens in Tokens::ALL {
        assert!(tokens.of(" \n", None).is_none_or(|none| none.is_empty()), "{}", tokens.name());
    }
}

/// nltk 3.10.4, `PorterStemmer().stem`.
#[test]
fn words_are_stemmed_as_nltk_does() {
    let stems = "sharpening sharpen|polished polish|dies die|flies fli|tied tie|spied spi|agreed agre|feed feed|hopping hop|\
                 falling fall|filing file|failing fail|enjoying enjoy|happily happili|generalizations gener|relational relat|\
                 hopefully hope|geology geolog|archaeology archaeolog|probate probat|controlled control|rolls roll|skies sky|\
                 news news|proceed proceed|yyyy yyyi|by by|edge edg|wizardry wizardri|national nation|radically radic";
    for pair in stems.split('|') {
        let (word, stem) = pair.split_once(' ').unwrap();
        assert_eq!(porter::stem(word), stem, "{word}");
    }
}

#[test]
fn categories_are_unicodes() {
    for (class, inside, outside) in [
        (Class::Punctuation, "!_。「・–‿", "$+a1 ー"),
        (Class::Symbol, "$+£😀〒゛", "!a1。"),
        (Class::Number, "1①Ⅷ½٣", "a一"),
        (Class::Letter, "aé研ー々𠮷", "1!_ \u{301}"),
    ] {
        let wrong = inside.chars().filter(|c| !class.holds(*c)).chain(outside.chars().filter(|c| class.holds(*c)));
        assert_eq!(wrong.collect::<String>(), "", "{class:?}");
    }
}
