//! Products of row-major matrices as cuBLAS takes them: by columns.
//!
//! A matrix in rows is its transpose in columns. So `c = a b` in rows is `c^T = b^T a^T` in columns: operands change places, and
//! an operand that takes part as it lies in rows is, in columns, already the transpose that is wanted. Nothing is moved.

use super::{Address, Gemm, Kind, Operand, Span};

/// A matrix in columns, `stride` numbers from one to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Layout {
    pub kind: Kind,
    pub rows: u64,
    pub cols: u64,
    pub stride: i64,
    /// Whether its transpose takes part.
    pub turned: bool,
    /// Bytes that its address is a multiple of, 256 at most: what an algorithm may rely on.
    pub aligned: u32,
}

/// A product's form apart from factors and addresses: what an algorithm is chosen by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Form {
    pub left: Layout,
    pub right: Layout,
    pub result: Layout,
}

/// A product by columns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Columns {
    pub form: Form,
    pub left: Address,
    pub right: Address,
    pub result: Address,
}

/// The same product by columns.
///
/// # Errors
/// When kinds do not go together, or a matrix does not lie within its span.
pub(super) fn columns(gemm: &Gemm) -> Result<Columns, String> {
    let Gemm { m, n, k, a, b, c, c_stride, .. } = *gemm;
    let kinds = (a.span.kind, b.span.kind, c.kind);
    if !matches!(kinds, (Kind::F32, Kind::F32, Kind::F32) | (Kind::Bf16, Kind::Bf16, Kind::Bf16 | Kind::F32)) {
        return Err(format!("no product of {} and {} gives {}", kinds.0, kinds.1, kinds.2));
    }
    let c = Operand { span: c, stride: c_stride, turned: false };
    let form = Form { left: layout(b, k, n)?, right: layout(a, m, k)?, result: layout(c, m, n)? };
    Ok(Columns { form, left: b.span.at, right: a.span.at, result: c.span.at })
}

/// An operand that is `[rows, cols]` when it takes part.
fn layout(operand: Operand, rows: usize, cols: usize) -> Result<Layout, String> {
    let Operand { span, stride, turned } = operand;
    let (lying, long) = if turned { (cols, rows) } else { (rows, cols) };
    let reach = lying.saturating_sub(1).saturating_mul(stride).saturating_add(long);
    if stride < long || reach > span.len {
        return Err(format!("{lying} rows of {long}, {stride} apart, do not lie in {} numbers", span.len));
    }
    let stride = i64::try_from(stride).map_err(|_| format!("rows {stride} apart"))?;
    // Rows of `long` numbers are columns of `long` numbers.
    Ok(Layout { kind: span.kind, rows: long as u64, cols: lying as u64, stride, turned, aligned: alignment(span) })
}

fn alignment(span: Span) -> u32 {
    1 << span.at.0.trailing_zeros().min(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What cuBLAS does: `d = op(left) op(right)`, all by columns.
    fn product(columns: &Columns, memory: &[f32]) -> Vec<(usize, f32)> {
        let Form { left, right, result } = columns.form;
        let number = |at: Address, layout: Layout, row: u64, col: u64| {
            let (row, col) = if layout.turned { (col, row) } else { (row, col) };
            assert!(row < layout.rows && col < layout.cols, "beyond the matrix");
            memory[at.0 as usize / 4 + (col as i64 * layout.stride) as usize + row as usize]
        };
        let inner = if left.turned { left.rows } else { left.cols };
        assert_eq!(inner, if right.turned { right.cols } else { right.rows }, "inner dimensions");
        assert!(!result.turned);
        let mut found = Vec::new();
        for col in 0..result.cols {
            for row in 0..result.rows {
                let sum =
                    (0..inner).map(|i| number(columns.left, left, row, i) * number(columns.right, right, i, col)).sum();
                found.push((columns.result.0 as usize / 4 + (col as i64 * result.stride) as usize + row as usize, sum));
            }
        }
        found
    }

    #[test]
    fn a_product_by_columns_is_the_product_by_rows() {
        let memory: Vec<f32> = (0..400u16).map(|i| f32::from(i * 37 % 101)).collect();
        let span = |first: usize, len| Span { at: Address(4 * first as u64), len, kind: Kind::F32 };
        let (m, n, k) = (3, 5, 4);
        for (a_turned, b_turned) in [(false, false), (true, false), (false, true), (true, true)] {
            let a = Operand { span: span(0, 60), stride: 7, turned: a_turned };
            let b = Operand { span: span(60, 100), stride: 9, turned: b_turned };
            let gemm = Gemm { m, n, k, alpha: 1.0, beta: 0.0, a, b, c: span(200, 100), c_stride: 6 };
            let at = |operand: Operand, row: usize, col: usize| {
                let (row, col) = if operand.turned { (col, row) } else { (row, col) };
                memory[operand.span.at.0 as usize / 4 + row * operand.stride + col]
            };
            let mut want: Vec<(usize, f32)> = Vec::new();
            for i in 0..m {
                for j in 0..n {
                    want.push((200 + i * 6 + j, (0..k).map(|p| at(a, i, p) * at(b, p, j)).sum()));
                }
            }
            assert_eq!(product(&columns(&gemm).expect("fits"), &memory), want, "turned: {a_turned}, {b_turned}");
        }
    }

    #[test]
    fn alignment_is_that_of_the_address() {
        for (at, aligned) in [(0x7f00_0000_0000, 256), (0x7f00_0000_0002, 2), (0x7f00_0000_0014, 4), (0x1_0010, 16)] {
            assert_eq!(alignment(Span { at: Address(at), len: 1, kind: Kind::Bf16 }), aligned);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let span = |len, kind| Span { at: Address(0), len, kind };
        let operand = |len, kind| Operand { span: span(len, kind), stride: 4, turned: false };
        let gemm = |a, b, c| Gemm { m: 4, n: 4, k: 4, alpha: 1.0, beta: 0.0, a, b, c, c_stride: 4 };
        let (full, brief) = (Kind::F32, Kind::Bf16);
        assert!(columns(&gemm(operand(16, brief), operand(16, brief), span(16, full))).is_ok());
        assert!(columns(&gemm(operand(16, full), operand(16, full), span(16, brief))).is_err());
        assert!(columns(&gemm(operand(16, full), operand(16, brief), span(16, full))).is_err());
        assert!(columns(&gemm(operand(15, full), operand(16, full), span(16, full))).is_err());
        assert!(columns(&gemm(operand(16, full), operand(16, full), span(15, full))).is_err());
    }
}
