//! What a text is written in, as far as single characters tell it: the one place that says what is Japanese.

/// Whether a character is kana: hiragana or katakana, also half-width, with the marks that lengthen and repeat. The middle dot is
/// none, as Chinese writes foreign names with it.
#[must_use]
pub fn is_kana(c: char) -> bool {
    matches!(c,
        '\u{3041}'..='\u{3096}' | '\u{309d}'..='\u{309f}' | '\u{30a1}'..='\u{30fa}' | '\u{30fc}'..='\u{30ff}'
        | '\u{31f0}'..='\u{31ff}' | '\u{ff66}'..='\u{ff9d}')
}

/// Whether a character is Han: Chinese writes with nothing else, Japanese beside kana.
#[must_use]
pub fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}')
}

/// Whether some of the texts are surely Japanese: nothing else is written with kana. Han characters alone may be Chinese.
pub fn is_japanese<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> bool {
    texts.into_iter().any(|text| text.as_ref().chars().any(is_kana))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kana_make_japanese_and_han_alone_does_not() {
        for japanese in ["東京は雨です", "ﾗｰﾒﾝ", "データ", "人々ヽ"] {
            assert!(is_japanese([japanese]), "{japanese}");
        }
        for other in ["東京", "阿尔贝·爱因斯坦", "阿尔贝・爱因斯坦", "서울", "Tokyo", "", "２０２４年"]
        {
            assert!(!is_japanese([other]), "{other}");
        }
        assert!(is_japanese(["東京", "はい"]) && "研ぎ".chars().any(is_han));
    }
}
