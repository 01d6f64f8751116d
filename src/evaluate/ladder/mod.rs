//! The ladder: the same task over training-set sizes and models, and the smallest rung that is good enough.
//!
//! Knows numbers of finished cells; what trains them, and how they are drawn, is not its business.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::interval::Interval;

/// One model trained on so many rows, tested on the frozen test set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The model's name.
    pub model: String,
    /// Its parameters.
    pub parameters: u64,
    /// Rows that it was trained on; 0 for the base.
    pub rows: usize,
    /// The quality; higher is better.
    pub quality: f64,
    /// How sure that is; none where it cannot be told.
    pub interval: Option<Interval>,
    /// What a request costs; none where that is not known.
    #[serde(default)]
    pub cost_per_request: Option<f64>,
    /// What building it costs, once; none where that is not known.
    #[serde(default)]
    pub fixed_cost: Option<f64>,
}

/// The smallest cells that reach a target, as positions in the list.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Smallest {
    /// The quality asked for.
    pub target: f64,
    /// The smallest one whose interval lies at or above the target: it reaches it and not by chance.
    pub surely: Option<usize>,
    /// The smallest one whose quality is at or above the target, by chance or not; never larger than `surely`.
    pub likely: Option<usize>,
    /// The cell of the highest quality, the smallest of these: how near one came where none reaches it.
    pub best: Option<usize>,
}

impl Smallest {
    /// Finds them. Cells whose quality is no number are passed over.
    #[must_use]
    pub fn of(cells: &[Cell], target: f64) -> Self {
        let mut order: Vec<(usize, &Cell)> =
            cells.iter().enumerate().filter(|(_, cell)| !cell.quality.is_nan()).collect();
        order.sort_by(|(_, a), (_, b)| by_size(a, b));
        let first = |reaches: &dyn Fn(&Cell) -> bool| order.iter().find(|(_, cell)| reaches(cell)).map(|(at, _)| *at);
        let highest = order.iter().map(|(_, cell)| cell.quality).fold(f64::NEG_INFINITY, f64::max);
        Self {
            target,
            surely: first(&|cell| {
                cell.quality >= target && cell.interval.is_some_and(|interval| interval.low >= target)
            }),
            likely: first(&|cell| cell.quality >= target),
            best: first(&|cell| cell.quality >= highest),
        }
    }
}

/// From small to large: by the cost of a request, which is paid for ever (one that is not known is the largest); then
/// by rows, which people have to write; then by parameters, and by name so that the order is the same every time.
#[must_use]
pub fn by_size(a: &Cell, b: &Cell) -> Ordering {
    let cost = |cell: &Cell| cell.cost_per_request.filter(|cost| !cost.is_nan()).unwrap_or(f64::INFINITY);
    let numbers = cost(a).total_cmp(&cost(b)).then(a.rows.cmp(&b.rows)).then(a.parameters.cmp(&b.parameters));
    numbers.then_with(|| a.model.cmp(&b.model))
}

/// Subsets of training rows, for each size the positions of its rows: all are the beginnings of one shuffled order, so
/// that each larger one holds each smaller one. A size over the number of rows, such as `usize::MAX`, stands for all.
///
/// The order is that of `blake3(seed, id)`, the seed as 8 bytes, lowest first: it does not depend on where a row
/// stands, and rows added later come in between without moving the others. Rows with the same id stay in the order they
/// have.
#[must_use]
pub fn nested<S: AsRef<str>>(ids: &[S], sizes: &[usize], seed: u64) -> Vec<Vec<usize>> {
    let key = |id: &str| *blake3::Hasher::new().update(&seed.to_le_bytes()).update(id.as_bytes()).finalize().as_bytes();
    let mut order: Vec<([u8; 32], usize)> = ids.iter().enumerate().map(|(at, id)| (key(id.as_ref()), at)).collect();
    order.sort_unstable();
    sizes.iter().map(|size| order.iter().take(*size).map(|(_, at)| *at).collect()).collect()
}

#[cfg(test)]
mod tests;
