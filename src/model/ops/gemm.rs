//! Matrix products for training: kernels behind checked views, split once over the threads.
//!
//! On AVX-512 and AVX2 the kernel is our own (`blocked`), which asks the system for no memory; elsewhere it is the `gemm` crate's,
//! which has `NEON` and portable ones. Splitting the larger output side into one single-threaded product a thread keeps the
//! order of every sum fixed for a given shape and thread count, which exact resume needs.
//!
//! Rows are *not* invariant to the batch they stand in; inference uses [`rows`](super::rows) for that.
#![allow(unsafe_code)] // kernels take raw pointers; every view is bounds-checked when it is made

mod blocked;

use std::marker::PhantomData;

use super::simd::{Level, level};

/// A read-only matrix over a slice: element `(i, j)` is at `i * row_stride + j * col_stride`.
#[derive(Clone, Copy)]
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
        // SAFETY: row `first` lies inside the view.
        Self { start: unsafe { self.start.add(first * self.row_stride) }, rows, ..self }
    }

    fn cols_from(self, first: usize, cols: usize) -> Self {
        debug_assert!(first + cols <= self.cols);
        // SAFETY: column `first` lies inside the view.
        Self { start: unsafe { self.start.add(first * self.col_stride) }, cols, ..self }
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

/// `c = alpha * a b + beta * c` on the calling thread. With `beta` 0, what `c` held is not read.
///
/// # Panics
/// When the shapes do not fit: a mistake of the calling kernel.
#[allow(clippy::needless_pass_by_value)] // an exclusive view is used up
pub fn gemm_here(alpha: f32, a: Mat<'_>, b: Mat<'_>, beta: f32, c: MatMut<'_>) {
    assert!(a.rows == c.rows && b.cols == c.cols && a.cols == b.rows, "matrix product of unlike shapes");
    if c.rows == 0 || c.cols == 0 {
        return;
    }
    if level() != Level::Base {
        return blocked::product(alpha, a, b, beta, c);
    }
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

/// `c = alpha * a b + beta * c` over all threads of the current pool. With `beta` 0, what `c` held is not read.
pub fn gemm(alpha: f32, a: Mat<'_>, b: Mat<'_>, beta: f32, c: MatMut<'_>) {
    let work = c.rows * c.cols * a.cols;
    let parts = if work < 1 << 16 { 1 } else { rayon::current_num_threads() };
    split(parts, alpha, a, b, beta, c);
}

#[allow(clippy::needless_pass_by_value)] // an exclusive view is used up
fn split(parts: usize, alpha: f32, a: Mat<'_>, b: Mat<'_>, beta: f32, c: MatMut<'_>) {
    // Whole tiles of 16 go to each side, so that no thread is left with a ragged sliver.
    const TILE: usize = 16;
    let longer = c.rows.max(c.cols);
    if parts < 2 || longer < 2 * TILE {
        return gemm_here(alpha, a, b, beta, c);
    }
    let first = parts / 2;
    let at = (longer * first / parts).div_ceil(TILE) * TILE;
    let at = at.min(longer);
    if c.rows >= c.cols {
        let (a1, a2) = (a.rows_from(0, at), a.rows_from(at, a.rows - at));
        let (c1, c2) = c.split_rows(at);
        rayon::join(|| split(first, alpha, a1, b, beta, c1), || split(parts - first, alpha, a2, b, beta, c2));
    } else {
        let (b1, b2) = (b.cols_from(0, at), b.cols_from(at, b.cols - at));
        let (c1, c2) = c.split_cols(at);
        rayon::join(|| split(first, alpha, a, b1, beta, c1), || split(parts - first, alpha, a, b2, beta, c2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(n: usize, salt: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + salt * 104_729) % 1009) as f32 / 504.5 - 1.0).collect()
    }

    #[test]
    fn products_of_all_orientations_match_the_definition() {
        let (m, n, k) = (37, 53, 29);
        let (a, b) = (pattern(m * k, 1), pattern(k * n, 2));
        let transposed =
            |x: &[f32], r: usize, c: usize| -> Vec<f32> { (0..r * c).map(|i| x[(i % r) * c + i / r]).collect() };
        let (at, bt) = (transposed(&a, m, k), transposed(&b, k, n));
        let start = pattern(m * n, 3);
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
        let (a, b) = (pattern(64 * 64, 1), pattern(64 * 64, 2));
        let mut c = vec![f32::NAN; 64 * 64];
        gemm(1.0, Mat::full(&a, 64, 64), Mat::full(&b, 64, 64), 0.0, MatMut::full(&mut c, 64, 64));
        assert!(c.iter().all(|x| x.is_finite()));
    }
}
