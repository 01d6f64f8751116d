//! Where two texts differ.

use std::ops::Range;

use similar::{ChangeTag, TextDiff};

/// Letters of the two texts together beyond which words are compared: it is quick, and nobody reads single letters there.
const LETTERS: usize = 4_000;

/// The stretches of `old` that are not in `new` and those of `new` that are not in `old`, in bytes: letters as readers take them
/// (graphemes), of long texts words.
#[must_use]
pub fn letters(old: &str, new: &str) -> (Vec<Range<usize>>, Vec<Range<usize>>) {
    if old.len() + new.len() > LETTERS {
        return words(old, new);
    }
    stretches(&TextDiff::from_graphemes(old, new))
}

/// As [`letters`], word by word.
#[must_use]
pub fn words(old: &str, new: &str) -> (Vec<Range<usize>>, Vec<Range<usize>>) {
    stretches(&TextDiff::from_unicode_words(old, new))
}

fn stretches(diff: &TextDiff<'_, '_, str>) -> (Vec<Range<usize>>, Vec<Range<usize>>) {
    let (mut gone, mut new): (Vec<Range<usize>>, Vec<Range<usize>>) = (Vec::new(), Vec::new());
    let (mut a, mut b) = (0, 0);
    for change in diff.iter_all_changes() {
        let length = change.value().len();
        let (list, at) = match change.tag() {
            ChangeTag::Equal => {
                a += length;
                b += length;
                continue;
            }
            ChangeTag::Delete => (&mut gone, &mut a),
            ChangeTag::Insert => (&mut new, &mut b),
        };
        match list.last_mut() {
            Some(last) if last.end == *at => last.end += length,
            _ => list.push(*at..*at + length),
        }
        *at += length;
    }
    (gone, new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_told_in_whole_letters() {
        let (gone, new) = letters("返品は7日以内", "返品は10日以内です");
        let cut = |text: &str, at: &[Range<usize>]| {
            at.iter().map(|at| text.get(at.clone()).unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(cut("返品は7日以内", &gone), ["7"]);
        assert_eq!(cut("返品は10日以内です", &new), ["10", "です"]);
        let (gone, new) = letters("cafe\u{301}", "cafe");
        assert_eq!((cut("cafe\u{301}", &gone), cut("cafe", &new)), (vec!["e\u{301}".into()], vec!["e".into()]));
        assert_eq!(letters("same", "same"), (vec![], vec![]));
    }
}
