//! How far a text is scrolled, and how far it can be.

use std::cell::Cell;

/// Lines by which a text is scrolled from where it stands by itself.
///
/// How long the text is and what room it has is known where it is drawn, and noted there: a key held down leads to the end and not
/// beyond it, from where as many keys would have to lead back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scroll {
    lines: i32,
    /// The least and the most that led anywhere, in any of the texts that were drawn since the last scroll.
    reach: Cell<Option<(i32, i32)>>,
}

impl Scroll {
    /// Scrolls on, or back where `lines` is under 0.
    pub fn by(&mut self, lines: i32) {
        let (least, most) = self.reach.take().unwrap_or((i32::MIN, i32::MAX));
        self.lines = self.lines.clamp(least, most).saturating_add(lines).clamp(least, most);
    }

    /// Back to where the text stands by itself.
    pub fn home(&mut self) {
        *self = Self::default();
    }

    /// Lines scrolled.
    #[must_use]
    pub fn lines(&self) -> i32 {
        self.lines
    }

    /// Lines to leave out above a text that begins `own` lines down by itself and can be scrolled by `most` of its lines.
    #[must_use]
    pub fn skip(&self, own: usize, most: usize) -> usize {
        let own = i32::try_from(own.min(most)).unwrap_or(i32::MAX);
        let end = i32::try_from(most).unwrap_or(i32::MAX) - own;
        let (least, furthest) = self.reach.get().unwrap_or((0, 0));
        self.reach.set(Some((least.min(-own), furthest.max(end))));
        usize::try_from(self.lines.clamp(-own, end) + own).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::Scroll;

    #[test]
    fn what_is_scrolled_past_an_end_need_not_be_scrolled_back() {
        let mut scroll = Scroll::default();
        // As long as nothing was drawn, nobody knows how far it goes.
        scroll.by(3);
        assert_eq!(scroll.skip(0, 10), 3);
        for _ in 0..9 {
            scroll.by(3);
            assert!(scroll.skip(0, 10) <= 10);
        }
        assert_eq!((scroll.lines(), scroll.skip(0, 10)), (10, 10));
        scroll.by(-3);
        assert_eq!(scroll.skip(0, 10), 7, "one key back leads back");
        // The text has become shorter.
        assert_eq!(scroll.skip(0, 2), 2);
        scroll.home();
        scroll.by(-5);
        assert_eq!(scroll.skip(4, 6), 0, "it stood in the middle by itself");
        scroll.by(-5);
        scroll.by(1);
        assert_eq!(scroll.skip(4, 6), 1);
    }

    #[test]
    fn of_several_texts_the_longest_counts() {
        let mut scroll = Scroll::default();
        let drawn = |scroll: &Scroll| [scroll.skip(0, 0), scroll.skip(0, 8), scroll.skip(0, 3)];
        assert_eq!(drawn(&scroll), [0, 0, 0]);
        for _ in 0..5 {
            scroll.by(3);
            let _ = drawn(&scroll);
        }
        assert_eq!(drawn(&scroll), [0, 8, 3]);
        scroll.by(-3);
        assert_eq!(drawn(&scroll), [0, 5, 3]);
    }
}
