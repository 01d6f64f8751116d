//! Curves over steps, drawn with braille dots, eight a cell, or with ASCII letters.
//!
//! Each curve has a colour, a kind of line, a mark for validations and a letter at its end, so that it can be told from the others
//! without its colour.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::app::train::{Drawn, History, Stretch, Train};
use crate::text;
use crate::theme::{Role, Theme};

/// Cells of the axis at the left: a number and the line.
const AXIS: u16 = 7;

/// How a curve is told from the others.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Its letter.
    pub letter: char,
    /// The mark of a validation.
    pub mark: &'static str,
    /// A piece of its line, for the legend.
    pub sample: &'static str,
    index: usize,
}

/// The look of the `index`th curve.
pub fn look(index: usize, theme: &Theme) -> Look {
    const LOOKS: [(char, &str, &str, &str, &str); 6] = [
        ('A', "◆", "⠒⠒⠒", "o", "***"),
        ('B', "▲", "⠒⠂⠒", "^", "+++"),
        ('C', "■", "⠂⠂⠂", "#", "xxx"),
        ('D', "●", "⠒⠐⠒", "@", "==="),
        ('E', "✚", "⠒⠒⠂", "&", "%%%"),
        ('F', "✖", "⠂⠀⠂", "$", ":::"),
    ];
    let index = index % LOOKS.len();
    let (letter, mark, sample, ascii_mark, ascii_sample) = LOOKS[index];
    Look { letter, mark: theme.sign(mark, ascii_mark), sample: theme.sign(sample, ascii_sample), index }
}

impl Look {
    /// Its colour.
    pub fn style(self, theme: &Theme) -> Style {
        theme.style(Role::series(self.index))
    }

    /// Whether the line has a dot so many dots along its way.
    fn is_drawn(self, way: usize) -> bool {
        match self.index {
            0 => true,
            1 => way % 7 < 4,
            2 => way.is_multiple_of(3),
            3 => way % 9 < 5 || way % 9 == 7,
            4 => way % 13 < 10,
            _ => way.is_multiple_of(5),
        }
    }

    /// What stands for its dots where there are only letters.
    fn letter_dot(self) -> char {
        self.sample.chars().next().unwrap_or('*')
    }
}

/// The values of an axis and where they stand on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    low: f64,
    high: f64,
    log: bool,
    /// Values that are written beside it.
    ticks: Vec<f64>,
}

impl Scale {
    /// A scale that holds the values, with round ends that stay as they are while the values move a little, and about so many
    /// ticks.
    pub fn new(low: f64, high: f64, log: bool, ticks: usize) -> Self {
        let log = log && low > 0.0;
        if log {
            return Self::logarithmic(low, high);
        }
        let span = if high > low { high - low } else { low.abs().max(1e-9) };
        let rough = span / ticks.max(1) as f64;
        let ten = 10_f64.powf(rough.log10().floor());
        let step =
            [1.0, 2.0, 2.5, 5.0, 10.0].map(|by| by * ten).into_iter().find(|step| *step >= rough).unwrap_or(rough);
        let (from, to) = ((low / step).floor(), (high / step).ceil());
        let to = if to <= from { from + 1.0 } else { to };
        let count = (to - from).round() as usize;
        Self {
            low: from * step,
            high: to * step,
            log,
            ticks: (0..=count).map(|at| (from + at as f64) * step).collect(),
        }
    }

    fn logarithmic(low: f64, high: f64) -> Self {
        const ROUND: [f64; 7] = [1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0];
        let around = |value: f64, above: bool| {
            let ten = 10_f64.powf(value.log10().floor());
            let mut rounds = ROUND.iter().map(|by| by * ten);
            let found =
                if above { rounds.find(|round| *round >= value) } else { rounds.rfind(|round| *round <= value) };
            found.unwrap_or(value)
        };
        let (low, mut high) = (around(low, false), around(high, true));
        if high <= low {
            high = low * 1.5;
        }
        let decade = |value: f64| value.log10().floor() as i32;
        let all = (decade(low)..=decade(high)).flat_map(|power| [1.0, 2.0, 5.0].map(|by| by * 10_f64.powi(power)));
        let mut ticks: Vec<f64> = all.filter(|tick| (low * 0.999..=high * 1.001).contains(tick)).collect();
        if ticks.len() < 2 {
            ticks = vec![low, high];
        }
        Self { low, high, log: true, ticks }
    }

    /// How far up a value stands, from 0 to 1; outside of that it is not on the chart.
    fn share(&self, value: f64) -> f64 {
        if self.log {
            (value.ln() - self.low.ln()) / (self.high.ln() - self.low.ln())
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }
}

/// A number in few letters, as exact as the axis needs it.
fn label(value: f64, scale: &Scale) -> String {
    // Ticks of a logarithmic scale have one digit that counts; those of a plain one differ by a share of its span.
    let grain = if scale.log { value.abs() } else { (scale.high - scale.low).abs() / 4.0 };
    let size = value.abs().max(if scale.log { 0.0 } else { scale.high.abs().max(scale.low.abs()) });
    if value == 0.0 {
        "0".into()
    } else if !(0.002..1e5).contains(&size) {
        format!("{value:.1e}")
    } else {
        let digits = (1.0 - grain.log10().floor()).clamp(0.0, 4.0) as usize;
        let words = format!("{value:.digits$}");
        let round = words.trim_end_matches('0').trim_end_matches('.');
        if words.contains('.') { round.to_owned() } else { words }
    }
}

/// A number of the chart in a line of words.
pub fn number(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "-".into(),
        size if size > 0.0 && !(1e-3..1e5).contains(&size) => format!("{value:.2e}"),
        size if size >= 100.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

/// What is drawn in a cell.
#[derive(Clone, Copy, Default)]
struct Cell {
    dots: u8,
    letter: Option<&'static str>,
    sign: Option<char>,
    style: Style,
    rank: u8,
}

/// A place to draw dots on.
struct Canvas {
    columns: usize,
    rows: usize,
    ascii: bool,
    cells: Vec<Cell>,
}

impl Canvas {
    fn new(columns: u16, rows: u16, ascii: bool) -> Self {
        let (columns, rows) = (usize::from(columns), usize::from(rows));
        Self { columns, rows, ascii, cells: vec![Cell::default(); columns * rows] }
    }

    fn width(&self) -> usize {
        self.columns * 2
    }

    fn height(&self) -> usize {
        self.rows * 4
    }

    /// Sets a dot, counted from the upper left; what has the higher rank gives the cell its look.
    fn dot(&mut self, x: usize, y: usize, style: Style, rank: u8, sign: char) {
        const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        if x >= self.width() || y >= self.height() {
            return;
        }
        let Some(cell) = self.cells.get_mut(y / 4 * self.columns + x / 2) else { return };
        cell.dots |= BITS[y % 4][x % 2];
        if rank >= cell.rank {
            (cell.style, cell.rank, cell.sign) = (style, rank, Some(sign));
        }
    }

    /// Puts a sign in the cell of a dot.
    fn sign(&mut self, x: usize, y: usize, style: Style, rank: u8, letter: &'static str) {
        if x >= self.width() || y >= self.height() {
            return;
        }
        let Some(cell) = self.cells.get_mut(y / 4 * self.columns + x / 2) else { return };
        if rank >= cell.rank {
            *cell = Cell { letter: Some(letter), style, rank, ..*cell };
        }
    }

    fn put(&self, buffer: &mut Buffer, area: Rect) {
        for (at, cell) in self.cells.iter().enumerate().filter(|(_, cell)| cell.dots > 0 || cell.letter.is_some()) {
            let (x, y) = (area.x + (at % self.columns) as u16, area.y + (at / self.columns) as u16);
            let Some(target) = buffer.cell_mut((x, y)) else { continue };
            match (cell.letter, cell.sign) {
                (Some(letter), _) => target.set_symbol(letter),
                (None, Some(sign)) if self.ascii => target.set_char(sign),
                _ => target.set_char(char::from_u32(0x2800 + u32::from(cell.dots)).unwrap_or(' ')),
            };
            target.set_style(cell.style);
        }
    }
}

/// The values that have to be on the chart: lowest and highest.
fn bounds(train: &Train, curves: &[(Look, &History)], window: (u64, u64)) -> Option<(f64, f64)> {
    let smooth = train.chart.smooth;
    let inside = |from: u64, to: u64| from <= window.1 && to >= window.0;
    let mut found: Option<(f64, f64)> = None;
    let mut take = |low: f64, high: f64| {
        if low.is_finite() && high.is_finite() {
            found = Some(found.map_or((low, high), |(l, h)| (l.min(low), h.max(high))));
        }
    };
    for (_, history) in curves {
        for stretch in train.chart.drawn.of(history).stretches().filter(|stretch| inside(stretch.from, stretch.to)) {
            // A single spike of the raw loss shall not press the line flat.
            let (low, high) = if smooth { (stretch.smooth, stretch.smooth) } else { (stretch.low, stretch.high) };
            take(low, high);
        }
        if train.chart.drawn == Drawn::Loss {
            history.valid.iter().filter(|(step, _)| inside(*step, *step)).for_each(|(_, loss)| take(*loss, *loss));
        }
    }
    found
}

/// Draws the chart; the curves in their order on it.
pub fn draw(buffer: &mut Buffer, area: Rect, train: &Train, curves: &[(Look, &History)], theme: &Theme) {
    let dim = theme.style(Role::Dim);
    if area.height < 3 || area.width < AXIS + 10 {
        return;
    }
    let window = train.window();
    let Some((low, high)) = bounds(train, curves, window) else {
        let words = "no step yet";
        let x = area.x + area.width.saturating_sub(words.len() as u16) / 2;
        buffer.set_string(x, area.y + area.height / 2, words, dim);
        return;
    };
    let log = train.chart.log && train.chart.drawn != Drawn::Rate;
    let plot = Rect { x: area.x + AXIS, width: area.width - AXIS, height: area.height - 1, ..area };
    let scale = Scale::new(low, high, log, usize::from(plot.height / 3).max(2));
    axes(buffer, area, plot, &scale, window, theme);

    let mut canvas = Canvas::new(plot.width, plot.height, theme.ascii);
    let (width, height) = (canvas.width(), canvas.height());
    let span = (window.1 - window.0).max(1) as f64;
    let x_of = |step: u64| {
        (step >= window.0 && step <= window.1)
            .then(|| ((step - window.0) as f64 / span * (width - 1) as f64).round() as usize)
    };
    let y_of = |value: f64| {
        let share = scale.share(value);
        (share.is_finite() && (-0.001..=1.001).contains(&share))
            .then(|| ((1.0 - share.clamp(0.0, 1.0)) * (height - 1) as f64).round() as usize)
    };
    if let Some(x) = train.chart.cross.and_then(x_of) {
        for row in 0..canvas.rows {
            canvas.sign(x, row * 4, theme.style(Role::Border), 0, theme.sign("┆", "|"));
        }
    }
    // Later ones over earlier ones: the run at the cursor is the last.
    for (order, (look, history)) in curves.iter().enumerate() {
        let rank = 2 + 3 * order as u8;
        let style = look.style(theme);
        let series = train.chart.drawn.of(history);
        if train.chart.smooth && train.chart.drawn != Drawn::Rate {
            let faint = style.add_modifier(Modifier::DIM);
            for stretch in series.stretches() {
                let Some(x) = x_of(stretch.to) else { continue };
                if let (Some(top), Some(bottom)) = (y_of(stretch.high), y_of(stretch.low)) {
                    (top..=bottom).for_each(|y| canvas.dot(x, y, faint, 1, '.'));
                }
            }
        }
        let value = |stretch: &Stretch| if train.chart.smooth { stretch.smooth } else { stretch.high };
        let mut way = 0;
        let mut before: Option<(usize, usize)> = None;
        for stretch in series.stretches() {
            let Some(x) = x_of(stretch.to) else {
                before = None;
                continue;
            };
            let here = y_of(value(stretch)).map(|y| (x, y));
            if let Some(to) = here {
                let from = before.unwrap_or(to);
                way = line(from, to, way, &mut |x, y, way| {
                    if look.is_drawn(way) {
                        canvas.dot(x, y, style, rank, look.letter_dot());
                    }
                });
            }
            // A gap stays one.
            before = here;
        }
        if train.chart.drawn == Drawn::Loss {
            for (step, loss) in &history.valid {
                if let (Some(x), Some(y)) = (x_of(*step), y_of(*loss)) {
                    canvas.sign(x, y, style.add_modifier(Modifier::BOLD), rank + 1, look.mark);
                }
            }
        }
        if curves.len() > 1
            && let Some((x, y)) = before.or_else(|| last(series.stretches(), &x_of, |stretch| y_of(value(stretch))))
        {
            const LETTERS: [&str; 6] = ["A", "B", "C", "D", "E", "F"];
            canvas.sign((x + 2).min(width - 1), y, style.add_modifier(Modifier::BOLD), rank + 2, LETTERS[look.index]);
        }
    }
    canvas.put(buffer, plot);
}

fn last<'a>(
    stretches: impl Iterator<Item = &'a Stretch>,
    x_of: &impl Fn(u64) -> Option<usize>,
    y_of: impl Fn(&Stretch) -> Option<usize>,
) -> Option<(usize, usize)> {
    stretches.filter_map(|stretch| Some((x_of(stretch.to)?, y_of(stretch)?))).last()
}

/// Goes from a dot to a dot, both included (Bresenham 1965), counting the way; returns the count at the end.
fn line(from: (usize, usize), to: (usize, usize), mut way: usize, dot: &mut dyn FnMut(usize, usize, usize)) -> usize {
    let (mut x, mut y) = (from.0 as i64, from.1 as i64);
    let (end_x, end_y) = (to.0 as i64, to.1 as i64);
    let (dx, dy) = ((end_x - x).abs(), -(end_y - y).abs());
    let (step_x, step_y) = ((end_x - x).signum(), (end_y - y).signum());
    let mut error = dx + dy;
    loop {
        dot(x as usize, y as usize, way);
        if (x, y) == (end_x, end_y) {
            return way;
        }
        way += 1;
        let twice = 2 * error;
        if twice >= dy {
            error += dy;
            x += step_x;
        }
        if twice <= dx {
            error += dx;
            y += step_y;
        }
    }
}

/// The axes: values at the left, steps below.
fn axes(buffer: &mut Buffer, area: Rect, plot: Rect, scale: &Scale, window: (u64, u64), theme: &Theme) {
    let (dim, border) = (theme.style(Role::Dim), theme.style(Role::Border));
    for y in plot.top()..plot.bottom() {
        buffer.set_string(plot.x - 1, y, theme.sign("│", "|"), border);
    }
    let mut free = plot.bottom() + 1;
    for tick in &scale.ticks {
        let up = (scale.share(*tick) * f64::from(plot.height - 1)).round() as u16;
        let y = plot.bottom().saturating_sub(1 + up.min(plot.height - 1));
        if y + 1 < free {
            let words = label(*tick, scale);
            let x = area.x + (AXIS - 1).saturating_sub(text::width(&words) as u16);
            buffer.set_stringn(x, y, &words, usize::from(AXIS - 1), dim);
            buffer.set_string(plot.x - 1, y, theme.sign("┤", "+"), border);
            free = y;
        }
    }
    let steps = Scale::new(window.0 as f64, window.1 as f64, false, usize::from(plot.width / 9).max(2));
    let span = (window.1 - window.0).max(1) as f64;
    let mut free = area.x;
    for tick in
        steps.ticks.iter().filter(|tick| tick.fract() == 0.0 && **tick >= window.0 as f64 && **tick <= window.1 as f64)
    {
        let words = text::count(*tick as u64);
        let wide = words.len() as u16;
        let at = plot.x + ((tick - window.0 as f64) / span * f64::from(plot.width - 1)).round() as u16;
        let x = at.saturating_sub(wide / 2).min(area.right().saturating_sub(wide));
        if x >= free {
            buffer.set_string(x, plot.bottom(), &words, dim);
            free = x + wide + 2;
        }
    }
}
