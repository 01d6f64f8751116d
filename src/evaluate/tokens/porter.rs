//! Porter's stemmer with the extensions of NLTK (its mode `NLTK_EXTENSIONS`, version 3.10.4), which is what stemmed
//! ROUGE is made with.
//!
//! The algorithm is M. F. Porter's "An algorithm for suffix stripping" (1980), whose step numbers and notation are
//! kept: a word is `[C](VC){m}[V]` in runs of consonants and vowels, and m is its *measure*. NLTK departs from it in a
//! list of irregular words, in leaving words of one or two letters alone, in `ies`, `ied`, final `y`, `bli`, `alli`,
//! `fulli` and `logi`, and in what counts as a short syllable.

/// Words that have a stem of their own.
const IRREGULAR: [(&str, &str); 16] = [
    ("sky", "sky"),
    ("skies", "sky"),
    ("dying", "die"),
    ("lying", "lie"),
    ("tying", "tie"),
    ("news", "news"),
    ("innings", "inning"),
    ("inning", "inning"),
    ("outings", "outing"),
    ("outing", "outing"),
    ("cannings", "canning"),
    ("canning", "canning"),
    ("howe", "howe"),
    ("proceed", "proceed"),
    ("exceed", "exceed"),
    ("succeed", "succeed"),
];

/// Step 2: suffix and what takes its place where the stem before it has a positive measure.
const STEP2: [(&str, &str); 21] = [
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("fulli", "ful"),
];

/// Step 3, as step 2.
const STEP3: [(&str, &str); 7] =
    [("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", "")];

/// Step 4: suffixes that go where the stem before them has a measure above 1.
const STEP4: [&str; 19] = [
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate", "iti",
    "ous", "ive", "ize",
];

/// The stem of a word in lower case.
#[must_use]
pub fn stem(word: &str) -> String {
    if let Some((_, stem)) = IRREGULAR.iter().find(|(irregular, _)| *irregular == word) {
        return (*stem).to_owned();
    }
    if word.chars().nth(2).is_none() {
        return word.to_owned();
    }
    let word = step1a(word);
    let word = step1b(word);
    let word = step1c(word);
    let word = step2(word);
    let word = suffixes(word, &STEP3);
    let word = step4(word);
    step5(word)
}

/// Whether each letter is a consonant, in order: not a, e, i, o, u, and y only after no consonant.
fn consonants(word: &str) -> impl Iterator<Item = bool> {
    word.chars().scan(false, |before, letter| {
        *before = match letter {
            'a' | 'e' | 'i' | 'o' | 'u' => false,
            'y' => !*before,
            _ => true,
        };
        Some(*before)
    })
}

/// m: how often a vowel is followed by a consonant.
fn measure(word: &str) -> usize {
    let mut vowel = false;
    consonants(word)
        .filter(|&consonant| {
            let turn = vowel && consonant;
            vowel = !consonant;
            turn
        })
        .count()
}

fn ends_in_consonant(word: &str) -> bool {
    consonants(word).last().unwrap_or(false)
}

fn has_vowel(word: &str) -> bool {
    consonants(word).any(|consonant| !consonant)
}

/// The last letter, where the word ends with it twice and it is a consonant (*d).
fn double_consonant(word: &str) -> Option<char> {
    let mut back = word.chars().rev();
    let last = back.next()?;
    (back.next()? == last && ends_in_consonant(word)).then_some(last)
}

/// Whether the word ends consonant, vowel, consonant other than w, x, y (*o); or is a vowel and a consonant.
fn ends_short(word: &str) -> bool {
    // The kinds of the last three letters, the last one first, and how many letters there are up to three.
    let kinds = consonants(word).fold([None; 3], |[a, b, _], kind| [Some(kind), a, b]);
    match kinds {
        [Some(true), Some(false), Some(true)] => !word.ends_with(['w', 'x', 'y']),
        [Some(true), Some(false), None] => true,
        _ => false,
    }
}

/// Replaces the first suffix that fits, if the stem before it has a positive measure; later ones are not tried then.
fn suffixes(word: String, rules: &[(&str, &str)]) -> String {
    let found = rules.iter().find_map(|(suffix, by)| Some((word.strip_suffix(suffix)?, by)));
    match found {
        Some((stem, by)) if measure(stem) > 0 => format!("{stem}{by}"),
        _ => word,
    }
}

/// Plurals.
fn step1a(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ies") {
        // NLTK: "dies" and "die" alike, but "flies" and "fli".
        return if stem.chars().count() == 1 { format!("{stem}ie") } else { format!("{stem}i") };
    }
    if word.ends_with("sses") {
        return word.strip_suffix("es").unwrap_or(word).to_owned();
    }
    if word.ends_with("ss") {
        return word.to_owned();
    }
    word.strip_suffix('s').unwrap_or(word).to_owned()
}

/// Past tense and gerund.
fn step1b(word: String) -> String {
    if let Some(stem) = word.strip_suffix("ied") {
        return if stem.chars().count() == 1 { format!("{stem}ie") } else { format!("{stem}i") };
    }
    if let Some(stem) = word.strip_suffix("eed") {
        return if measure(stem) > 0 { format!("{stem}ee") } else { word };
    }
    let Some(stem) = ["ed", "ing"].iter().find_map(|s| word.strip_suffix(s)).filter(|stem| has_vowel(stem)) else {
        return word;
    };
    if ["at", "bl", "iz"].iter().any(|end| stem.ends_with(end)) {
        return format!("{stem}e");
    }
    match double_consonant(stem) {
        Some('l' | 's' | 'z') => stem.to_owned(),
        Some(last) => stem.strip_suffix(last).unwrap_or(stem).to_owned(),
        None if measure(stem) == 1 && ends_short(stem) => format!("{stem}e"),
        None => stem.to_owned(),
    }
}

/// Final y; NLTK: after a consonant, where that is not the whole stem.
fn step1c(word: String) -> String {
    match word.strip_suffix('y') {
        Some(stem) if stem.chars().nth(1).is_some() && ends_in_consonant(stem) => format!("{stem}i"),
        _ => word,
    }
}

/// Double suffixes.
fn step2(mut word: String) -> String {
    // NLTK: "alli" before all others, and what it leaves goes through the step again.
    while let Some(stem) = word.strip_suffix("alli").filter(|stem| measure(stem) > 0) {
        word = format!("{stem}al");
    }
    if STEP2.iter().any(|(suffix, _)| word.ends_with(suffix)) {
        return suffixes(word, &STEP2);
    }
    // NLTK: the l of "logi" counts for the stem, so that "geologi" and "theologi" lose their ending.
    match word.strip_suffix("ogi") {
        Some(stem) if stem.ends_with('l') && measure(stem) > 0 => format!("{stem}og"),
        _ => word,
    }
}

/// Single suffixes.
fn step4(word: String) -> String {
    let found = STEP4.iter().find_map(|suffix| Some((*suffix, word.strip_suffix(suffix)?)));
    match found {
        Some((suffix, stem)) if measure(stem) > 1 && (suffix != "ion" || stem.ends_with(['s', 't'])) => stem.to_owned(),
        _ => word,
    }
}

/// Final e and double l.
fn step5(word: String) -> String {
    let word = match word.strip_suffix('e') {
        Some(stem) if measure(stem) > 1 || (measure(stem) == 1 && !ends_short(stem)) => stem.to_owned(),
        _ => word,
    };
    match word.strip_suffix('l') {
        Some(stem) if stem.ends_with('l') && measure(stem) > 1 => stem.to_owned(),
        _ => word,
    }
}
