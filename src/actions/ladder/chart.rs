//! The ladder as a picture: quality against rows, and quality against what a request costs.

use std::ops::Range;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::super::context::ActionError;
use super::Climbed;
use crate::evaluate::ladder::Cell;
use crate::project::durable;

/// Size of both pictures together, in pixels.
const SIZE: (u32, u32) = (1120, 480);
/// Hues that differ for the colour-blind too (Okabe & Ito 2008).
const HUES: [RGBColor; 5] =
    [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167), RGBColor(90, 90, 90)];

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

/// Where the base stands on an axis of rows that has no 0.
const BASE_AT: f64 = 1.0;

fn draw(climbed: &Climbed) -> Result<String, String> {
    if climbed.cells.is_empty() {
        return Err("no cell is tested yet".into());
    }
    let mut picture = String::new();
    {
        let area = SVGBackend::with_string(&mut picture, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(|error| error.to_string())?;
        let (left, right) = area.split_horizontally(SIZE.0 / 2);
        let rows = |cell: &Cell| Some((cell.rows as f64).max(BASE_AT));
        one(&left, climbed, "training rows (the base at 1)", &rows)?;
        let label = format!("{} a request", climbed.currency);
        one(&right, climbed, &label, &|cell| cell.cost_per_request.filter(|cost| *cost > 0.0))?;
        area.present().map_err(|error| error.to_string())?;
    }
    Ok(picture)
}

/// One picture: a line of points with whiskers for each model.
fn one(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    climbed: &Climbed,
    label: &str,
    across: &dyn Fn(&Cell) -> Option<f64>,
) -> Result<(), String> {
    let points: Vec<(f64, &Cell)> = climbed.cells.iter().filter_map(|cell| Some((across(cell)?, cell))).collect();
    if points.is_empty() {
        return Ok(());
    }
    let fail = |error: DrawingAreaErrorKind<_>| error.to_string();
    let (low, high) = points.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), (x, _)| (low.min(*x), high.max(*x)));
    let top = points.iter().map(|(_, cell)| cell.interval.map_or(cell.quality, |i| i.high)).fold(0.0_f64, f64::max);
    let x: Range<f64> = low * 0.8..high * 1.25;
    // Few labels are powers of ten alone, of which a narrow axis has none.
    let labels = if high < 5.0 * low { 10 } else { 6 };
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(56)
        .build_cartesian_2d(x.log_scale(), 0.0..(top * 1.1).max(0.01))
        .map_err(fail)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(label)
        .y_desc(climbed.metric.as_str())
        .x_labels(labels)
        .x_label_formatter(&|x| if *x < 1.0 { format!("{x:.0e}") } else { format!("{x:.0}") })
        .y_label_formatter(&|share| format!("{:.0} %", 100.0 * share))
        .draw()
        .map_err(fail)?;
    let mut models: Vec<&str> = Vec::new();
    for (_, cell) in &points {
        if !models.contains(&cell.model.as_str()) {
            models.push(&cell.model);
        }
    }
    for (at, model) in models.iter().enumerate() {
        let hue = HUES.get(at % HUES.len()).copied().unwrap_or(BLACK);
        let mut own: Vec<(f64, &Cell)> = points.iter().filter(|(_, cell)| cell.model == *model).copied().collect();
        // A line goes from left to right; where two stand on one place, from fewer rows to more.
        own.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.rows.cmp(&b.1.rows)));
        let line = own.iter().map(|(x, cell)| (*x, cell.quality));
        chart
            .draw_series(LineSeries::new(line, hue.stroke_width(2)))
            .map_err(fail)?
            .label(*model)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], hue.stroke_width(2)));
        let whiskers = own.iter().filter_map(|(x, cell)| Some((*x, cell.interval?)));
        chart
            .draw_series(whiskers.map(|(x, i)| PathElement::new([(x, i.low), (x, i.high)], hue.stroke_width(1))))
            .map_err(fail)?;
        chart
            .draw_series(own.iter().map(|(x, cell)| Circle::new((*x, cell.quality), 4, hue.filled())))
            .map_err(fail)?;
    }
    if let Some(target) = climbed.smallest.map(|smallest| smallest.target) {
        let line = [(low * 0.8, target), (high * 1.25, target)];
        chart.draw_series([PathElement::new(line, BLACK.mix(0.5))]).map_err(fail)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .draw()
        .map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_costs_goes_from_left_to_right() {
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
        let climbed = Climbed {
            metric: "exact".into(),
            test: "test.jsonl".into(),
            cells,
            waiting: 0,
            smallest: None,
            reports: Vec::new(),
            wanted: Vec::new(),
            currency: "EUR".into(),
        };
        let picture = draw(&climbed).unwrap();
        let lines: Vec<Vec<f64>> = picture
            .split("<polyline ")
            .filter(|line| line.contains("stroke-width=\"2\""))
            .filter_map(|line| line.split_once("points=\"")?.1.split_once('"'))
            .map(|(points, _)| {
                points.split_whitespace().filter_map(|point| point.split_once(',')?.0.parse().ok()).collect()
            })
            .filter(|line: &Vec<f64>| line.len() > 1)
            .collect();
        // Two pictures with a line for each model; legends have two points.
        assert_eq!(lines.iter().filter(|line| line.len() == 4).count(), 2, "{picture}");
        assert!(lines.iter().all(|line| line.windows(2).all(|two| two[0] <= two[1])), "{lines:?}");
    }
}
