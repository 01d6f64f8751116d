//! Frames as few bytes: what ratatui found changed, written with no word that the terminal knows already.
//!
//! A workbench is used over slow lines, where a key that writes half a kilobyte is a key that is waited for. So this backend
//! remembers what the terminal shows. It writes no cell that looks as it did; gives colours and weights only where they differ from
//! the last (a space has no colour but its ground); steps over what stays, or writes it again where that is shorter; rubs out long
//! blanks; and writes what looks alike together where that saves more than the steps between. Of two orders the shorter is taken.
//!
//! Terminals do not agree on how wide some letters are. A step is counted from where the last one stood only while everything
//! since was ASCII; after anything else it names its place. Each frame begins with a place, and ends with the pen laid down.
//!
//! It knows cells, and nothing of the workbench.

mod pen;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::ops::Range;

use ratatui::backend::{Backend, ClearType, WindowSize};
use ratatui::buffer::{Cell, CellWidth};
use ratatui::layout::{Position, Size};
use ratatui::style::Color;

use pen::Pen;

/// A blank of fewer cells is written as spaces: `ESC [ n X` is 5 bytes, and the step over it 5 more.
const BLANK: usize = 11;
/// The same where nothing is written after it, so that nothing is stepped over.
const LAST_BLANK: usize = 6;

/// A backend that gathers bytes until they are taken.
#[derive(Debug, Default)]
pub struct Sparing {
    out: Vec<u8>,
    /// Columns and rows of the terminal, when it was asked last.
    asked: std::cell::Cell<Size>,
    /// Columns and rows that are remembered.
    size: Size,
    /// What each cell shows, row by row; `None` where that is not known, as under the right half of a wide letter.
    shown: Vec<Option<Cell>>,
    /// Where the terminal's cursor stands, while that is known.
    cursor: Option<Position>,
    /// Whether it is seen, while that is known.
    seen: Option<bool>,
}

/// Cells in a row, one beside the other, that one pen writes.
#[derive(Clone, Debug)]
struct Stretch {
    at: Position,
    /// The cell after its last.
    end: u16,
    /// Which of the changed cells these are.
    cells: Range<usize>,
    /// How its letters look; where it has none, only the ground counts.
    pen: Pen,
    lettered: bool,
    /// Whether it may be rubbed out rather than written.
    blank: bool,
}

/// Bytes as they come to be, and what the terminal is like after them.
#[derive(Debug)]
struct Written {
    out: Vec<u8>,
    pen: Option<Pen>,
    cursor: Option<Position>,
    /// Whether everything since the last place was ASCII.
    sure: bool,
}

impl Sparing {
    /// Takes what was gathered.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    fn index(&self, x: u16, y: u16) -> Option<usize> {
        let Size { width, height } = self.size;
        (x < width && y < height).then(|| usize::from(y) * usize::from(width) + usize::from(x))
    }

    fn known(&self, x: u16, y: u16) -> Option<&Cell> {
        self.shown.get(self.index(x, y)?)?.as_ref()
    }

    /// Notes what a cell shows, or that it is not known.
    fn set(&mut self, x: u16, y: u16, cell: Option<Cell>) {
        if let Some(index) = self.index(x, y)
            && let Some(slot) = self.shown.get_mut(index)
        {
            *slot = cell;
        }
    }

    /// Begins to remember anew where the terminal has another size.
    fn fit(&mut self) {
        if self.size != self.asked.get() {
            self.size = self.asked.get();
            // ratatui takes it for blank, too, and clears it where it is not.
            self.shown = vec![Some(Cell::EMPTY); usize::from(self.size.width) * usize::from(self.size.height)];
            // What was there before may have left its pen.
            self.out.extend_from_slice(b"\x1b[m");
        }
    }

    /// Forgets the letters that writing on a cell destroys: a wide letter goes as soon as one of its halves is written on.
    fn forget(&mut self, x: u16, y: u16, width: u16) {
        let left = x.checked_sub(1).filter(|left| self.known(*left, y).is_some_and(|cell| cell.cell_width() > 1));
        for x in left.unwrap_or(x)..x.saturating_add(width) {
            self.set(x, y, None);
        }
    }

    /// Notes that all is blank.
    fn wiped(&mut self) {
        self.fit();
        self.shown.fill(Some(Cell::EMPTY));
        self.cursor = None;
        self.seen = None;
    }

    /// Writes stretches in the order given.
    fn write(&self, stretches: &[Stretch], changed: &[(u16, u16, Cell)]) -> Written {
        let mut written = Written { out: Vec::new(), pen: Some(Pen::PLAIN), cursor: None, sure: false };
        for stretch in stretches {
            written.go(stretch.at, Some(stretch.pen), self);
            let before = written.pen.unwrap_or(Pen::PLAIN);
            let pen = match (stretch.lettered, before.leaves_blank() && before.back == stretch.pen.back) {
                (true, _) => stretch.pen,
                (false, true) => before,
                (false, false) => before.blank(stretch.pen.back),
            };
            pen.write(written.pen, &mut written.out);
            written.pen = Some(pen);
            // Now that the pen is right, cells between may be written over.
            if written.cursor != Some(stretch.at) {
                written.go(stretch.at, None, self);
            }
            if stretch.blank {
                let cells = stretch.end - stretch.at.x;
                written.out.extend_from_slice(format!("\x1b[{cells}X").as_bytes());
                continue;
            }
            for (_, _, cell) in changed.get(stretch.cells.clone()).unwrap_or_default() {
                written.print(cell.symbol());
            }
            // In the last column terminals wait before they turn, and do not agree on where they are meanwhile.
            let inside = stretch.end < self.size.width;
            written.cursor = inside.then_some(Position { x: stretch.end, y: stretch.at.y });
        }
        if let Some(pen) = written.pen {
            Pen::PLAIN.write(Some(pen), &mut written.out);
        }
        written
    }
}

impl Written {
    fn print(&mut self, symbol: &str) {
        self.sure &= symbol.is_ascii();
        self.out.extend_from_slice(symbol.as_bytes());
    }

    /// Goes to a place. With a pen that will be needed there, what stands between may wait to be written with that one: then
    /// nothing is done, and the cursor stays.
    fn go(&mut self, to: Position, later: Option<Pen>, screen: &Sparing) {
        let Some(from) = self.cursor.filter(|_| self.sure) else {
            // The row is certain where the column is not.
            return match self.cursor {
                Some(from) if from.y == to.y => self.name(&format!("\x1b[{}G", to.x + 1), to),
                _ => self.place(to),
            };
        };
        if from == to {
            return;
        }
        if from.y != to.y || to.x < from.x {
            return match (from.y.checked_add(1) == Some(to.y), from.y == to.y, to.x) {
                (_, true, 0) => self.name("\r", to),
                (true, _, 0) => self.name("\r\n", to),
                (_, true, x) => self.name(&format!("\x1b[{}G", x + 1), to),
                _ => self.place(to),
            };
        }
        let cells = to.x - from.x;
        let step = if cells == 1 { "\x1b[C".to_owned() } else { format!("\x1b[{cells}C") };
        if usize::from(cells) <= step.len() {
            let between = |pen: Pen| {
                let letter = |x| {
                    let cell = screen.known(x, to.y).filter(|cell| cell.symbol().len() == 1)?;
                    let alike = Pen::of(cell) == pen;
                    let blank = cell.symbol() == " " && cell.bg == pen.back;
                    let blank = blank && pen.leaves_blank() && Pen::of(cell).leaves_blank();
                    (cell.symbol().is_ascii() && (alike || blank)).then(|| cell.symbol())
                };
                (from.x..to.x).map(letter).collect::<Option<String>>()
            };
            if let Some(text) = self.pen.and_then(between) {
                self.out.extend_from_slice(text.as_bytes());
                self.cursor = Some(to);
                return;
            }
            if later.is_some_and(|pen| between(pen).is_some()) {
                return;
            }
        }
        self.name(&step, to);
    }

    /// Names a place whole.
    fn place(&mut self, to: Position) {
        let words = if to.x == 0 { format!("\x1b[{}H", to.y + 1) } else { format!("\x1b[{};{}H", to.y + 1, to.x + 1) };
        self.name(&words, to);
    }

    fn name(&mut self, words: &str, to: Position) {
        self.out.extend_from_slice(words.as_bytes());
        self.cursor = Some(to);
        self.sure = true;
    }
}

/// Whether nothing but its ground shows of a cell.
fn is_blank(cell: &Cell) -> bool {
    cell.symbol() == " " && Pen::of(cell).leaves_blank()
}

/// Whether two cells cannot be told apart.
fn looks_alike(a: &Cell, b: &Cell) -> bool {
    (is_blank(a) && is_blank(b) && a.bg == b.bg) || (a.symbol() == b.symbol() && Pen::of(a) == Pen::of(b))
}

/// Cells as stretches: a new one where cells are missing, or another pen is needed. A blank goes with any pen of its ground.
fn stretches(changed: &[(u16, u16, Cell)]) -> Vec<Stretch> {
    let mut all: Vec<Stretch> = Vec::new();
    for (index, (x, y, cell)) in changed.iter().enumerate() {
        let (blank, pen) = (is_blank(cell), Pen::of(cell));
        let end = x.saturating_add(cell.cell_width().max(1));
        if let Some(last) = all.last_mut().filter(|last| last.at.y == *y && last.end == *x) {
            let goes = match (blank, last.lettered) {
                (true, _) => pen.back == last.pen.back && last.pen.leaves_blank(),
                (false, true) => pen == last.pen,
                (false, false) => pen.back == last.pen.back && pen.leaves_blank(),
            };
            if goes {
                if !blank && !last.lettered {
                    last.pen = pen;
                }
                last.lettered |= !blank;
                last.end = end;
                last.cells.end = index + 1;
                continue;
            }
        }
        let pen = if blank { Pen::PLAIN.blank(pen.back) } else { pen };
        let at = Position { x: *x, y: *y };
        all.push(Stretch { at, end, cells: index..index + 1, pen, lettered: !blank, blank: false });
    }
    all
}

/// Cuts long blanks out of stretches, where `may` be rubbed out what stands there. Only on the terminal's own ground: not all fill
/// with another.
fn with_blanks(all: Vec<Stretch>, changed: &[(u16, u16, Cell)], may: impl Fn(u16, u16) -> bool) -> Vec<Stretch> {
    let mut cut = Vec::with_capacity(all.len());
    for stretch in all {
        if stretch.pen.back != Color::Reset || !stretch.pen.leaves_blank() {
            cut.push(stretch);
            continue;
        }
        let mut rest = stretch.clone();
        let mut run = stretch.cells.start..stretch.cells.start;
        for index in stretch.cells.clone() {
            let rubs = changed.get(index).is_some_and(|(x, y, cell)| is_blank(cell) && may(*x, *y));
            if rubs {
                run.end = index + 1;
            }
            let last = index + 1 == stretch.cells.end;
            let least = if rubs && last { LAST_BLANK } else { BLANK };
            if (!rubs || last) && run.len() >= least {
                let place = |index: usize| changed.get(index).map_or(stretch.end, |(x, ..)| *x);
                let (from, to) = (place(run.start), place(run.end - 1) + 1);
                if run.start > rest.cells.start {
                    cut.push(Stretch { end: from, cells: rest.cells.start..run.start, ..rest.clone() });
                }
                let at = Position { x: from, ..stretch.at };
                let blank = Stretch { at, end: to, cells: run.clone(), lettered: false, blank: true, ..rest.clone() };
                cut.push(blank);
                rest = Stretch { at: Position { x: to, ..stretch.at }, cells: run.end..stretch.cells.end, ..rest };
            }
            if !rubs {
                run = index + 1..index + 1;
            }
        }
        if !rest.cells.is_empty() {
            cut.push(rest);
        }
    }
    cut
}

/// The stretches with those of one look together, in the order in which looks come first.
fn by_look(stretches: &[Stretch]) -> Vec<Stretch> {
    let mut looks: Vec<Pen> = Vec::new();
    for stretch in stretches.iter().filter(|stretch| stretch.lettered) {
        if !looks.contains(&stretch.pen) {
            looks.push(stretch.pen);
        }
    }
    // A blank goes with the first look of its ground.
    let rank = |stretch: &Stretch| {
        let same = |look: &Pen| {
            if stretch.lettered { *look == stretch.pen } else { look.back == stretch.pen.back && look.leaves_blank() }
        };
        looks.iter().position(same).unwrap_or(looks.len())
    };
    let mut sorted = stretches.to_vec();
    sorted.sort_by_key(rank);
    sorted
}

impl Backend for Sparing {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let all: Vec<_> = content.collect();
        self.fit();
        let wide = |x: u16, y: u16| self.known(x, y).is_none_or(|cell| cell.cell_width() > 1);
        let mut changed: Vec<(u16, u16, Cell)> = Vec::with_capacity(all.len());
        let mut rubs = Vec::with_capacity(all.len());
        for (x, y, cell) in all {
            if self.known(x, y).is_some_and(|shown| looks_alike(shown, cell)) {
                continue;
            }
            // What was blank between two blanks belongs to them: words that go are rubbed out with what was between them.
            if let Some((last, row, before)) = changed.last()
                && *row == y
                && is_blank(before)
                && is_blank(cell)
                && before.bg == cell.bg
                && cell.bg == Color::Reset
            {
                let between = last + 1..x;
                let blank = |x| self.known(x, y).filter(|shown| is_blank(shown) && shown.bg == cell.bg).cloned();
                if let Some(cells) = between.clone().map(blank).collect::<Option<Vec<_>>>() {
                    rubs.extend(between.clone().map(|x| (y, x)));
                    changed.extend(between.zip(cells).map(|(x, cell)| (x, y, cell)));
                }
            }
            changed.push((x, y, cell.clone()));
            if !wide(x, y) {
                rubs.push((y, x));
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        for (x, y, cell) in &changed {
            self.forget(*x, *y, cell.cell_width().max(1));
        }
        // In the order of reading, so looking one up is quick.
        let stretches = with_blanks(stretches(&changed), &changed, |x, y| rubs.binary_search(&(y, x)).is_ok());
        let plain = self.write(&stretches, &changed);
        let sorted = self.write(&by_look(&stretches), &changed);
        let written = if sorted.out.len() < plain.out.len() { sorted } else { plain };
        self.out.extend_from_slice(&written.out);
        // The next frame names its place all the same; a cursor that is asked for may be there already.
        self.cursor = written.cursor.filter(|_| written.sure);
        for (x, y, cell) in changed {
            self.set(x, y, Some(cell));
        }
        Ok(())
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        if self.seen.replace(false) != Some(false) {
            self.out.extend_from_slice(b"\x1b[?25l");
        }
        Ok(())
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        if self.seen.replace(true) != Some(true) {
            self.out.extend_from_slice(b"\x1b[?25h");
        }
        Ok(())
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        // Asking the terminal would read what was typed. ratatui asks where it draws below a prompt, which is not done here.
        Ok(self.cursor.unwrap_or_default())
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let to = position.into();
        if self.cursor != Some(to) {
            write!(self.out, "\x1b[{};{}H", to.y + 1, to.x + 1)?;
            self.cursor = Some(to);
        }
        Ok(())
    }

    fn clear(&mut self) -> io::Result<()> {
        self.clear_region(ClearType::All)
    }

    fn clear_region(&mut self, region: ClearType) -> io::Result<()> {
        let words = match region {
            ClearType::All => "2J",
            ClearType::AfterCursor => "J",
            ClearType::BeforeCursor => "1J",
            ClearType::CurrentLine => "2K",
            ClearType::UntilNewLine => "K",
        };
        write!(self.out, "\x1b[m\x1b[{words}")?;
        if matches!(region, ClearType::All) {
            self.wiped();
        } else {
            self.shown.fill(None);
        }
        Ok(())
    }

    fn size(&self) -> io::Result<Size> {
        let size = Size::from(crossterm::terminal::size()?);
        self.asked.set(size);
        Ok(size)
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        let crossterm::terminal::WindowSize { columns, rows, width, height } = crossterm::terminal::window_size()?;
        Ok(WindowSize { columns_rows: Size { width: columns, height: rows }, pixels: Size { width, height } })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
