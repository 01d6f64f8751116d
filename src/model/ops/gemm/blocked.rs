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
use super::{Addend, Mat, MatMut};
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
    rows: usize,
    cols: usize,
    depth: usize,
    alpha: f32,
    beta: f32,
    a: View,
    b: View,
    c: *mut f32,
    /// Steps from a row of `c`, and from a column, to the next.
    c_row: usize,
    c_col: usize,
    /// Products that are added, with the row and the column of theirs where this product begins.
    more: &'a [Addend<'a>],
    at: (usize, usize),
    /// Room for a packed block.
    room: *mut f32,
}

/// `c = alpha * (a b + more) + beta * c`, shapes checked by the caller; `c` is at `at` of what `more` speaks of. With `beta` 0,
/// what `c` held is not read.
pub(super) fn product(
    alpha: f32,
    a: Mat<'_>,
    b: Mat<'_>,
    more: &[Addend<'_>],
    at: (usize, usize),
    beta: f32,
    c: &mut MatMut<'_>,
) {
    with(alpha, a, b, more, at, beta, c, run);
}

/// Shows the product to `run`, with room for what it packs.
#[allow(clippy::too_many_arguments)] // those of `product`
fn with(
    alpha: f32,
    a: Mat<'_>,
    b: Mat<'_>,
    more: &[Addend<'_>],
    at: (usize, usize),
    beta: f32,
    c: &mut MatMut<'_>,
    run: impl FnOnce(Job<'_>),
) {
    let job = Job {
        rows: c.rows,
        cols: c.cols,
        depth: a.cols,
        alpha,
        beta,
        a: View::of(a),
        b: View::of(b),
        c: c.start,
        c_row: c.row_stride,
        c_col: 1,
        more,
        at,
        room: std::ptr::null_mut(),
    };
    // A tile reads numbers of `a` that lie behind one another in `k`, and columns of `b`: the transpose may have both where the
    // product has neither.
    let job = if a.row_stride == 1 && a.col_stride != 1 && c.cols <= NARROW && c.cols < c.rows && more.is_empty() {
        let (a, b) = (job.b.t(), job.a.t());
        Job { rows: c.cols, cols: c.rows, a, b, c_row: 1, c_col: c.row_stride, ..job }
    } else {
        job
    };
    let deepest = more.iter().map(|more| more.a.cols).max().unwrap_or(0);
    // Slivers are rounded up to whole vectors.
    let room = (DEEP.min(job.depth) + deepest) * (BROAD + WIDEST).min(job.cols + WIDEST);
    scratch::with(room, |packed| run(Job { room: packed.as_mut_ptr(), ..job }));
}

multiversion! {
    fn run<S>(job: Job<'_>) {
        columns::<S>(job);
    }
}

/// All columns, up to where another product begins or ends to be added at a time.
#[inline(always)]
fn columns<S: Simd>(job: Job<'_>) {
    let mut first = 0;
    while first < job.cols {
        let from = job.at.1 + first;
        let edges = job.more.iter().flat_map(|more| [more.cols.start, more.cols.end]).filter(|&edge| edge > from);
        let end = edges.min().map_or(job.cols, |edge| job.cols.min(edge - job.at.1));
        blocks::<S>(job, first, end, job.more.iter().find(|more| more.cols.contains(&from)));
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
            // SAFETY: the block lies within the views, whose elements the caller may read and, of `c`, write; the room holds
            // the depth of both products times the columns rounded up to slivers.
            unsafe {
                let b = job.b.from(from, first);
                if packs {
                    pack::<S>(b, depth, cols, (wide, S::LANES), job.room);
                }
                let mut block = Block {
                    depth,
                    first,
                    cols,
                    wide,
                    packs,
                    a: job.a.from(0, from),
                    b,
                    beta: if from == 0 { job.beta } else { 1.0 },
                    more: (job.a, 0),
                };
                if let Some(more) = more
                    && from + depth >= job.depth
                {
                    let room = job.room.add(depth * cols.next_multiple_of(S::LANES));
                    let b = View::of(more.b).from(0, job.at.1 + first - more.cols.start);
                    pack::<S>(b, more.a.cols, cols, (wide, S::LANES), room);
                    block.more = (View::of(more.a).from(job.at.0, 0), more.a.cols);
                }
                strips::<S>(job, block, tall);
            }
            from += depth;
            if from >= job.depth {
                break;
            }
        }
    }
}

/// A stretch of `k` and of columns.
#[derive(Clone, Copy)]
struct Block {
    depth: usize,
    first: usize,
    cols: usize,
    wide: usize,
    packs: bool,
    a: View,
    b: View,
    beta: f32,
    /// Rows of another product, and its depth.
    more: (View, usize),
}

/// All rows of a block.
///
/// # Safety
/// The block must lie within the product, and be packed where it says so.
#[inline(always)]
unsafe fn strips<S: Simd>(job: Job<'_>, block: Block, tall: usize) {
    let mut row = 0;
    while row < job.rows {
        let left = job.rows - row;
        let height = if left > tall / 2 { tall } else { tall / 2 };
        for sliver in (0..block.cols).step_by(block.wide) {
            let cols = block.wide.min(block.cols - sliver);
            let full = cols.next_multiple_of(S::LANES);
            // SAFETY: rows and columns lie within the product.
            unsafe {
                let (b, b_next) = if block.packs {
                    (job.room.add(sliver * block.depth).cast_const(), full)
                } else {
                    (block.b.from(0, sliver).at, block.b.row)
                };
                let (more, deep) = block.more;
                let beside = job.room.wrapping_add(block.depth * block.cols.next_multiple_of(S::LANES) + sliver * deep);
                let tile = Tile {
                    parts: [
                        Part { depth: block.depth, a: block.a.from(row, 0), b, b_next },
                        Part {
                            depth: deep,
                            a: View { at: more.at.wrapping_add(row * more.row), ..more },
                            b: beside,
                            b_next: full,
                        },
                    ],
                    c: job.c.add(row * job.c_row + (block.first + sliver) * job.c_col),
                    c_row: job.c_row,
                    c_col: job.c_col,
                    rows: height.min(left),
                    cols,
                    alpha: job.alpha,
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
    use super::*;

    fn pattern(n: usize, salt: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + salt * 104_729) % 1009) as f32 / 504.5 - 1.0).collect()
    }

    /// The product at a level, whatever the machine's own is; its instructions must be there.
    fn at<S: Simd>(alpha: f32, a: Mat<'_>, b: Mat<'_>, more: &[Addend<'_>], beta: f32, c: &mut MatMut<'_>) {
        with(alpha, a, b, more, (0, 0), beta, c, |job| columns::<S>(job));
    }

    #[test]
    fn every_level_multiplies_as_the_definition_says_and_leaves_what_lies_beside_alone() {
        // Ragged everywhere; several blocks along k and along the columns; few rows; nothing to add up.
        for (m, n, k) in
            [(37, 53, 29), (9, 700, 5), (5, 64, 1300), (16, 48, 64), (3, 1, 7), (1, 100, 33), (4, 20, 0), (45, 16, 70)]
        {
            let (a, b, start) = (pattern(m * k, 1), pattern(k * n, 2), pattern(m * (n + 5), 3));
            // Another product on the last columns but one, and a third on the first few.
            let (u, v) = (pattern(m * 5, 4), pattern(5 * n, 5));
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
                    let mut found: Vec<(&str, Vec<f32>)> = Vec::new();
                    let mut run = |name, how: &dyn Fn(&mut MatMut<'_>)| {
                        let mut c = start.clone();
                        how(&mut MatMut::new(&mut c, m, n, n + 5));
                        found.push((name, c));
                    };
                    run("base", &|c| at::<Base>(0.5, left, right, more, beta, c));
                    #[cfg(target_arch = "x86_64")]
                    if super::super::super::simd::level() != super::super::super::simd::Level::Base {
                        run("avx2", &|c| at::<super::super::super::simd::Avx2>(0.5, left, right, more, beta, c));
                    }
                    let mut c = start.clone();
                    product(0.5, left, right, more, (0, 0), beta, &mut MatMut::new(&mut c, m, n, n + 5));
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
