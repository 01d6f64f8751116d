//! The product itself on one thread, for processors with AVX2 or AVX-512: packed stretches of `b`, tiles in registers.
//!
//! The loops are those of Goto & van de Geijn (2008, "Anatomy of high-performance matrix multiplication", section 4): a block of
//! `b` that the second-level cache holds is laid out in slivers as wide as a tile, and tiles of rows of `a` pass by it. `a` is
//! read where it lies: a tile takes one number of each row at a time, which needs no order.
//!
//! The order of every sum is fixed by the shape: along `k` in blocks of nearly equal length.

#![allow(clippy::inline_always)] // A body not inlined into its wrapper would be compiled without the wrapper's instructions.

use super::super::scratch;
use super::super::simd::Simd;
use super::{Mat, MatMut};
use crate::multiversion;

/// Most of `k` in a block: a sliver of 48 columns is then 120 KiB, which streams from the second-level cache.
const DEEP: usize = 640;
/// Most columns in a block: 840 KiB with the above, of a second-level cache of a megabyte.
const BROAD: usize = 336;
/// Most columns of a tile at any level.
const WIDEST: usize = 48;

/// Rows and vectors of the largest tile: as many sums as registers hold beside what is multiplied, enough to hide what an addition
/// waits for.
#[inline(always)]
fn largest<S: Simd>() -> (usize, usize) {
    match S::LANES {
        16 => (8, 3),
        8 => (6, 2),
        _ => (4, 2),
    }
}

/// One product, as pointers.
#[derive(Clone, Copy)]
struct Job {
    rows: usize,
    cols: usize,
    depth: usize,
    alpha: f32,
    beta: f32,
    a: *const f32,
    /// Steps from a row, and from a number of `k`, to the next.
    a_row: usize,
    a_next: usize,
    b: *const f32,
    b_next: usize,
    b_col: usize,
    c: *mut f32,
    c_row: usize,
    /// Room for a packed block.
    room: *mut f32,
}

impl Job {
    /// `c = alpha * a b + beta * c`, blocks being packed into `room`.
    fn of(alpha: f32, a: Mat<'_>, b: Mat<'_>, beta: f32, c: &mut MatMut<'_>, room: &mut [f32]) -> Self {
        Self {
            rows: c.rows,
            cols: c.cols,
            depth: a.cols,
            alpha,
            beta,
            a: a.start,
            a_row: a.row_stride,
            a_next: a.col_stride,
            b: b.start,
            b_next: b.row_stride,
            b_col: b.col_stride,
            c: c.start,
            c_row: c.row_stride,
            room: room.as_mut_ptr(),
        }
    }
}

/// `c = alpha * a b + beta * c`, shapes checked by the caller. With `beta` 0, what `c` held is not read.
pub(super) fn product(alpha: f32, a: Mat<'_>, b: Mat<'_>, beta: f32, mut c: MatMut<'_>) {
    // Slivers are rounded up to whole vectors.
    let room = DEEP.min(a.cols) * (BROAD + WIDEST).min(c.cols + WIDEST);
    scratch::with(room, |packed| run(Job::of(alpha, a, b, beta, &mut c, packed)));
}

multiversion! {
    fn run<S>(job: Job) {
        blocks::<S>(job);
    }
}

#[inline(always)]
fn blocks<S: Simd>(job: Job) {
    let (tall, vectors) = largest::<S>();
    let slivers = job.cols.div_ceil(vectors * S::LANES);
    // Slivers of nearly equal width: 64 columns are 32 and 32 rather than 48 and 16.
    let wide = job.cols.div_ceil(slivers).next_multiple_of(S::LANES);
    let most = (BROAD / wide).max(1);
    let broad = slivers.div_ceil(slivers.div_ceil(most)) * wide;
    let deep = job.depth.div_ceil(job.depth.div_ceil(DEEP).max(1)).max(1);
    // Packing pays where what is packed is used several times.
    let packs = job.b_col != 1 || job.rows > 2 * tall || !job.cols.is_multiple_of(S::LANES);
    for first in (0..job.cols).step_by(broad) {
        let cols = broad.min(job.cols - first);
        let mut from = 0;
        loop {
            let depth = deep.min(job.depth - from);
            // SAFETY: the block lies within the views, whose elements the caller may read and, of `c`, write; the room holds
            // `depth` times the columns rounded up to slivers.
            unsafe {
                if packs {
                    pack::<S>(job, from, depth, first, cols, wide);
                }
                let beta = if from == 0 { job.beta } else { 1.0 };
                let block = Block { from, depth, first, cols, wide, packs, beta };
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
    from: usize,
    depth: usize,
    first: usize,
    cols: usize,
    wide: usize,
    packs: bool,
    beta: f32,
}

/// All rows of a block.
///
/// # Safety
/// The block must lie within the product, and be packed where it says so.
#[inline(always)]
unsafe fn strips<S: Simd>(job: Job, block: Block, tall: usize) {
    let mut row = 0;
    while row < job.rows {
        let left = job.rows - row;
        let height = if left > tall / 2 { tall } else { tall / 2 };
        for sliver in (0..block.cols).step_by(block.wide) {
            let cols = block.wide.min(block.cols - sliver);
            // SAFETY: rows and columns lie within the product.
            unsafe {
                let (b, b_next) = if block.packs {
                    (job.room.add(sliver * block.depth).cast_const(), cols.next_multiple_of(S::LANES))
                } else {
                    (job.b.add(block.from * job.b_next + block.first + sliver), job.b_next)
                };
                let tile = Tile {
                    depth: block.depth,
                    a: job.a.add(row * job.a_row + block.from * job.a_next),
                    a_row: job.a_row,
                    a_next: job.a_next,
                    b,
                    b_next,
                    c: job.c.add(row * job.c_row + block.first + sliver),
                    c_row: job.c_row,
                    rows: height.min(left),
                    cols,
                    alpha: job.alpha,
                    beta: block.beta,
                };
                match (S::LANES, height, cols.div_ceil(S::LANES)) {
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

/// Lays a block of `b` out in slivers: of each number of `k` the columns of a sliver, filled up with zeros to whole vectors.
///
/// # Safety
/// The block must lie within `b`, and the room hold it.
#[inline(always)]
unsafe fn pack<S: Simd>(job: Job, from: usize, depth: usize, first: usize, cols: usize, wide: usize) {
    for sliver in (0..cols).step_by(wide) {
        let width = wide.min(cols - sliver);
        let full = width.next_multiple_of(S::LANES);
        // SAFETY: the caller's promise.
        unsafe {
            let to = job.room.add(sliver * depth);
            let b = job.b.add(from * job.b_next + (first + sliver) * job.b_col);
            if job.b_col == 1 {
                for p in 0..depth {
                    let (b, to) = (b.add(p * job.b_next), to.add(p * full));
                    let mut at = 0;
                    while at + S::LANES <= width {
                        S::store(to.add(at), S::load(b.add(at)));
                        at += S::LANES;
                    }
                    if at < width {
                        S::store(to.add(at), S::load_part(b.add(at), width - at));
                    }
                }
                continue;
            }
            let mut column = 0;
            while job.b_next == 1 && column + 4 <= width {
                let b = b.add(column * job.b_col);
                let mut p = 0;
                while p + 4 <= depth {
                    turn(b.add(p), job.b_col, to.add(p * full + column), full);
                    p += 4;
                }
                for p in p..depth {
                    for c in 0..4 {
                        *to.add(p * full + column + c) = *b.add(c * job.b_col + p);
                    }
                }
                column += 4;
            }
            for column in column..full {
                for p in 0..depth {
                    let at = column * job.b_col + p * job.b_next;
                    *to.add(p * full + column) = if column < width { *b.add(at) } else { 0.0 };
                }
            }
        }
    }
}

/// Four rows of four, transposed.
///
/// # Safety
/// All sixteen must be there on either side.
#[inline(always)]
unsafe fn turn(from: *const f32, stride: usize, to: *mut f32, to_stride: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let a = from.cast::<[f32; 4]>().read_unaligned();
        let b = from.add(stride).cast::<[f32; 4]>().read_unaligned();
        let c = from.add(2 * stride).cast::<[f32; 4]>().read_unaligned();
        let d = from.add(3 * stride).cast::<[f32; 4]>().read_unaligned();
        for i in 0..4 {
            to.add(i * to_stride).cast::<[f32; 4]>().write_unaligned([a[i], b[i], c[i], d[i]]);
        }
    }
}

/// Some rows and columns of the result.
#[derive(Clone, Copy)]
struct Tile {
    depth: usize,
    a: *const f32,
    a_row: usize,
    a_next: usize,
    b: *const f32,
    b_next: usize,
    c: *mut f32,
    c_row: usize,
    rows: usize,
    cols: usize,
    alpha: f32,
    beta: f32,
}

impl Tile {
    /// `M` rows, of which `rows` are there, and `N` vectors.
    ///
    /// # Safety
    /// All that it names must be there; `b` in whole vectors.
    #[inline(always)]
    unsafe fn run<S: Simd, const M: usize, const N: usize>(self) {
        // Rows that are not there are read as the last one that is, and not written.
        let mut at = [0usize; M];
        for (m, at) in at.iter_mut().enumerate() {
            *at = m.min(self.rows - 1) * self.a_row;
        }
        let mut sums = [[S::splat(0.0); N]; M];
        let (mut a, mut b) = (self.a, self.b);
        // SAFETY: the caller's promise.
        unsafe {
            for _ in 0..self.depth {
                let mut right = [S::splat(0.0); N];
                for (n, right) in right.iter_mut().enumerate() {
                    *right = S::load(b.add(n * S::LANES));
                }
                for (sums, &at) in sums.iter_mut().zip(&at) {
                    let left = S::splat(*a.add(at));
                    for (sum, right) in sums.iter_mut().zip(right) {
                        *sum = S::mul_add(left, right, *sum);
                    }
                }
                // Past the last one nothing is read.
                a = a.wrapping_add(self.a_next);
                b = b.wrapping_add(self.b_next);
            }
            let (alpha, beta) = (S::splat(self.alpha), S::splat(self.beta));
            for (m, sums) in sums.iter().enumerate().take(self.rows) {
                let row = self.c.add(m * self.c_row);
                for (n, sum) in sums.iter().enumerate() {
                    let (c, left) = (row.add(n * S::LANES), self.cols - n * S::LANES);
                    let sum = S::mul(*sum, alpha);
                    let whole = left >= S::LANES;
                    let sum = match (self.beta == 0.0, whole) {
                        (true, _) => sum,
                        (_, true) => S::mul_add(S::load(c), beta, sum),
                        (_, false) => S::mul_add(S::load_part(c, left), beta, sum),
                    };
                    if whole {
                        S::store(c, sum);
                    } else {
                        let mut part = [0f32; 16];
                        S::store(part.as_mut_ptr(), sum);
                        std::ptr::copy_nonoverlapping(part.as_ptr(), c, left);
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
    fn at<S: Simd>(alpha: f32, a: Mat<'_>, b: Mat<'_>, beta: f32, c: &mut MatMut<'_>) {
        let mut room = vec![f32::NAN; DEEP * (BROAD + WIDEST)];
        blocks::<S>(Job::of(alpha, a, b, beta, c, &mut room));
    }

    #[test]
    fn every_level_multiplies_as_the_definition_says_and_leaves_what_lies_beside_alone() {
        // Ragged everywhere; several blocks along k and along the columns; few rows; nothing to add up.
        for (m, n, k) in [(37, 53, 29), (9, 700, 5), (5, 64, 1300), (16, 48, 64), (3, 1, 7), (1, 100, 33), (4, 20, 0)] {
            let (a, b, start) = (pattern(m * k, 1), pattern(k * n, 2), pattern(m * (n + 5), 3));
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
                for beta in [0.0, 2.0] {
                    let mut found: Vec<(&str, Vec<f32>)> = Vec::new();
                    let mut run = |name, how: &dyn Fn(&mut MatMut<'_>)| {
                        let mut c = start.clone();
                        how(&mut MatMut::new(&mut c, m, n, n + 5));
                        found.push((name, c));
                    };
                    run("base", &|c| at::<Base>(0.5, left, right, beta, c));
                    #[cfg(target_arch = "x86_64")]
                    if super::super::super::simd::level() != super::super::super::simd::Level::Base {
                        run("avx2", &|c| at::<super::super::super::simd::Avx2>(0.5, left, right, beta, c));
                    }
                    let mut c = start.clone();
                    product(0.5, left, right, beta, MatMut::new(&mut c, m, n, n + 5));
                    found.push(("chosen", c));
                    for (level, c) in found {
                        for i in 0..m {
                            for j in 0..n + 5 {
                                let (got, before) = (f64::from(c[i * (n + 5) + j]), f64::from(start[i * (n + 5) + j]));
                                let want = if j < n { 0.5 * element(i, j) + f64::from(beta) * before } else { before };
                                assert!((got - want).abs() < 1e-3, "{level} {m}x{n}x{k} ({i}, {j}): {got} for {want}");
                            }
                        }
                    }
                }
            }
        }
    }
}
