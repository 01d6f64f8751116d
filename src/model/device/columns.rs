//! Products of row-major matrices as cuBLAS takes them: by columns.
//!
//! A matrix in rows is its transpose in columns. So `c = a b` in rows is `c^T = b^T a^T` in columns: operands change places, and
//! an operand that takes part as it lies in rows is, in columns, already the transpose that is wanted. Nothing is moved.

use super::{Address, Batch, Gemm, Kind, Operand, Span};

/// A matrix in columns, `stride` numbers from one to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Layout {
    pub kind: Kind,
    pub rows: u64,
    pub cols: u64,
    pub stride: i64,
    /// Numbers from it to that of the next product of a batch.
    pub step: i64,
    /// Whether its transpose takes part.
    pub turned: bool,
    /// Bytes that its address is a multiple of, in every product, 256 at most: what an algorithm may rely on.
    pub aligned: u32,
}

/// A product's form apart from factors and addresses: what an algorithm is chosen by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Form {
    /// Products done at once.
    pub count: i32,
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
/// When kinds do not go together, a matrix does not lie within its span, or results of a batch overlap.
pub(super) fn columns(gemm: &Gemm) -> Result<Columns, String> {
    let Gemm { m, n, k, a, b, c, c_stride, batch, .. } = *gemm;
    // One form, however far a next one would lie.
    let batch = if batch.count == 1 { Batch::ALONE } else { batch };
    let kinds = (a.span.kind, b.span.kind, c.kind);
    if !matches!(kinds, (Kind::F32, Kind::F32, Kind::F32) | (Kind::Bf16, Kind::Bf16, Kind::Bf16 | Kind::F32)) {
        return Err(format!("no product of {} and {} gives {}", kinds.0, kinds.1, kinds.2));
    }
    let c = Operand { span: c, stride: c_stride, turned: false };
    let beside = batch.c >= n && batch.count.saturating_sub(1).saturating_mul(batch.c).saturating_add(n) <= c_stride;
    if batch.count > 1 && !beside && batch.c < reach(m, c_stride, n) {
        return Err(format!("results of [{m}, {n}], {} apart, overlap", batch.c));
    }
    let count = i32::try_from(batch.count).map_err(|_| format!("{} products", batch.count))?;
    let layout = |operand, rows, cols, step| layout(operand, rows, cols, batch.count, step);
    let (left, right) = (layout(b, k, n, batch.b)?, layout(a, m, k, batch.a)?);
    let form = Form { count, left, right, result: layout(c, m, n, batch.c)? };
    Ok(Columns { form, left: b.span.at, right: a.span.at, result: c.span.at })
}

/// Numbers from the first to behind the last of `rows` rows of `long` numbers.
fn reach(rows: usize, stride: usize, long: usize) -> usize {
    rows.saturating_sub(1).saturating_mul(stride).saturating_add(long)
}

/// An operand that is `[rows, cols]` when it takes part, `count` times, `step` numbers apart.
fn layout(operand: Operand, rows: usize, cols: usize, count: usize, step: usize) -> Result<Layout, String> {
    let Operand { span, stride, turned } = operand;
    let (lying, long) = if turned { (cols, rows) } else { (rows, cols) };
    let all = count.saturating_sub(1).saturating_mul(step).saturating_add(reach(lying, stride, long));
    if stride < long || all > span.len {
        let times = if count > 1 { format!(" {count} times, {step} apart,") } else { String::new() };
        return Err(format!("{lying} rows of {long}, {stride} apart,{times} do not lie in {} numbers", span.len));
    }
    let signed = |apart: usize| i64::try_from(apart).map_err(|_| format!("numbers {apart} apart"));
    let (stride, step, aligned) = (signed(stride)?, signed(step)?, alignment(span, step));
    // Rows of `long` numbers are columns of `long` numbers.
    Ok(Layout { kind: span.kind, rows: long as u64, cols: lying as u64, stride, step, turned, aligned })
}

fn alignment(span: Span, step: usize) -> u32 {
    1 << (span.at.0 | (step * span.kind.bytes()) as u64).trailing_zeros().min(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What cuBLAS does: `d = op(left) op(right)`, all by columns, product after product.
    fn product(columns: &Columns, memory: &[f32]) -> Vec<(usize, f32)> {
        (0..columns.form.count).flat_map(|nth| one_product(columns, nth, memory)).collect()
    }

    fn one_product(columns: &Columns, nth: i32, memory: &[f32]) -> Vec<(usize, f32)> {
        let Form { left, right, result, .. } = columns.form;
        let place = |at: Address, layout: Layout, row: u64, col: u64| {
            at.0 as usize / 4 + (i64::from(nth) * layout.step + col as i64 * layout.stride) as usize + row as usize
        };
        let number = |at: Address, layout: Layout, row: u64, col: u64| {
            let (row, col) = if layout.turned { (col, row) } else { (row, col) };
            assert!(row < layout.rows && col < layout.cols, "beyond the matrix");
            memory[place(at, layout, row, col)]
        };
        let inner = if left.turned { left.rows } else { left.cols };
        assert_eq!(inner, if right.turned { right.cols } else { right.rows }, "inner dimensions");
        assert!(!result.turned);
        let mut found = Vec::new();
        for col in 0..result.cols {
            for row in 0..result.rows {
                let sum =
                    (0..inner).map(|i| number(columns.left, left, row, i) * number(columns.right, right, i, col)).sum();
                found.push((place(columns.result, result, row, col), sum));
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
            // Alone; results behind one another; results side by side, of one `a`.
            for (count, steps, c_stride) in [(1, [0, 0, 0], 6), (3, [8, 11, 19], 6), (2, [0, 30, 5], 11)] {
                let [a_step, b_step, c_step] = steps;
                let batch = Batch { count, a: a_step, b: b_step, c: c_step };
                let gemm = Gemm { m, n, k, alpha: 1.0, beta: 0.0, a, b, c: span(200, 100), c_stride, batch };
                let at = |operand: Operand, apart: usize, row: usize, col: usize| {
                    let (row, col) = if operand.turned { (col, row) } else { (row, col) };
                    memory[operand.span.at.0 as usize / 4 + apart + row * operand.stride + col]
                };
                let mut want: Vec<(usize, f32)> = Vec::new();
                for nth in 0..count {
                    for i in 0..m {
                        for j in 0..n {
                            let term = |p| at(a, nth * a_step, i, p) * at(b, nth * b_step, p, j);
                            want.push((200 + nth * c_step + i * c_stride + j, (0..k).map(term).sum()));
                        }
                    }
                }
                let found = product(&columns(&gemm).expect("fits"), &memory);
                assert_eq!(found, want, "turned: {a_turned}, {b_turned}, {count} at once");
            }
        }
    }

    #[test]
    fn alignment_is_that_of_the_address_and_of_what_follows() {
        for (at, aligned) in [(0x7f00_0000_0000, 256), (0x7f00_0000_0002, 2), (0x7f00_0000_0014, 4), (0x1_0010, 16)] {
            let span = Span { at: Address(at), len: 1, kind: Kind::Bf16 };
            assert_eq!(alignment(span, 0), aligned);
            assert_eq!(alignment(span, 4), aligned.min(8), "products 8 bytes apart");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let span = |len, kind| Span { at: Address(0), len, kind };
        let operand = |len, kind| Operand { span: span(len, kind), stride: 4, turned: false };
        let form =
            |c_stride, batch, a, b, c| Gemm { m: 4, n: 4, k: 4, alpha: 1.0, beta: 0.0, a, b, c, c_stride, batch };
        let gemm = |a, b, c| form(4, Batch::ALONE, a, b, c);
        let (full, brief) = (Kind::F32, Kind::Bf16);
        assert!(columns(&gemm(operand(16, brief), operand(16, brief), span(16, full))).is_ok());
        assert!(columns(&gemm(operand(16, full), operand(16, full), span(16, brief))).is_err());
        assert!(columns(&gemm(operand(16, full), operand(16, brief), span(16, full))).is_err());
        assert!(columns(&gemm(operand(15, full), operand(16, full), span(16, full))).is_err());
        assert!(columns(&gemm(operand(16, full), operand(16, full), span(15, full))).is_err());

        let alone = |step| Batch { count: 1, a: step, b: step, c: step };
        let form_of = |step| columns(&form(4, alone(step), operand(16, full), operand(16, full), span(16, full)));
        assert_eq!(form_of(3), form_of(0), "a product alone is of one form, whatever lies behind it");

        let twice = |c_stride, steps: [usize; 3], lens: [usize; 3]| {
            let batch = Batch { count: 2, a: steps[0], b: steps[1], c: steps[2] };
            let [a, b] = [0, 1].map(|i: usize| operand(lens[i], full));
            columns(&form(c_stride, batch, a, b, span(lens[2], full)))
        };
        assert!(twice(4, [16; 3], [32; 3]).is_ok(), "behind one another");
        assert!(twice(8, [0, 16, 4], [16, 32, 32]).is_ok(), "side by side, of one matrix");
        for short in 0..3 {
            let mut lens = [32; 3];
            lens[short] = 31;
            let why = twice(4, [16; 3], lens).expect_err("the last does not lie there");
            assert!(why.contains("2 times, 16 apart"), "{why}");
        }
        for (c_stride, step) in [(4, 0), (4, 15), (8, 3), (8, 5), (7, 4)] {
            let why = twice(c_stride, [16, 16, step], [64; 3]).expect_err("written twice");
            assert!(why.contains("overlap"), "{why}");
        }
    }
}
