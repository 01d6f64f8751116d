//! Matrix products for training: kernels behind checked views, split once over the threads. What an adapter adds to a product
//! is added while the product's sums are still in registers ([`gemm_with`]): a second pass over the result would cost more than
//! its multiplications.
//!
//! On AVX-512 and AVX2 the kernel is our own (`blocked`), which asks the system for no memory; elsewhere it is the `gemm` crate's,
//! which has `NEON` and portable ones. Each thread computes some columns of the result, or some rows where there are few columns,
//! by itself: the order of every sum is fixed by the shape and the number of threads, which exact resume needs.
//!
//! Rows are *not* invariant to the batch they stand in; inference uses [`rows`](super::rows) for that.
#![allow(unsafe_code)] // kernels take raw pointers; every view is bounds-checked when it is made

mod blocked;
pub(super) mod pack;

use std::marker::PhantomData;
use std::ops::Range;

use super::simd::{Level, level};

/// A read-only matrix over a slice: element `(i, j)` is at `i * row_stride + j * col_stride`.
#[derive(Clone, Copy, Debug)]
pub struct Mat<'a> {
    start: *const f32,
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
    life: PhantomData<&'a [f32]>,
}

// SAFETY: a `Mat` is a shared borrow of plain floats, as `&[f32]` is.
unsafe impl Send for Mat<'_> {}
// SAFETY: as above.
unsafe impl Sync for Mat<'_> {}

/// A matrix to write to, rows contiguous: element `(i, j)` is at `i * row_stride + j`.
pub struct MatMut<'a> {
    start: *mut f32,
    rows: usize,
    cols: usize,
    row_stride: usize,
    life: PhantomData<&'a mut [f32]>,
}

// SAFETY: a `MatMut` is an exclusive borrow of its elements, as `&mut [f32]` is.
unsafe impl Send for MatMut<'_> {}

impl<'a> Mat<'a> {
    /// `[rows, cols]` with rows `stride` apart.
    ///
    /// # Panics
    /// When the slice is too short: a mistake of the calling kernel, never of a user.
    #[must_use]
    pub fn new(data: &'a [f32], rows: usize, cols: usize, stride: usize) -> Self {
        assert!(rows == 0 || cols == 0 || (rows - 1) * stride + cols <= data.len(), "matrix view beyond its slice");
        Self { start: data.as_ptr(), rows, cols, row_stride: stride, col_stride: 1, life: PhantomData }
    }

    /// A contiguous `[rows, cols]`.
    #[must_use]
    pub fn full(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::new(data, rows, cols, cols)
    }

    /// The transpose.
    #[must_use]
    pub fn t(self) -> Self {
        Self { rows: self.cols, cols: self.rows, row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }

    /// A view from raw parts.
    ///
    /// # Safety
    /// Every element of the view must stay readable and unwritten for `'a`.
    #[must_use]
    pub unsafe fn from_raw(start: *const f32, rows: usize, cols: usize, stride: usize) -> Self {
        Self { start, rows, cols, row_stride: stride, col_stride: 1, life: PhantomData }
    }

    fn rows_from(self, first: usize, rows: usize) -> Self {
        debug_assert!(first + rows <= self.rows);
        Self { start: self.start.wrapping_add(first * self.row_stride), rows, ..self }
    }

    fn cols_from(self, first: usize, cols: usize) -> Self {
        debug_assert!(first + cols <= self.cols);
        Self { start: self.start.wrapping_add(first * self.col_stride), cols, ..self }
    }
}

impl<'a> MatMut<'a> {
    /// `[rows, cols]` with rows `stride` apart.
    ///
    /// # Panics
    /// When the slice is too short: a mistake of the calling kernel, never of a user.
    #[must_use]
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize, stride: usize) -> Self {
        assert!(rows == 0 || cols == 0 || (rows - 1) * stride + cols <= data.len(), "matrix view beyond its slice");
        Self { start: data.as_mut_ptr(), rows, cols, row_stride: stride, life: PhantomData }
    }

    /// A contiguous `[rows, cols]`.
    #[must_use]
    pub fn full(data: &'a mut [f32], rows: usize, cols: usize) -> Self {
        Self::new(data, rows, cols, cols)
    }

    /// A view from raw parts.
    ///
    /// # Safety
    /// Every element of the view must be writable by this view alone for `'a`.
    #[must_use]
    pub unsafe fn from_raw(start: *mut f32, rows: usize, cols: usize, stride: usize) -> Self {
        Self { start, rows, cols, row_stride: stride, life: PhantomData }
    }

    fn split_rows(self, at: usize) -> (Self, Self) {
        debug_assert!(at <= self.rows);
        // SAFETY: both halves lie inside the view and share no element.
        let below = unsafe { self.start.add(at * self.row_stride) };
        (Self { rows: at, ..self }, Self { start: below, rows: self.rows - at, ..self })
    }

    fn split_cols(self, at: usize) -> (Self, Self) {
        debug_assert!(at <= self.cols);
        // SAFETY: both halves lie inside the view and share no element.
        let right = unsafe { self.start.add(at) };
        (Self { cols: at, ..self }, Self { start: right, cols: self.cols - at, ..self })
    }
}

/// A product that is added to some columns of another's result: `c[:, cols] += a b`.
#[derive(Clone, Debug)]
pub struct Addend<'a> {
    pub cols: Range<usize>,
    pub a: Mat<'a>,
    pub b: Mat<'a>,
}

impl Default for Addend<'_> {
    fn default() -> Self {
        Self { cols: 0..0, a: Mat::full(&[], 0, 0), b: Mat::full(&[], 0, 0) }
    }
}

/// `c = alpha * a b + beta * c` on the calling thread. With `beta` 0, what `c` held is not read.
///
/// # Panics
/// When the shapes do not fit: a mistake of the calling kernel.
pub fn gemm_here(alpha: f32, a: Mat<'_>, b: Mat<'_>, beta: f32, c: MatMut<'_>) {
    Product::new(alpha, a, b, beta, &c).here(c);
}

/// `c = alpha * a b + beta * c` over all threads of the current pool. With `beta` 0, what `c` held is not read.
///
/// # Panics
/// When the shapes do not fit: a mistake of the calling kernel.
pub fn gemm(alpha: f32, a: Mat<'_>, b: Mat<'_>, beta: f32, c: MatMut<'_>) {
    Product::new(alpha, a, b, beta, &c).over_threads(c);
}

/// `c = a b + more + beta * c` over all threads of the current pool, in one pass over `c`, whose columns are those from `first`
/// on that the addends speak of. Addends' columns must not overlap. With `beta` 0, what `c` held is not read.
///
/// # Panics
/// When the shapes do not fit: a mistake of the calling kernel.
pub fn gemm_with(a: Mat<'_>, b: Mat<'_>, more: &[Addend<'_>], first: usize, beta: f32, c: MatMut<'_>) {
    for (i, m) in more.iter().enumerate() {
        assert!(m.a.rows == c.rows && m.a.cols == m.b.rows && m.b.cols == m.cols.len(), "addend of another shape");
        let apart = |other: &Addend<'_>| other.cols.end <= m.cols.start || m.cols.end <= other.cols.start;
        assert!(more[..i].iter().all(apart), "addends on the same columns");
    }
    Product { more, at: (0, first), ..Product::new(1.0, a, b, beta, &c) }.over_threads(c);
}

/// Columns on each side from which on a result is split by columns, whatever its rows: each part then lays out its own of `b`.
const SIDE: usize = 96;

/// What a result becomes, `c = alpha * (a b + more) + beta * c`: all of it, or the rows and columns that one thread computes.
#[derive(Clone, Copy, Debug)]
struct Product<'a> {
    alpha: f32,
    a: Mat<'a>,
    b: Mat<'a>,
    more: &'a [Addend<'a>],
    /// The row and the column of what the addends are added to where this begins.
    at: (usize, usize),
    /// With 0, what `c` held is not read.
    beta: f32,
}

impl<'a> Product<'a> {
    fn new(alpha: f32, a: Mat<'a>, b: Mat<'a>, beta: f32, c: &MatMut<'_>) -> Self {
        assert!(a.rows == c.rows && b.cols == c.cols && a.cols == b.rows, "matrix product of unlike shapes");
        Self { alpha, a, b, more: &[], at: (0, 0), beta }
    }

    fn rows_from(self, first: usize, rows: usize) -> Self {
        Self { a: self.a.rows_from(first, rows), at: (self.at.0 + first, self.at.1), ..self }
    }

    fn cols_from(self, first: usize, cols: usize) -> Self {
        Self { b: self.b.cols_from(first, cols), at: (self.at.0, self.at.1 + first), ..self }
    }

    fn over_threads(self, c: MatMut<'_>) {
        let work = c.rows * c.cols * self.a.cols;
        self.split(if work < 1 << 16 { 1 } else { rayon::current_num_threads() }, c);
    }

    fn split(self, parts: usize, c: MatMut<'_>) {
        // Whole tiles of 16 go to each side, so that no thread is left with a ragged sliver.
        const TILE: usize = 16;
        let by_rows = c.rows >= c.cols && c.cols < 2 * SIDE;
        let longer = if by_rows { c.rows } else { c.cols };
        if parts < 2 || longer < 2 * TILE {
            return self.here(c);
        }
        let first = parts / 2;
        let half = ((longer * first / parts).div_ceil(TILE) * TILE).min(longer);
        let ((one, c1), (other, c2)) = if by_rows {
            let (above, below) = (self.rows_from(0, half), self.rows_from(half, longer - half));
            let (c1, c2) = c.split_rows(half);
            ((above, c1), (below, c2))
        } else {
            let (left, right) = (self.cols_from(0, half), self.cols_from(half, longer - half));
            let (c1, c2) = c.split_cols(half);
            ((left, c1), (right, c2))
        };
        rayon::join(|| one.split(first, c1), || other.split(parts - first, c2));
    }

    /// On the calling thread.
    fn here(self, mut c: MatMut<'_>) {
        if c.rows == 0 || c.cols == 0 {
            return;
        }
        if level() == Level::Base { self.portable(&mut c) } else { blocked::product(self, &mut c) }
    }

    /// [`Product::here`] by the `gemm` crate.
    fn portable(self, c: &mut MatMut<'_>) {
        crates(self.alpha, self.a, self.b, self.beta, c);
        let (row, column) = self.at;
        for more in self.more {
            let (from, to) = (more.cols.start.max(column), more.cols.end.min(column + c.cols));
            if from < to {
                // SAFETY: the columns lie within `c`, which is not used meanwhile.
                let mut c = unsafe { MatMut::from_raw(c.start.add(from - column), c.rows, to - from, c.row_stride) };
                let b = more.b.cols_from(from - more.cols.start, to - from);
                crates(self.alpha, more.a.rows_from(row, c.rows), b, 1.0, &mut c);
            }
        }
    }
}

/// `c = alpha * a b + beta * c` by the `gemm` crate, on the calling thread.
fn crates(alpha: f32, a: Mat<'_>, b: Mat<'_>, beta: f32, c: &mut MatMut<'_>) {
    let keep = beta != 0.0;
    // SAFETY: the views are in bounds by construction and `c` is exclusively borrowed. gemm computes
    // `dst = dst_factor * dst + product_factor * lhs rhs`.
    unsafe {
        gemm::gemm(
            c.rows,
            c.cols,
            a.cols,
            c.start,
            1,
            c.row_stride as isize,
            keep,
            a.start,
            a.col_stride as isize,
            a.row_stride as isize,
            b.start,
            b.col_stride as isize,
            b.row_stride as isize,
            beta,
            alpha,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ops::fixture::numbers;

    #[test]
    fn products_of_all_orientations_match_the_definition() {
        let (m, n, k) = (37, 53, 29);
        let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
        let transposed =
            |x: &[f32], r: usize, c: usize| -> Vec<f32> { (0..r * c).map(|i| x[(i % r) * c + i / r]).collect() };
        let (at, bt) = (transposed(&a, m, k), transposed(&b, k, n));
        let start = numbers(m * n, 3);
        for (left, right) in [
            (Mat::full(&a, m, k), Mat::full(&b, k, n)),
            (Mat::full(&at, k, m).t(), Mat::full(&b, k, n)),
            (Mat::full(&a, m, k), Mat::full(&bt, n, k).t()),
        ] {
            let mut c = start.clone();
            gemm(0.5, left, right, 2.0, MatMut::full(&mut c, m, n));
            for i in 0..m {
                for j in 0..n {
                    let sum: f64 = (0..k).map(|p| f64::from(a[i * k + p]) * f64::from(b[p * n + j])).sum();
                    let want = 0.5 * sum + 2.0 * f64::from(start[i * n + j]);
                    assert!((f64::from(c[i * n + j]) - want).abs() < 1e-4, "({i}, {j}): {} for {want}", c[i * n + j]);
                }
            }
        }
    }

    #[test]
    fn a_zero_beta_does_not_read_the_target() {
        let (a, b) = (numbers(64 * 64, 1), numbers(64 * 64, 2));
        let mut c = vec![f32::NAN; 64 * 64];
        gemm(1.0, Mat::full(&a, 64, 64), Mat::full(&b, 64, 64), 0.0, MatMut::full(&mut c, 64, 64));
        assert!(c.iter().all(|x| x.is_finite()));
    }

    #[test]
    fn what_is_added_falls_on_its_columns_however_the_product_is_split() {
        // By columns, by rows, and not at all; the last one is a stretch of a wider result.
        for (m, n, k, first) in [(40, 500, 33, 0), (300, 40, 33, 0), (5, 20, 9, 0), (70, 250, 20, 130)] {
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            let whole = n + first + 7;
            let (u, v) = (numbers(m * 6, 3), numbers(4 * whole, 4));
            let cuts = [3, whole / 2, whole - 5];
            let more = [
                Addend {
                    cols: cuts[0]..cuts[1],
                    a: Mat::new(&u, m, 4, 6),
                    b: Mat::new(&v, 4, cuts[1] - cuts[0], whole),
                },
                Addend {
                    cols: cuts[1]..cuts[2],
                    a: Mat::new(&u[4..], m, 2, 6),
                    b: Mat::full(&v, cuts[2] - cuts[1], 2).t(),
                },
            ];
            let product = Product {
                alpha: 1.0,
                a: Mat::full(&a, m, k),
                b: Mat::full(&b, k, n),
                more: &more,
                at: (0, first),
                beta: 2.0,
            };
            let run = |parts: usize| {
                let mut c = vec![0.5; m * n];
                product.split(parts, MatMut::full(&mut c, m, n));
                c
            };
            let mut portable = vec![0.5; m * n];
            product.portable(&mut MatMut::full(&mut portable, m, n));
            let added = |i: usize, j: usize| -> f32 {
                if (cuts[0]..cuts[1]).contains(&j) {
                    (0..4).map(|p| u[i * 6 + p] * v[p * whole + j - cuts[0]]).sum()
                } else if (cuts[1]..cuts[2]).contains(&j) {
                    (0..2).map(|p| u[i * 6 + 4 + p] * v[(j - cuts[1]) * 2 + p]).sum()
                } else {
                    0.0
                }
            };
            for (parts, found) in [(0, portable), (1, run(1)), (2, run(2)), (3, run(3)), (8, run(8))] {
                for (at, got) in found.into_iter().enumerate() {
                    let (i, j) = (at / n, at % n);
                    let sum: f32 = (0..k).map(|p| a[i * k + p] * b[p * n + j]).sum();
                    let want = 1.0 + sum + added(i, j + first);
                    assert!((got - want).abs() < 1e-4, "{m}x{n} in {parts} parts ({i}, {j}): {got} for {want}");
                }
            }
        }
    }
}
