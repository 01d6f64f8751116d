//! Laying a matrix out for a kernel that multiplies whole vectors of its columns.

#![allow(clippy::inline_always)] // A body not inlined into its wrapper would be compiled without the wrapper's instructions.

use super::super::simd::Simd;
use super::Mat;

/// Rows that are asked for before they are packed.
const AHEAD: usize = 4;

/// A matrix to read, as a pointer, with the steps from a row and from a column to the next.
#[derive(Clone, Copy)]
pub(in super::super) struct View {
    pub at: *const f32,
    pub row: usize,
    pub col: usize,
}

impl View {
    pub fn of(mat: Mat<'_>) -> Self {
        Self { at: mat.start, row: mat.row_stride, col: mat.col_stride }
    }

    pub fn t(self) -> Self {
        Self { row: self.col, col: self.row, ..self }
    }

    /// The view from an element on.
    #[inline(always)]
    pub fn from(self, row: usize, col: usize) -> Self {
        Self { at: self.at.wrapping_add(row * self.row + col * self.col), ..self }
    }
}

/// Lays `depth` rows of `b` out in slivers, `wide` of `cols` columns in each: of each row the columns of a sliver, filled up to a
/// multiple of `unit`, which a vector divides. What fills a vector up is zeros. `ask` is for what comes next, ahead of it.
///
/// # Safety
/// The rows and columns must lie within `b`, and the room hold them.
#[inline(always)]
pub(in super::super) unsafe fn pack<S: Simd>(
    b: View,
    depth: usize,
    cols: usize,
    (wide, unit): (usize, usize),
    ask: bool,
    room: *mut f32,
) {
    if b.col == 1 {
        // Row by row, as they lie.
        for p in 0..depth {
            for sliver in (0..cols).step_by(wide) {
                let width = wide.min(cols - sliver);
                // SAFETY: the caller's promise; what is asked for ahead may lie anywhere.
                unsafe {
                    let from = b.from(p, sliver).at;
                    let to = room.add(sliver * depth + p * width.next_multiple_of(unit));
                    let mut at = 0;
                    while at + S::LANES <= width {
                        if ask {
                            S::prefetch(from.wrapping_add(AHEAD * b.row + at));
                        }
                        S::store(to.add(at), S::load(from.add(at)));
                        at += S::LANES;
                    }
                    if at < width {
                        S::store(to.add(at), S::load_part(from.add(at), width - at));
                    }
                }
            }
        }
        return;
    }
    for sliver in (0..cols).step_by(wide) {
        let width = wide.min(cols - sliver);
        let full = width.next_multiple_of(unit);
        // SAFETY: the caller's promise.
        unsafe {
            let (to, b, b_col) = (room.add(sliver * depth), b.from(0, sliver), b.col);
            let mut column = 0;
            while b.row == 1 && column + 4 <= width {
                let some = if column + S::LANES <= width { S::LANES } else { 4 };
                let b = b.from(0, column).at;
                let mut p = 0;
                while p + S::LANES <= depth {
                    if some == 4 {
                        S::turn(b.add(p), b_col, to.add(p * full + column), full);
                    } else {
                        // The next sliver's columns, most likely.
                        for column in if ask { wide..wide + some } else { 0..0 } {
                            S::prefetch(b.wrapping_add(p + column * b_col));
                        }
                        S::turn_square(b.add(p), b_col, to.add(p * full + column), full);
                    }
                    p += S::LANES;
                }
                for p in p..depth {
                    for c in 0..some {
                        *to.add(p * full + column + c) = *b.add(c * b_col + p);
                    }
                }
                column += some;
            }
            for column in column..full {
                for p in 0..depth {
                    *to.add(p * full + column) = if column < width { *b.from(p, column).at } else { 0.0 };
                }
            }
        }
    }
}
