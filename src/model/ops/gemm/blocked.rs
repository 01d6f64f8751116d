//! The product itself on one thread, for processors with AVX2 or AVX-512: packed stretches of `b`, tiles in registers.
//!
//! The loops are those of Goto & van de Geijn (2008, "Anatomy of high-performance matrix multiplication", section 4): a block of
//! `b` that the second-level cache holds is laid out in slivers as wide as a tile, and tiles of rows of `a` pass by it. `a` is
//! read where it lies: a tile takes one number of each row at a time, and four where they lie behind one another.
//!
//! The order of every sum is fixed by the shape: along `k` in blocks of nearly equal length.

#![allow(clippy::inline_always)] // A body not inlined into its wrapper would be compiled without the wrapper's instructions.

use super::super::scratch;
use super::super::simd::Simd;
use super::pack::{View, pack};
use super::{Addend, MatMut, Product};
use crate::multiversion;

/// Most of `k` in a block: a sliver of 48 columns is then 120 KiB, which streams from the second-level cache.
const DEEP: usize = 640;
/// Most columns in a block: 840 KiB with the above, of a second-level cache of a megabyte.
const BROAD: usize = 336;
/// Most columns of a tile at any level.
const WIDEST: usize = 48;
/// Results with at most so many columns are computed as their transpose where `a` lies column by column.
const NARROW: usize = 32;

/// Rows and vectors of the largest tile for a result of so many columns: as many sums as registers hold beside what is
/// multiplied, enough to hide what an addition waits for.
#[inline(always)]
fn largest<S: Simd>(cols: usize) -> (usize, usize) {
    match S::LANES {
        16 if cols <= 16 => (16, 1),
        16 => (8, 3),
        8 => (6, 2),
        _ => (4, 2),
    }
}

/// One product, as pointers.
#[derive(Clone, Copy)]
struct Job<'a> {
    of: Product<'a>,
    rows: usize,
    cols: usize,
    depth: usize,
    /// The product's factors, or their transposes the other way round.
    a: View,
    b: View,
    c: *mut f32,
    /// Steps from a row of `c`, and from a column, to the next.
    c_row: usize,
    c_col: usize,
    /// Room for a packed block.
    room: *mut f32,
}

/// A product of shapes that the caller has checked.
pub(super) fn product(of: Product<'_>, c: &mut MatMut<'_>) {
    with(of, c, run);
}

/// Shows the product to `run`, with room for what it packs.
fn with(of: Product<'_>, c: &mut MatMut<'_>, run: impl FnOnce(Job<'_>)) {
    let (a, b, depth) = (View::of(of.a), View::of(of.b), of.a.cols);
    let (rows, cols) = (c.rows, c.cols);
    // A tile reads numbers of `a` that lie behind one another in `k`, and columns of `b`: the transpose may have both where the
    // product has neither.
    let turned = a.row == 1 && a.col != 1 && cols <= NARROW && cols < rows && of.more.is_empty();
    let deepest = of.more.iter().map(|more| more.a.cols).max().unwrap_or(0);
    let job = |room: *mut f32| {
        if turned {
            let (c_row, c_col) = (1, c.row_stride);
            Job { of, rows: cols, cols: rows, depth, a: b.t(), b: a.t(), c: c.start, c_row, c_col, room }
        } else {
            Job { of, rows, cols, depth, a, b, c: c.start, c_row: c.row_stride, c_col: 1, room }
        }
    };
    // Slivers are rounded up to whole vectors.
    let across = (BROAD + WIDEST).min(if turned { rows } else { cols } + WIDEST);
    scratch::with((DEEP.min(depth) + deepest) * across, |room| run(job(room.as_mut_ptr())));
}

multiversion! {
    fn run<S>(job: Job<'_>) {
        columns::<S>(job);
    }
}

/// All columns, up to where another product begins or ends to be added at a time.
#[inline(always)]
fn columns<S: Simd>(job: Job<'_>) {
    let (more, column) = (job.of.more, job.of.at.1);
    let mut first = 0;
    while first < job.cols {
        let from = column + first;
        let edges = more.iter().flat_map(|more| [more.cols.start, more.cols.end]).filter(|&edge| edge > from);
        let end = edges.min().map_or(job.cols, |edge| job.cols.min(edge - column));
        blocks::<S>(job, first, end, more.iter().find(|more| more.cols.contains(&from)));
        first = end;
    }
}

/// The product of some columns, `more` added.
#[inline(always)]
fn blocks<S: Simd>(job: Job<'_>, start: usize, end: usize, more: Option<&Addend<'_>>) {
    let (tall, vectors) = largest::<S>(end - start);
    let slivers = (end - start).div_ceil(vectors * S::LANES);
    // Slivers of nearly equal width: 64 columns are 32 and 32 rather than 48 and 16.
    let wide = (end - start).div_ceil(slivers).next_multiple_of(S::LANES);
    let most = (BROAD / wide).max(1);
    let broad = slivers.div_ceil(slivers.div_ceil(most)) * wide;
    let deep = job.depth.div_ceil(job.depth.div_ceil(DEEP).max(1)).max(1);
    // Packing pays where what is packed is used several times.
    let packs = more.is_some() || job.b.col != 1 || job.rows > 8 || !(end - start).is_multiple_of(S::LANES);
    for first in (start..end).step_by(broad) {
        let cols = broad.min(end - first);
        let mut from = 0;
        loop {
            let depth = deep.min(job.depth - from);
            let (a, b) = (job.a.from(0, from), job.b.from(from, first));
            // SAFETY: the block lies within the views, whose elements the caller may read and, of `c`, write; the room holds
            // the depth of both products times the columns rounded up to slivers.
            unsafe {
                let own = if packs {
                    Factors::packed::<S>(a, b, depth, (cols, wide), job.room)
                } else {
                    Factors { depth, a, b: b.at, lies: Some(b.row) }
                };
                let beside = more.filter(|_| from + depth >= job.depth).map(|more| {
                    let (row, column) = job.of.at;
                    let (a, b) =
                        (View::of(more.a).from(row, 0), View::of(more.b).from(0, column + first - more.cols.start));
                    let room = job.room.add(depth * cols.next_multiple_of(S::LANES));
                    Factors::packed::<S>(a, b, more.a.cols, (cols, wide), room)
                });
                let beta = if from == 0 { job.of.beta } else { 1.0 };
                strips::<S>(job, Block { factors: [own, beside.unwrap_or(NONE)], first, cols, wide, beta }, tall);
            }
            from += depth;
            if from >= job.depth {
                break;
            }
        }
    }
}

/// A stretch of `k`: all rows of `a`, and a block's columns of `b`.
#[derive(Clone, Copy)]
struct Factors {
    depth: usize,
    a: View,
    b: *const f32,
    /// The step from a row of `b` to the next where it is read as it lies; packed in slivers otherwise.
    lies: Option<usize>,
}

/// A product of depth 0, which adds nothing.
const NONE: Factors =
    Factors { depth: 0, a: View { at: std::ptr::null(), row: 0, col: 0 }, b: std::ptr::null(), lies: None };

impl Factors {
    /// With `b` packed into `room`.
    ///
    /// # Safety
    /// As for [`pack`].
    #[inline(always)]
    unsafe fn packed<S: Simd>(a: View, b: View, depth: usize, (cols, wide): (usize, usize), room: *mut f32) -> Self {
        // SAFETY: the caller's promise.
        unsafe { pack::<S>(b, depth, cols, (wide, S::LANES), true, room) };
        Self { depth, a, b: room, lies: None }
    }

    /// What a tile from `row` on multiplies with the sliver that begins at column `sliver`, `full` wide once packed.
    #[inline(always)]
    fn part(self, row: usize, sliver: usize, full: usize) -> Part {
        let (b, b_next) = match self.lies {
            Some(step) => (self.b.wrapping_add(sliver), step),
            None => (self.b.wrapping_add(sliver * self.depth), full),
        };
        Part { depth: self.depth, a: self.a.from(row, 0), b, b_next }
    }
}

/// Some columns, and a stretch of `k` of the product and of what is added to it.
#[derive(Clone, Copy)]
struct Block {
    factors: [Factors; 2],
    first: usize,
    cols: usize,
    /// Columns of a sliver.
    wide: usize,
    beta: f32,
}

/// All rows of a block.
///
/// # Safety
/// The block must lie within the product.
#[inline(always)]
unsafe fn strips<S: Simd>(job: Job<'_>, block: Block, tall: usize) {
    let mut row = 0;
    while row < job.rows {
        let left = job.rows - row;
        let height = if left > tall / 2 { tall } else { tall / 2 };
        for sliver in (0..block.cols).step_by(block.wide) {
            let cols = block.wide.min(block.cols - sliver);
            let full = cols.next_multiple_of(S::LANES);
            let [own, beside] = block.factors;
            // SAFETY: rows and columns lie within the product.
            unsafe {
                let tile = Tile {
                    parts: [own.part(row, sliver, full), beside.part(row, sliver, full)],
                    c: job.c.add(row * job.c_row + (block.first + sliver) * job.c_col),
                    c_row: job.c_row,
                    c_col: job.c_col,
                    rows: height.min(left),
                    cols,
                    alpha: job.of.alpha,
                    beta: block.beta,
                };
                match (S::LANES, height, cols.div_ceil(S::LANES)) {
                    (16, 16, _) => tile.run::<S, 16, 1>(),
                    (16, 8, 3) => tile.run::<S, 8, 3>(),
                    (16, 8, 2) => tile.run::<S, 8, 2>(),
                    (16, 8, _) => tile.run::<S, 8, 1>(),
                    (16, _, 3) => tile.run::<S, 4, 3>(),
                    (16, _, 2) => tile.run::<S, 4, 2>(),
                    (16, _, _) => tile.run::<S, 4, 1>(),
                    (8, 6, 2) => tile.run::<S, 6, 2>(),
                    (8, 6, _) => tile.run::<S, 6, 1>(),
                    (8, _, 2) => tile.run::<S, 3, 2>(),
                    (8, _, _) => tile.run::<S, 3, 1>(),
                    (_, 4, 2) => tile.run::<S, 4, 2>(),
                    (_, 4, _) => tile.run::<S, 4, 1>(),
                    (_, _, 2) => tile.run::<S, 2, 2>(),
                    (_, _, _) => tile.run::<S, 2, 1>(),
                }
            }
        }
        row += height;
    }
}

/// Rows of `a` and columns of `b` to multiply.
#[derive(Clone, Copy)]
struct Part {
    depth: usize,
    a: View,
    b: *const f32,
    b_next: usize,
}

/// Some rows and columns of the result.
#[derive(Clone, Copy)]
struct Tile {
    parts: [Part; 2],
    c: *mut f32,
    c_row: usize,
    c_col: usize,
    rows: usize,
    cols: usize,
    alpha: f32,
    beta: f32,
}

/// Adds what one number of `k` gives to a tile's sums. A macro, and indices rather than iterators: the sums stay in registers only
/// where every access to them is plain to see.
macro_rules! step {
    ($s:ident, $sums:ident, $a:ident, $at:ident, $b:expr, $ahead:expr) => {{
        let b = $b;
        let mut right = [$s::splat(0.0); N];
        for n in 0..N {
            right[n] = $s::load(b.add(n * $s::LANES));
        }
        for m in 0..M {
            let left = $s::splat(*$a.add($at[m] + $ahead));
            for n in 0..N {
                $sums[m][n] = $s::mul_add(left, right[n], $sums[m][n]);
            }
        }
    }};
}

impl Tile {
    /// `M` rows, of which `rows` are there, and `N` vectors.
    ///
    /// # Safety
    /// All that it names must be there; `b` in whole vectors.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // see `step`
    unsafe fn run<S: Simd, const M: usize, const N: usize>(self) {
        let mut sums = [[S::splat(0.0); N]; M];
        // SAFETY: the caller's promise.
        unsafe {
            for part in self.parts {
                // Rows that are not there are read as the last one that is, and not written.
                let mut at = [0usize; M];
                for (m, at) in at.iter_mut().enumerate() {
                    *at = m.min(self.rows - 1) * part.a.row;
                }
                let (mut a, mut b, mut left) = (part.a.at, part.b, part.depth);
                if part.a.col == 1 && part.b_next == N * S::LANES {
                    let next = N * S::LANES;
                    while left >= 4 {
                        step!(S, sums, a, at, b, 0);
                        step!(S, sums, a, at, b.add(next), 1);
                        step!(S, sums, a, at, b.add(2 * next), 2);
                        step!(S, sums, a, at, b.add(3 * next), 3);
                        a = a.wrapping_add(4);
                        b = b.wrapping_add(4 * next);
                        left -= 4;
                    }
                }
                while left > 0 {
                    step!(S, sums, a, at, b, 0);
                    // Past the last one nothing is read.
                    a = a.wrapping_add(part.a.col);
                    b = b.wrapping_add(part.b_next);
                    left -= 1;
                }
            }
            let (alpha, beta) = (S::splat(self.alpha), S::splat(self.beta));
            // A copy: what is asked for by a number that is not known beforehand must lie in memory.
            let mut done = [[S::splat(0.0); N]; M];
            for m in 0..M {
                for n in 0..N {
                    done[m][n] = S::mul(sums[m][n], alpha);
                }
            }
            for (m, sums) in done.iter().enumerate().take(self.rows) {
                let row = self.c.add(m * self.c_row);
                for (n, &sum) in sums.iter().enumerate() {
                    let (c, left) = (row.add(n * S::LANES * self.c_col), self.cols - n * S::LANES);
                    if left >= S::LANES && self.c_col == 1 {
                        S::store(c, if self.beta == 0.0 { sum } else { S::mul_add(S::load(c), beta, sum) });
                        continue;
                    }
                    let mut part = [0f32; 16];
                    S::store(part.as_mut_ptr(), sum);
                    for (i, &sum) in part.iter().enumerate().take(left.min(S::LANES)) {
                        let c = c.add(i * self.c_col);
                        *c = if self.beta == 0.0 { sum } else { S::fma(*c, self.beta, sum) };
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::simd::Base;
    use super::super::Mat;
    use super::*;
    use crate::model::ops::fixture::numbers;

    /// The product at a level, whatever the machine's own is; its instructions must be there.
    fn at<S: Simd>(of: Product<'_>, c: &mut MatMut<'_>) {
        with(of, c, |job| columns::<S>(job));
    }

    #[test]
    fn every_level_multiplies_as_the_definition_says_and_leaves_what_lies_beside_alone() {
        // Ragged everywhere; several blocks along k and along the columns; few rows; nothing to add up.
        for (m, n, k) in
            [(37, 53, 29), (9, 700, 5), (5, 64, 1300), (16, 48, 64), (3, 1, 7), (1, 100, 33), (4, 20, 0), (45, 16, 70)]
        {
            let (a, b, start) = (numbers(m * k, 1), numbers(k * n, 2), numbers(m * (n + 5), 3));
            // Another product on the last columns but one, and a third on the first few.
            let (u, v) = (numbers(m * 5, 4), numbers(5 * n, 5));
            let few = n.min(3);
            let all = [
                Addend {
                    cols: few..n.max(few + 1) - 1,
                    a: Mat::full(&u, m, 5),
                    b: Mat::new(&v, 5, n.max(few + 1) - 1 - few, n),
                },
                Addend { cols: 0..few, a: Mat::new(&u, m, 2, 5), b: Mat::full(&v, few, 2).t() },
            ];
            let added = |more: &[Addend<'_>], i: usize, j: usize| -> f64 {
                let here = more.iter().filter(|more| more.cols.contains(&j));
                here.map(|more| {
                    let at = |p: usize| {
                        let j = j - more.cols.start;
                        f64::from(u[i * 5 + p]) * f64::from(v[p * more.b.row_stride + j * more.b.col_stride])
                    };
                    (0..more.a.cols).map(at).sum::<f64>()
                })
                .sum()
            };
            for (left, right) in [
                (Mat::full(&a, m, k), Mat::full(&b, k, n)),
                (Mat::full(&a, k, m).t(), Mat::full(&b, k, n)),
                (Mat::full(&a, m, k), Mat::full(&b, n, k).t()),
            ] {
                let (at_a, at_b) = (left.row_stride, right.row_stride);
                let element = |i: usize, j: usize| -> f64 {
                    let sum = (0..k).map(|p| {
                        let (x, y) = (a[i * at_a + p * left.col_stride], b[p * at_b + j * right.col_stride]);
                        f64::from(x) * f64::from(y)
                    });
                    sum.sum()
                };
                for (beta, more) in [(0.0, &all[..0]), (2.0, &all[..0]), (0.0, &all[..]), (2.0, &all[..])] {
                    let of = Product { alpha: 0.5, a: left, b: right, more, at: (0, 0), beta };
                    let mut found: Vec<(&str, Vec<f32>)> = Vec::new();
                    let mut run = |name, how: &dyn Fn(&mut MatMut<'_>)| {
                        let mut c = start.clone();
                        how(&mut MatMut::new(&mut c, m, n, n + 5));
                        found.push((name, c));
                    };
                    run("base", &|c| at::<Base>(of, c));
                    #[cfg(target_arch = "x86_64")]
                    if super::super::super::simd::level() != super::super::super::simd::Level::Base {
                        run("avx2", &|c| at::<super::super::super::simd::Avx2>(of, c));
                    }
                    let mut c = start.clone();
                    product(of, &mut MatMut::new(&mut c, m, n, n + 5));
                    found.push(("chosen", c));
                    for (level, c) in found {
                        for i in 0..m {
                            for j in 0..n + 5 {
                                let (got, before) = (f64::from(c[i * (n + 5) + j]), f64::from(start[i * (n + 5) + j]));
                                let want = if j < n {
                                    0.5 * (element(i, j) + added(more, i, j)) + f64::from(beta) * before
                                } else {
                                    before
                                };
                                assert!((got - want).abs() < 1e-3, "{level} {m}x{n}x{k} ({i}, {j}): {got} for {want}");
                            }
                        }
                    }
                }
            }
        }
    }
}
