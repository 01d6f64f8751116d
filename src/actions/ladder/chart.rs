//! The ladder as a picture: quality against rows, and quality against what a thousand requests cost.
//!
//! A model is known by the shape of its points and the dashes of its line as well as by its hue, so that the picture can be read
//! without colours. Against rows a model's points are joined; against cost they are not, since what lies between two
//! configurations is none: there each point is labelled with its rows.

use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::super::context::ActionError;
use super::Climbed;
use crate::evaluate::ladder::Cell;
use crate::project::durable;
use crate::text;

/// Size of both pictures together, in pixels.
const SIZE: (u32, u32) = (1120, 560);
/// Pixels above the pictures for the key and the verdict: the verdict's line, and a line of the key.
const VERDICT: u32 = 30;
const KEY: u32 = 24;
/// Hues that differ for the colour-blind too (Okabe & Ito 2008).
const HUES: [RGBColor; 5] =
    [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167), RGBColor(90, 90, 90)];
/// Lengths of dash and gap, in pixels, of each model's line; the first one's has no gaps.
const DASHES: [(u32, u32); 5] = [(1, 0), (9, 5), (3, 4), (14, 4), (6, 9)];
/// Steps between labels on a logarithmic axis of money, as parts of a power of ten.
const STEPS: [f64; 3] = [1.0, 2.0, 5.0];
const GREY: RGBColor = RGBColor(85, 85, 85);

type Area<'a, 'b> = DrawingArea<SVGBackend<'b>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Writes both pictures as SVG into `file`.
///
/// # Errors
/// When nothing is tested yet or the file cannot be written.
pub fn svg(climbed: &Climbed, file: &Path) -> Result<(), ActionError> {
    let picture = draw(climbed)
        .map_err(|why| ActionError::Refused(format!("the picture for {} cannot be drawn: {why}", file.display())))?;
    durable::write(file, picture.as_bytes()).map_err(crate::job::JobError::from)?;
    Ok(())
}

/// A cell in a picture: where it stands from left to right, on the axis' own scale, and its model's number.
struct Point<'c> {
    x: f64,
    model: usize,
    cell: &'c Cell,
}

/// The axis from left to right.
struct Axis {
    label: String,
    /// Places that have a name.
    ticks: Vec<(f64, String)>,
    /// Whether a model's points are joined, and whether they are labelled with their rows.
    joined: bool,
}

fn draw(climbed: &Climbed) -> Result<String, String> {
    if climbed.cells.is_empty() {
        return Err("no cell is tested yet".into());
    }
    let mut models: Vec<&str> = Vec::new();
    for cell in &climbed.cells {
        if !models.contains(&cell.model.as_str()) {
            models.push(&cell.model);
        }
    }
    let mut picture = String::new();
    {
        let area = SVGBackend::with_string(&mut picture, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(text_of)?;
        let head = VERDICT + KEY * models.len().div_ceil(2) as u32;
        let (top, rest) = area.split_vertically(head);
        key(&top, climbed, &models)?;
        let (left, right) = rest.split_horizontally(SIZE.0 / 2);
        let model = |cell: &Cell| models.iter().position(|model| *model == cell.model).unwrap_or(0);
        by_rows(&left, climbed, &model)?;
        by_cost(&right, climbed, &model)?;
        area.present().map_err(text_of)?;
    }
    Ok(picture)
}

#[allow(clippy::needless_pass_by_value)] // as map_err hands it over
fn text_of<E: std::error::Error + Send + Sync>(error: DrawingAreaErrorKind<E>) -> String {
    error.to_string()
}

/// Font of `size` pixels, set at a point by its `place`.
fn font(size: i32, place: Pos) -> TextStyle<'static> {
    TextStyle::from(("sans-serif", size).into_font()).pos(place)
}

/// The verdict, and below it each model with its shape, two in a line.
fn key(area: &Area<'_, '_>, climbed: &Climbed, models: &[&str]) -> Result<(), String> {
    let verdict = climbed.verdict().unwrap_or_else(|| format!("{} on {}", climbed.label, climbed.test));
    let left = Pos::new(HPos::Left, VPos::Center);
    area.draw(&Text::new(text::cut(&verdict, 130).to_string(), (16, 17), font(15, left))).map_err(text_of)?;
    for (at, model) in models.iter().enumerate() {
        let x = 24 + i32::try_from(at % 2).unwrap_or(0) * 560;
        let y = (VERDICT + KEY / 2) as i32 + (KEY as usize * (at / 2)) as i32;
        let line = [(x, y), (x + 36, y)];
        dashed(area, at, &line)?;
        mark(area, at, (x + 18, y))?;
        area.draw(&Text::new(text::cut(model, 70).to_string(), (x + 46, y), font(13, left))).map_err(text_of)?;
    }
    Ok(())
}

/// Quality against rows: the base stands left of the smallest size, on a scale of the logarithm of the rows.
fn by_rows(area: &Area<'_, '_>, climbed: &Climbed, model: &dyn Fn(&Cell) -> usize) -> Result<(), String> {
    let mut sizes: Vec<usize> = climbed.cells.iter().map(|cell| cell.rows).filter(|rows| *rows > 0).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let of = |rows: usize| (rows as f64).log10();
    let (low, high) = (sizes.first().map_or(0.0, |n| of(*n)), sizes.last().map_or(0.0, |n| of(*n)));
    let gap = ((high - low) / 4.0).max(0.25);
    let at = |rows: usize| if rows == 0 { low - gap } else { of(rows) };
    let mut ticks: Vec<(f64, String)> = sizes.iter().map(|n| (of(*n), text::count(*n as u64))).collect();
    if climbed.cells.iter().any(|cell| cell.rows == 0) {
        ticks.insert(0, (at(0), "base".into()));
    }
    // Where models meet at one size their whiskers stand beside each other.
    let models = climbed.cells.iter().map(model).max().unwrap_or(0) as f64;
    let aside = |model: usize| (model as f64 - models / 2.0) * (high - low + gap) * 0.015;
    let points: Vec<Point<'_>> = climbed
        .cells
        .iter()
        .map(|cell| Point { x: at(cell.rows) + aside(model(cell)), model: model(cell), cell })
        .collect();
    one(area, climbed, &points, &Axis { label: "training rows".into(), ticks, joined: true })
}

/// Quality against the cost of a thousand requests, on a logarithmic scale; nothing where no cost is known.
fn by_cost(area: &Area<'_, '_>, climbed: &Climbed, model: &dyn Fn(&Cell) -> usize) -> Result<(), String> {
    let cost = |cell: &Cell| cell.cost_per_request.filter(|cost| *cost > 0.0).map(|cost| (1000.0 * cost).log10());
    let points: Vec<Point<'_>> =
        climbed.cells.iter().filter_map(|cell| Some(Point { x: cost(cell)?, model: model(cell), cell })).collect();
    if points.is_empty() {
        return Ok(());
    }
    let (low, high) =
        points.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), p| (low.min(p.x), high.max(p.x)));
    let mut ticks = Vec::new();
    for power in (low.floor() as i32 - 1)..=(high.ceil() as i32) {
        for step in STEPS {
            let amount = step * 10f64.powi(power);
            let digits = usize::try_from(-power).unwrap_or(0);
            ticks.push((amount.log10(), format!("{amount:.digits$}")));
        }
    }
    // Those in sight, and one on either side where that leaves fewer than two.
    let margin = ((high - low) * 0.12).max(0.12);
    let seen = |ticks: &[(f64, String)], margin: f64| -> Vec<(f64, String)> {
        ticks.iter().filter(|(at, _)| *at >= low - margin && *at <= high + margin).cloned().collect()
    };
    let mut shown = seen(&ticks, margin);
    if shown.len() < 2 {
        shown = seen(&ticks, 0.35);
    }
    let label = format!("{} for 1,000 requests (each point with its rows)", climbed.currency);
    one(area, climbed, &points, &Axis { label, ticks: shown, joined: false })
}

/// One picture: points with whiskers, and the line of the target.
fn one(area: &Area<'_, '_>, climbed: &Climbed, points: &[Point<'_>], axis: &Axis) -> Result<(), String> {
    let reach = |p: &Point<'_>| p.cell.interval.map_or(p.cell.quality, |i| i.high.max(p.cell.quality));
    let target = climbed.smallest.map(|smallest| smallest.target);
    let top = points.iter().map(reach).chain(target).fold(0.01_f64, f64::max) * 1.08;
    let xs = points.iter().map(|p| p.x).chain(axis.ticks.iter().map(|(at, _)| *at));
    let (low, high) = xs.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    let margin = ((high - low) * 0.08).max(0.08);
    let (low, high) = (low - margin, high + margin);
    let mut chart = ChartBuilder::on(area)
        .margin(14)
        .x_label_area_size(52)
        .y_label_area_size(58)
        .build_cartesian_2d(low..high, 0.0..top)
        .map_err(text_of)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.14))
        .x_labels(0)
        .y_labels(8)
        .y_desc(climbed.label.as_str())
        .y_label_formatter(&|share| format!("{:.0} %", 100.0 * share))
        .label_style(("sans-serif", 12).into_font())
        .axis_desc_style(("sans-serif", 13).into_font())
        .draw()
        .map_err(text_of)?;
    if let Some(target) = target {
        let line = [(low, target), (high, target)].map(|at| place(area, &chart, at));
        segments(area, &line, (2, 4), BLACK.stroke_width(1))?;
        // At the left end, where few points are as high.
        let (x, y) = place(area, &chart, (low, target));
        let style = font(12, Pos::new(HPos::Left, VPos::Bottom)).color(&GREY);
        area.draw(&Text::new(format!("target {:.1} %", 100.0 * target), (x + 6, y - 3), style)).map_err(text_of)?;
    }
    scale(area, &chart, axis, low)?;
    let models = points.iter().map(|p| p.model).max().unwrap_or(0);
    for model in 0..=models {
        let mut own: Vec<&Point<'_>> = points.iter().filter(|p| p.model == model).collect();
        own.sort_by(|a, b| a.x.total_cmp(&b.x).then(a.cell.rows.cmp(&b.cell.rows)));
        if axis.joined {
            let line: Vec<(i32, i32)> = own.iter().map(|p| place(area, &chart, (p.x, p.cell.quality))).collect();
            dashed(area, model, &line)?;
        }
        for p in own {
            let at = place(area, &chart, (p.x, p.cell.quality));
            if let Some(interval) = p.cell.interval {
                let ends = [interval.low, interval.high].map(|quality| place(area, &chart, (p.x, quality)));
                whisker(area, model, ends)?;
            }
            mark(area, model, at)?;
            if !axis.joined {
                let rows = if p.cell.rows == 0 { "base".to_owned() } else { text::count(p.cell.rows as u64) };
                let hue = hue(model);
                let style = font(12, Pos::new(HPos::Left, VPos::Center)).color(&hue);
                area.draw(&Text::new(rows, (at.0 + 9, at.1 - 7), style)).map_err(text_of)?;
            }
        }
    }
    Ok(())
}

/// A point of the chart in pixels of the area that it is drawn on.
fn place(area: &Area<'_, '_>, chart: &Chart<'_, '_>, at: (f64, f64)) -> (i32, i32) {
    let (x, y) = chart.plotting_area().map_coordinate(&at);
    let (left, top) = area.get_base_pixel();
    (x - left, y - top)
}

/// The named places of the axis, and what it is.
fn scale(area: &Area<'_, '_>, chart: &Chart<'_, '_>, axis: &Axis, low: f64) -> Result<(), String> {
    let below = Pos::new(HPos::Center, VPos::Top);
    let mut last = i32::MIN / 2;
    for (at, name) in &axis.ticks {
        let (x, y) = place(area, chart, (*at, 0.0));
        area.draw(&PathElement::new([(x, y), (x, y + 5)], BLACK)).map_err(text_of)?;
        // A name that would run into the one before is left out.
        if x - last >= 8 * i32::try_from(name.len()).unwrap_or(8) {
            area.draw(&Text::new(name.clone(), (x, y + 8), font(12, below))).map_err(text_of)?;
            last = x;
        }
    }
    let (left, y) = place(area, chart, (low, 0.0));
    let (width, _) = chart.plotting_area().dim_in_pixel();
    let middle = left + i32::try_from(width / 2).unwrap_or(0);
    area.draw(&Text::new(axis.label.clone(), (middle, y + 30), font(13, below))).map_err(text_of)
}

fn hue(model: usize) -> RGBColor {
    HUES.get(model % HUES.len()).copied().unwrap_or(BLACK)
}

/// A model's line through `points`, in its dashes.
fn dashed(area: &Area<'_, '_>, model: usize, points: &[(i32, i32)]) -> Result<(), String> {
    let dashes = DASHES.get(model % DASHES.len()).copied().unwrap_or((1, 0));
    segments(area, points, dashes, hue(model).stroke_width(2))
}

fn segments(
    area: &Area<'_, '_>,
    points: &[(i32, i32)],
    (dash, gap): (u32, u32),
    style: ShapeStyle,
) -> Result<(), String> {
    let line = points.iter().copied();
    if gap == 0 {
        return area.draw(&PathElement::new(points.to_vec(), style)).map_err(text_of);
    }
    area.draw(&DashedPathElement::new(line, dash, gap, style)).map_err(text_of)
}

/// An interval with a bar at both ends.
fn whisker(area: &Area<'_, '_>, model: usize, [low, high]: [(i32, i32); 2]) -> Result<(), String> {
    let style = hue(model).stroke_width(1);
    area.draw(&PathElement::new([low, high], style)).map_err(text_of)?;
    for (x, y) in [low, high] {
        area.draw(&PathElement::new([(x - 4, y), (x + 4, y)], style)).map_err(text_of)?;
    }
    Ok(())
}

/// A model's point: circle, square, triangle, diamond, cross; from the sixth model on the same again, hollow.
fn mark(area: &Area<'_, '_>, model: usize, (x, y): (i32, i32)) -> Result<(), String> {
    let (hue, hollow) = (hue(model), model >= HUES.len());
    let drawn = match model % HUES.len() {
        0 => area.draw(&Circle::new((x, y), 5, if hollow { hue.stroke_width(2) } else { hue.filled() })),
        4 => [[(x - 5, y - 5), (x + 5, y + 5)], [(x - 5, y + 5), (x + 5, y - 5)]]
            .into_iter()
            .try_for_each(|bar| area.draw(&PathElement::new(bar, hue.stroke_width(if hollow { 1 } else { 3 })))),
        shape => {
            let corners = match shape {
                1 => vec![(x - 5, y - 5), (x + 5, y - 5), (x + 5, y + 5), (x - 5, y + 5)],
                2 => vec![(x, y - 6), (x + 6, y + 5), (x - 6, y + 5)],
                _ => vec![(x, y - 7), (x + 7, y), (x, y + 7), (x - 7, y)],
            };
            if hollow {
                let round = corners.iter().chain(corners.first()).copied().collect::<Vec<_>>();
                area.draw(&PathElement::new(round, hue.stroke_width(2)))
            } else {
                area.draw(&Polygon::new(corners, hue.filled()))
            }
        }
    };
    drawn.map_err(text_of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::ladder::Smallest;

    fn climbed() -> Climbed {
        let cell = |model: &str, rows: usize, cost: f64, quality: f64| Cell {
            model: model.into(),
            parameters: 1,
            rows,
            quality,
            interval: None,
            cost_per_request: Some(cost),
            fixed_cost: None,
        };
        // What a request costs was measured, so more rows may be cheaper than fewer.
        let cells = vec![
            cell("small", 0, 3e-6, 0.1),
            cell("small", 64, 1e-6, 0.2),
            cell("small", 256, 4e-6, 0.4),
            cell("small", 1000, 2e-6, 0.6),
            cell("large", 64, 9e-6, 0.3),
            cell("large", 256, 7e-6, 0.5),
        ];
        Climbed {
            metric: "exact".into(),
            label: "exact answers".into(),
            test: "test.jsonl".into(),
            smallest: Some(Smallest::of(&cells, 0.55)),
            cells,
            waiting: 0,
            notes: Vec::new(),
            reports: Vec::new(),
            wanted: Vec::new(),
            currency: "EUR".into(),
        }
    }

    #[test]
    fn models_differ_by_shape_and_places_have_names() {
        let picture = draw(&climbed()).unwrap();
        let count = |what: &str| picture.matches(what).count();
        // Circles of the first model in both pictures and the key; squares of the second.
        assert_eq!(count("<circle "), 4 + 4 + 1, "{picture}");
        assert_eq!(count("<polygon "), 2 + 2 + 1, "{picture}");
        let texts: Vec<&str> = picture
            .split("<text ")
            .skip(1)
            .filter_map(|text| Some(text.split_once('>')?.1.split_once("</text>")?.0.trim()))
            .collect();
        for name in
            ["base", "64", "256", "1,000", "small", "large", "training rows", "exact answers", "target 55.0 %", "0.002"]
        {
            assert!(texts.contains(&name), "{name}: {texts:?}");
        }
        // In the picture of costs every point says how many rows it has.
        assert_eq!(texts.iter().filter(|text| **text == "256").count(), 1 + 2, "{texts:?}");
        assert!(texts.iter().any(|text| text.contains("small on 1,000 rows")), "{texts:?}");
    }

    #[test]
    fn a_line_of_rows_goes_from_left_to_right_and_costs_are_not_joined() {
        let picture = draw(&climbed()).unwrap();
        let lines: Vec<Vec<f64>> = picture
            .split("<polyline ")
            .filter(|line| line.contains("stroke-width=\"2\""))
            .filter_map(|line| line.split_once("points=\"")?.1.split_once('"'))
            .map(|(points, _)| {
                points.split_whitespace().filter_map(|point| point.split_once(',')?.0.parse().ok()).collect()
            })
            .collect();
        assert!(lines.iter().all(|line| line.windows(2).all(|two| two[0] <= two[1])), "{lines:?}");
        let middle = f64::from(SIZE.0) / 2.0;
        let whole: Vec<&Vec<f64>> = lines.iter().filter(|line| line.len() == 4).collect();
        assert_eq!(whole.len(), 1, "the first model's, by rows: {lines:?}");
        assert!(whole[0].iter().all(|x| *x < middle), "{lines:?}");
    }
}
