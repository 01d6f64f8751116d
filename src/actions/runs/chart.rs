//! The curves of runs as a picture.

use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;

use crate::evaluate::curve::Smooth;
use crate::job::Reader;
use crate::project::durable;
use crate::worker::Metrics;

use super::super::context::{ActionError, Context};

/// Size in pixels.
const SIZE: (u32, u32) = (960, 540);
/// Points of a curve at most; more than pixels say nothing more.
const POINTS: usize = 1_500;
/// Eight hues that differ for the colour-blind too (Okabe & Ito 2008), without yellow, which is faint on white.
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
        if log && low > 0.0 {
            over(&area, curves, last, (low * 0.9..high * 1.1).log_scale())?;
        } else {
            over(&area, curves, last, 0.0_f64.min(low)..high * 1.05)?;
        }
        area.present().map_err(|error| error.to_string())?;
    }
    Ok(picture)
}

/// Draws the curves over a scale of losses.
fn over<Y>(area: &DrawingArea<SVGBackend<'_>, Shift>, curves: &[Curve], last: f64, scale: Y) -> Result<(), String>
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let text = |error: DrawingAreaErrorKind<std::io::Error>| error.to_string();
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..last, scale)
        .map_err(text)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("step")
        .y_desc("loss")
        .x_label_formatter(&|step| format!("{step:.0}"))
        .draw()
        .map_err(text)?;
    for (index, curve) in curves.iter().enumerate() {
        let hue = HUES[index % HUES.len()];
        let (dash, gap) = DASHES[index % DASHES.len()];
        let finite =
            |points: &[(f64, f64)]| points.iter().copied().filter(|(_, loss)| loss.is_finite()).collect::<Vec<_>>();
        let dots = finite(&curve.raw).into_iter().map(|point| Circle::new(point, 1, hue.mix(0.35).filled()));
        chart.draw_series(dots).map_err(text)?;
        let key = move |(x, y): (i32, i32)| PathElement::new(vec![(x, y), (x + 24, y)], hue.stroke_width(2));
        let style = hue.stroke_width(2);
        if dash == 0 {
            let line = LineSeries::new(finite(&curve.smooth), style);
            chart.draw_series(line).map_err(text)?.label(&curve.name).legend(key);
        } else {
            let line = DashedLineSeries::new(finite(&curve.smooth), dash, gap, style);
            chart.draw_series(line).map_err(text)?.label(format!("{} (dashes of {dash})", curve.name)).legend(key);
        }
        let marks = finite(&curve.valid).into_iter().map(|point| TriangleMarker::new(point, 5, hue.filled()));
        chart.draw_series(marks).map_err(text)?;
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3)).draw().map_err(text)
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
            assert_eq!(picture.matches("<polygon").count(), 2, "a mark for each validation");
        }
        assert!(draw(&[], false).unwrap_err().contains("no step"));
    }
}
