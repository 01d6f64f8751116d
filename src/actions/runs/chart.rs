//! The curves of runs as a picture.
//!
//! A run is known by the dashes of its line as well as by its hue, so that the picture can be read without colours. The key stands
//! above the curves and covers none of them.

use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::evaluate::curve::Smooth;
use crate::job::Reader;
use crate::project::durable;
use crate::worker::Metrics;

use super::super::context::{ActionError, Context};

/// Size in pixels.
const SIZE: (u32, u32) = (960, 540);
/// Points of a curve at most; more than pixels say nothing more.
const POINTS: usize = 1_500;
/// Pixels of a line of the key, runs in one such line, and pixels between their beginnings.
const KEY: u32 = 22;
const RUNS: usize = 3;
const APART: i32 = 290;
/// Pixels left of the curves.
const LEFT: i32 = 72;
const GREY: RGBColor = RGBColor(85, 85, 85);
/// Hues that differ for the colour-blind too (Okabe & Ito 2008), without yellow, which is faint on white.
const HUES: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
];
/// Lengths of dash and gap, another pair for each curve; 0 for a whole line.
const DASHES: [(u32, u32); 6] = [(0, 0), (10, 5), (3, 4), (16, 6), (6, 3), (2, 8)];

/// One run's points.
struct Curve {
    name: String,
    raw: Vec<(f64, f64)>,
    smooth: Vec<(f64, f64)>,
    valid: Vec<(f64, f64)>,
}

/// Writes the losses of runs over their steps as SVG into `file`: raw as faint dots, smoothed as a line, validation as marks.
/// Returns the names of the runs.
///
/// # Errors
/// When there is no such run, none of them has a step yet, or the file cannot be written.
pub fn svg(context: &Context, runs: &[String], log: bool, file: &Path) -> Result<Vec<String>, ActionError> {
    let curves: Vec<Curve> = runs.iter().map(|run| read(context, run)).collect::<Result<_, _>>()?;
    let picture = draw(&curves, log)
        .map_err(|why| ActionError::Refused(format!("the chart for {} cannot be drawn: {why}", file.display())))?;
    durable::write(file, picture.as_bytes()).map_err(crate::job::JobError::from)?;
    Ok(curves.into_iter().map(|curve| curve.name).collect())
}

fn read(context: &Context, run: &str) -> Result<Curve, ActionError> {
    let job = context.run(run)?;
    let mut smooth = Smooth::of_run(super::steps(&job)?);
    let mut curve = Curve { name: job.name(), raw: Vec::new(), smooth: Vec::new(), valid: Vec::new() };
    for line in Reader::<Metrics>::new(&job.metrics_path()).poll()?.lines {
        let step = line.step as f64;
        if let Some(loss) = line.loss {
            curve.raw.push((step, loss));
            curve.smooth.push((step, smooth.push(loss)));
        }
        curve.valid.extend(line.valid_loss.map(|loss| (step, loss)));
    }
    for points in [&mut curve.raw, &mut curve.smooth] {
        let by = points.len().div_ceil(POINTS).max(1);
        let last = points.len().saturating_sub(1);
        let mut at = 0;
        points.retain(|_| {
            at += 1;
            (at - 1) % by == 0 || at - 1 == last
        });
    }
    Ok(curve)
}

fn draw(curves: &[Curve], log: bool) -> Result<String, String> {
    let all =
        || curves.iter().flat_map(|curve| curve.raw.iter().chain(&curve.valid)).filter(|(_, loss)| loss.is_finite());
    let (low, high) = all().fold((f64::INFINITY, 0.0_f64), |(low, high), (_, loss)| (low.min(*loss), high.max(*loss)));
    let last = all().fold(1.0_f64, |last, (step, _)| last.max(*step));
    if !low.is_finite() {
        return Err("no step is done yet".into());
    }
    let mut picture = String::new();
    {
        let area = SVGBackend::with_string(&mut picture, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(|error| error.to_string())?;
        let (top, area) = area.split_vertically(12 + KEY * (1 + curves.len().div_ceil(RUNS) as u32));
        key(&top, curves)?;
        if log && low > 0.0 {
            over(&area, curves, last, "loss, on a logarithmic scale", (low * 0.9..high * 1.1).log_scale())?;
        } else {
            over(&area, curves, last, "loss", 0.0_f64.min(low)..high * 1.05)?;
        }
        area.present().map_err(|error| error.to_string())?;
    }
    Ok(picture)
}

#[allow(clippy::needless_pass_by_value)] // as map_err hands it over
fn text_of(error: DrawingAreaErrorKind<std::io::Error>) -> String {
    error.to_string()
}

/// The runs by their lines, and what lines, dots and marks are.
fn key(area: &DrawingArea<SVGBackend<'_>, Shift>, curves: &[Curve]) -> Result<(), String> {
    let font = TextStyle::from(("sans-serif", 13).into_font()).pos(Pos::new(HPos::Left, VPos::Center));
    let line_of = |row: usize| (12 + KEY / 2) as i32 + row as i32 * KEY as i32;
    for (index, curve) in curves.iter().enumerate() {
        let (x, y) = (LEFT + (index % RUNS) as i32 * APART, line_of(index / RUNS));
        let line = [(x, y), (x + 40, y)];
        let style = HUES[index % HUES.len()].stroke_width(2);
        let drawn = match DASHES[index % DASHES.len()] {
            (0, _) => area.draw(&PathElement::new(line.to_vec(), style)),
            (dash, gap) => area.draw(&DashedPathElement::new(line.iter().copied(), dash, gap, style)),
        };
        drawn.map_err(text_of)?;
        let name = crate::text::cut(&curve.name, 30).into_owned();
        area.draw(&Text::new(name, (x + 48, y), font.clone())).map_err(text_of)?;
    }
    let y = line_of(curves.len().div_ceil(RUNS));
    let words = "lines: training loss, smoothed; dots: of each step";
    let font = font.color(&GREY);
    area.draw(&Text::new(words, (LEFT, y), font.clone())).map_err(text_of)?;
    area.draw(&TriangleMarker::new((LEFT + APART + 46, y), 5, GREY.filled())).map_err(text_of)?;
    area.draw(&Text::new("validation loss", (LEFT + APART + 56, y), font)).map_err(text_of)
}

/// Draws the curves over a scale of losses.
fn over<Y>(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    curves: &[Curve],
    last: f64,
    name: &str,
    scale: Y,
) -> Result<(), String>
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .x_label_area_size(36)
        .y_label_area_size(LEFT - 16)
        .build_cartesian_2d(0.0..last, scale)
        .map_err(text_of)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("step")
        .y_desc(name)
        .x_label_formatter(&|step| format!("{step:.0}"))
        .label_style(("sans-serif", 12).into_font())
        .axis_desc_style(("sans-serif", 13).into_font())
        .draw()
        .map_err(text_of)?;
    for (index, curve) in curves.iter().enumerate() {
        let hue = HUES[index % HUES.len()];
        let (dash, gap) = DASHES[index % DASHES.len()];
        let finite =
            |points: &[(f64, f64)]| points.iter().copied().filter(|(_, loss)| loss.is_finite()).collect::<Vec<_>>();
        let dots = finite(&curve.raw).into_iter().map(|point| Circle::new(point, 1, hue.mix(0.6).filled()));
        chart.draw_series(dots).map_err(text_of)?;
        let style = hue.stroke_width(2);
        if dash == 0 {
            chart.draw_series(LineSeries::new(finite(&curve.smooth), style)).map_err(text_of)?;
        } else {
            chart.draw_series(DashedLineSeries::new(finite(&curve.smooth), dash, gap, style)).map_err(text_of)?;
        }
        let marks = finite(&curve.valid).into_iter().map(|point| TriangleMarker::new(point, 5, hue.filled()));
        chart.draw_series(marks).map_err(text_of)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_is_in_the_picture_with_a_line_of_its_own_kind() {
        let curve = |name: &str, from: f64| Curve {
            name: name.into(),
            raw: (1..50)
                .map(|step| (f64::from(step), if step == 9 { f64::NAN } else { from / f64::from(step) }))
                .collect(),
            smooth: (1..50).map(|step| (f64::from(step), from / f64::from(step))).collect(),
            valid: vec![(25.0, from / 20.0)],
        };
        let two = [curve("2026-11-22-a1", 4.0), curve("2026-11-22-a2", 2.0)];
        for log in [false, true] {
            let picture = draw(&two, log).unwrap();
            assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"));
            assert!(picture.contains("2026-11-22-a1") && picture.contains("2026-11-22-a2"));
            assert!(!picture.contains("NaN"));
            assert_eq!(picture.matches("<polygon").count(), 3, "a mark for each validation, and one in the key");
            assert!(picture.contains("validation loss") && picture.contains("logarithmic") == log);
        }
        assert!(draw(&[], false).unwrap_err().contains("no step"));
    }
}
