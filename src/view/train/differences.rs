//! Two runs beside each other: what came of them, and in what they were made otherwise.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{number, wrap};
use crate::app::train::{Difference, Run, Train};
use crate::text;
use crate::theme::{Role, Theme};
use crate::view::paint;

/// Lines of a value that are shown at most.
const LINES: usize = 6;

/// Draws them; `lines` is `None` while they are being compared.
pub fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    train: &Train,
    [a, b]: [&str; 2],
    lines: Option<&[Difference]>,
    theme: &Theme,
) {
    let cells = usize::from(area.width);
    let title = format!("{a} and {b}");
    paint::line(frame, area, 0, &paint::rule(&title, cells, theme.style(Role::Title), theme));
    let inner = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let dim = theme.style(Role::Dim);
    let Some(differences) = lines else {
        paint::line(frame, inner, 0, &Line::styled("comparing …", dim));
        return;
    };
    let came = outcomes(train.run(a), train.run(b));
    let widest = differences.iter().chain(&came).map(|one| text::width(&one.key)).max().unwrap_or(0).min(26);
    let half = cells.saturating_sub(widest + 4) / 2;
    let mut rows = vec![Line::from(vec![
        Span::raw(" ".repeat(widest + 2)),
        Span::styled(format!("{}  ", text::fit(a, half)), dim),
        Span::styled(paint::short(b, half), dim),
    ])];
    rows.extend(came.iter().flat_map(|one| beside(one, widest, half, theme)));
    rows.push(paint::rule("made otherwise", cells, theme.style(Role::Title), theme));
    if differences.is_empty() {
        rows.push(Line::styled("nothing: they were made of the same", dim));
    }
    rows.extend(differences.iter().flat_map(|one| beside(one, widest, half, theme)));
    let most = rows.len().saturating_sub(usize::from(inner.height));
    let skip = train.scroll.skip(0, most);
    paint::lines(frame, inner, &rows, skip);
    paint::more(frame, inner, most - skip, theme);
}

/// What came of two runs: what one compares settings for.
fn outcomes(a: Option<&Run>, b: Option<&Run>) -> Vec<Difference> {
    let told = |key: &str, of: &dyn Fn(&Run) -> String| {
        let [a, b] = [a, b].map(|run| run.map(of).unwrap_or_default());
        (!a.is_empty() || !b.is_empty()).then(|| Difference { key: key.to_owned(), a, b })
    };
    let steps = |run: &Run| {
        let of = run.steps.map(|steps| format!(" of {}", text::count(steps))).unwrap_or_default();
        format!("{}, step {}{of}", run.word(), text::count(run.step))
    };
    let best = |run: &Run| {
        run.best.map(|(loss, step)| format!("{} at {}", number(loss), text::count(step))).unwrap_or_default()
    };
    let found = [
        told("state", &steps),
        told("best valid loss", &best),
        told("last loss", &|run| run.loss.map(number).unwrap_or_default()),
        told("note", &|run| run.note.clone()),
    ];
    found.into_iter().flatten().collect()
}

/// One thing of two runs. Neither is the right one, so neither is marked.
fn beside(one: &Difference, widest: usize, half: usize, theme: &Theme) -> Vec<Line<'static>> {
    let plain = theme.style(Role::Text);
    let sides = [&one.a, &one.b].map(|value| {
        let mut lines = wrap(value, plain, half as u16);
        if lines.len() > LINES {
            lines.truncate(LINES);
            paint::unfinished(&mut lines, half);
        }
        lines
    });
    let [first, second] = sides;
    let rows = 0..first.len().max(second.len());
    rows.map(|at| {
        let key = if at == 0 { text::fit(&one.key, widest) } else { " ".repeat(widest) };
        let mut spans = vec![Span::styled(format!("{key}  "), theme.style(Role::Dim))];
        let left = first.get(at).map(|line| line.spans.clone()).unwrap_or_default();
        let used: usize = left.iter().map(|span| text::width(&span.content)).sum();
        spans.extend(left);
        spans.push(Span::raw(" ".repeat(half.saturating_sub(used) + 2)));
        spans.extend(second.get(at).map(|line| line.spans.clone()).unwrap_or_default());
        Line::from(spans)
    })
    .collect()
}
