//! A weight matrix, `[outputs, inputs]`: plain `f32`, or packed as its file stores it.
//!
//! Owns the products that inference and training need of a matrix that is only read; they give the same sums for either
//! form, up to rounding (in inference that of the inputs of codes to 16 bits). Only plain matrices can be changed: a full-parameter run turns its base into `f32` first.

use std::borrow::Cow;

use super::ops::gemm::{Addend, Mat, MatMut, gemm_with};
use super::ops::packed::{self, PANEL, Panels};
use super::ops::pages;
use super::ops::pool::Pool;
use super::ops::rows::{self, Layer, Rows};

/// Numbers of a packed matrix that are turned into `f32` at once for a product of training (8 MiB).
const STRETCH: usize = 2 << 20;

/// Where the numbers are.
#[derive(Clone, Debug, PartialEq)]
enum Store {
    Plain(Vec<f32>),
    /// Outputs one part after the other.
    Packed(Vec<Panels>),
}

/// A weight matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    inputs: usize,
    outputs: usize,
    store: Store,
}

impl Default for Matrix {
    fn default() -> Self {
        Self { inputs: 0, outputs: 0, store: Store::Plain(Vec::new()) }
    }
}

impl From<Panels> for Matrix {
    fn from(panels: Panels) -> Self {
        Self { inputs: panels.inputs(), outputs: panels.outputs(), store: Store::Packed(vec![panels]) }
    }
}

impl Matrix {
    /// Plain `values`, `[outputs, inputs]`.
    #[must_use]
    pub fn plain(values: Vec<f32>, inputs: usize) -> Self {
        let outputs = values.len().checked_div(inputs).unwrap_or(0);
        Self { inputs, outputs, store: Store::Plain(values) }
    }

    /// Number of inputs.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Number of outputs.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Whether it has no number.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.outputs == 0
    }

    /// Bytes of memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.store {
            Store::Plain(values) => size_of_val(values.as_slice()),
            Store::Packed(parts) => parts.iter().map(Panels::bytes).sum(),
        }
    }

    /// Whether it is packed.
    #[must_use]
    pub fn is_packed(&self) -> bool {
        matches!(self.store, Store::Packed(_))
    }

    /// The outputs of `other` behind one's own. Where only one of the two is packed, both become plain.
    #[must_use]
    pub fn then(mut self, other: Self) -> Self {
        if self.is_empty() {
            return other;
        }
        let outputs = self.outputs + other.outputs;
        match (&mut self.store, other.store) {
            (Store::Plain(values), Store::Plain(more)) => values.extend_from_slice(&more),
            (Store::Packed(parts), Store::Packed(more)) => {
                for part in more {
                    // One part is one product: a matrix of three linear layers takes as many, unless they can be joined.
                    let rest = match parts.last_mut() {
                        Some(last) => last.join(part),
                        None => Some(part),
                    };
                    parts.extend(rest);
                }
            }
            (_, store) => {
                let other = Self { inputs: self.inputs, outputs: other.outputs, store };
                let mut values = self.to_f32().into_owned();
                values.extend_from_slice(&other.to_f32());
                self.store = Store::Plain(values);
            }
        }
        Self { outputs, ..self }
    }

    /// All numbers as `f32`.
    #[must_use]
    pub fn to_f32(&self) -> Cow<'_, [f32]> {
        match &self.store {
            Store::Plain(values) => Cow::Borrowed(values),
            Store::Packed(_) => {
                let mut values = pages::zeros(self.outputs * self.inputs);
                self.write_to(&mut values);
                Cow::Owned(values)
            }
        }
    }

    /// Writes all numbers to `out`, `[outputs, inputs]`.
    ///
    /// # Panics
    /// When `out` has another length: a mistake of the caller.
    pub fn write_to(&self, out: &mut [f32]) {
        match &self.store {
            Store::Plain(values) => out.copy_from_slice(values),
            Store::Packed(parts) => {
                assert_eq!(out.len(), self.outputs * self.inputs, "no room of the matrix' size");
                let mut rows = out.chunks_exact_mut(self.inputs.max(1));
                for part in parts {
                    for (output, row) in rows.by_ref().take(part.outputs()).enumerate() {
                        part.row(output, row);
                    }
                }
            }
        }
    }

    /// The same matrix, plain.
    #[must_use]
    pub fn into_plain(self) -> Self {
        match self.store {
            Store::Plain(_) => self,
            Store::Packed(_) => Self::plain(self.to_f32().into_owned(), self.inputs),
        }
    }

    /// A plain matrix' numbers, to change; nothing of a packed one.
    pub fn values_mut(&mut self) -> &mut [f32] {
        match &mut self.store {
            Store::Plain(values) => values,
            Store::Packed(_) => &mut [],
        }
    }

    /// Writes the weights of one output to `out`, `[inputs]`.
    ///
    /// # Panics
    /// When there is no such output: the caller has checked it.
    pub fn row(&self, output: usize, out: &mut [f32]) {
        match &self.store {
            Store::Plain(values) => out.copy_from_slice(&values[output * self.inputs..(output + 1) * self.inputs]),
            Store::Packed(parts) => {
                let mut first = 0;
                for part in parts {
                    if output < first + part.outputs() {
                        return part.row(output - first, out);
                    }
                    first += part.outputs();
                }
                panic!("no output {output} in a matrix of {first}");
            }
        }
    }

    /// The product of inference, `y = x W^T + bias`, rows not knowing of one another; see [`rows::product`].
    pub fn product(&self, x: Rows<'_>, bias: &[f32], y: &mut [f32], y_stride: usize) {
        match &self.store {
            Store::Plain(weight) => {
                let layer = Layer { weight, bias, inputs: self.inputs, outputs: self.outputs };
                rows::product(x, layer, y, y_stride);
            }
            Store::Packed(parts) => {
                let mut first = 0;
                for part in parts {
                    let bias = if bias.is_empty() { bias } else { &bias[first..first + part.outputs()] };
                    packed::product(x, part, bias, &mut y[first..], y_stride);
                    first += part.outputs();
                }
            }
        }
    }

    /// The forward of training, `y = x W^T + more`: `[rows, outputs]` from `[rows, inputs]`.
    pub fn forward(&self, x: Mat<'_>, more: &[Addend<'_>], rows: usize, y: &mut [f32], pool: &mut Pool) {
        match &self.store {
            Store::Plain(weight) => {
                let w = Mat::full(weight, self.outputs, self.inputs);
                gemm_with(x, w.t(), more, 0, 0.0, MatMut::full(y, rows, self.outputs));
            }
            Store::Packed(_) => self.each_stretch(pool, |first, width, turned| {
                let w = Mat::full(turned, self.inputs, width);
                gemm_with(x, w, more, first, 0.0, MatMut::new(&mut y[first..], rows, width, self.outputs));
            }),
        }
    }

    /// The backward of training, `dx = dy W + more`: `[rows, inputs]` from `[rows, outputs]`.
    pub fn backward(&self, dy: &[f32], more: &[Addend<'_>], rows: usize, dx: &mut [f32], pool: &mut Pool) {
        match &self.store {
            Store::Plain(weight) => {
                let w = Mat::full(weight, self.outputs, self.inputs);
                gemm_with(Mat::full(dy, rows, self.outputs), w, more, 0, 0.0, MatMut::full(dx, rows, self.inputs));
            }
            Store::Packed(_) => self.each_stretch(pool, |first, width, turned| {
                let dy = Mat::new(&dy[first..], rows, width, self.outputs);
                let (keep, more) = if first == 0 { (0.0, more) } else { (1.0, &[][..]) };
                let w = Mat::full(turned, self.inputs, width);
                gemm_with(dy, w.t(), more, 0, keep, MatMut::full(dx, rows, self.inputs));
            }),
        }
    }

    /// Shows a packed matrix stretch by stretch: first output, outputs, and their weights transposed, `[inputs, outputs]`.
    fn each_stretch(&self, pool: &mut Pool, mut see: impl FnMut(usize, usize, &[f32])) {
        let Store::Packed(parts) = &self.store else { return };
        let most = (STRETCH / self.inputs.max(1) / PANEL * PANEL).max(PANEL);
        let longest = parts.iter().map(Panels::outputs).max().unwrap_or(0).min(most);
        // One size for every matrix, so that they take turns in one buffer.
        let mut turned = pool.take(STRETCH.max(longest * self.inputs));
        let mut first = 0;
        for part in parts {
            for from in (0..part.outputs()).step_by(most) {
                let to = part.outputs().min(from + most);
                part.transposed(from, to, &mut turned);
                see(first + from, to - from, &turned[..(to - from) * self.inputs]);
            }
            first += part.outputs();
        }
        pool.give(turned);
    }
}

#[cfg(test)]
mod tests {
    use super::super::ops::packed::{Code, Unpacked};
    use super::*;
    use crate::model::ops::fixture::numbers;

    fn panels(code: Code, outputs: usize, inputs: usize) -> Panels {
        let values = numbers(outputs * inputs, 5);
        let fill = |output: usize, row: &mut Unpacked| {
            let values = &values[output * inputs..(output + 1) * inputs];
            row.codes.extend(
                values.iter().map(|x| if code == Code::Four { (x * 7.0 + 7.5) as i8 } else { (x * 127.0) as i8 }),
            );
            row.scales
                .extend((0..inputs / 32).map(|b| [0.01 + (output * 31 + b) as f32 / 997.0, 0.3 - b as f32 / 11.0]));
            row.halves.extend(values.iter().map(|&x| match code {
                Code::F16 => half::f16::from_f32(x).to_bits(),
                _ => half::bf16::from_f32(x).to_bits(),
            }));
            Ok(())
        };
        Panels::pack(code, outputs, inputs, &fill).unwrap()
    }

    fn matrices() -> Vec<(Matrix, Matrix)> {
        let codes = [Code::Four, Code::Eight, Code::EightBy16, Code::Bf16, Code::F16];
        let mut all: Vec<Matrix> = codes.iter().map(|&code| panels(code, 70, 96).into()).collect();
        // Parts that can be joined to one, and parts that cannot.
        all.push(Matrix::from(panels(Code::Four, 64, 96)).then(panels(Code::Four, 40, 96).into()));
        all.push(Matrix::from(panels(Code::Four, 30, 96)).then(panels(Code::Eight, 40, 96).into()));
        all.into_iter().map(|packed| (packed.clone(), packed.into_plain())).collect()
    }

    fn near(a: &[f32], b: &[f32], what: &str) {
        assert_eq!(a.len(), b.len());
        let top = b.iter().fold(1f32, |top, x| top.max(x.abs()));
        let worst = a.iter().zip(b).fold(0f32, |worst, (a, b)| worst.max((a - b).abs()));
        assert!(worst < 1e-5 * top, "{what}: {worst} of {top}");
    }

    #[test]
    fn a_packed_matrix_computes_what_its_numbers_compute() {
        for (packed, plain) in matrices() {
            assert!(packed.is_packed() && !plain.is_packed() && packed.bytes() < plain.bytes());
            let (inputs, outputs, rows) = (packed.inputs(), packed.outputs(), 13);
            let (x, bias) = (numbers(rows * inputs, 1), numbers(outputs, 2));
            for bias in [&bias[..], &[]] {
                let run = |w: &Matrix| {
                    let mut y = vec![0.25; rows * (outputs + 3)];
                    w.product(Rows { data: &x, rows, stride: inputs }, bias, &mut y, outputs + 3);
                    y
                };
                near(&run(&packed), &run(&plain), "inference");
            }
            let run = |w: &Matrix| {
                let (mut pool, mut y, mut dx) = (Pool::default(), vec![9.0; rows * outputs], vec![9.0; rows * inputs]);
                let added = numbers(rows * outputs.max(inputs), 4);
                let of = |cols: std::ops::Range<usize>| Addend {
                    a: Mat::new(&added, rows, 3, 4),
                    b: Mat::full(&added, 3, cols.len()),
                    cols,
                };
                // Of the last two matrices, the first part or its first stretch ends at output 30 or later.
                w.forward(
                    Mat::full(&x, rows, inputs),
                    &[of(20..25), of(27..33), of(41..outputs)],
                    rows,
                    &mut y,
                    &mut pool,
                );
                w.backward(&numbers(rows * outputs, 3), &[of(0..inputs)], rows, &mut dx, &mut pool);
                (y, dx)
            };
            let ((y, dx), (y_plain, dx_plain)) = (run(&packed), run(&plain));
            near(&y, &y_plain, "forward");
            near(&dx, &dx_plain, "backward");
        }
    }

    #[test]
    fn a_row_of_a_packed_product_is_the_same_bit_for_bit_in_any_company() {
        for (packed, _) in matrices() {
            let (inputs, outputs) = (packed.inputs(), packed.outputs());
            let x = numbers(40 * inputs, 1);
            let run = |from: usize, rows: usize| {
                let mut y = vec![0.0; rows * outputs];
                let x = Rows { data: &x[from * inputs..], rows, stride: inputs };
                packed.product(x, &[], &mut y, outputs);
                y
            };
            let alone: Vec<f32> = (0..40).flat_map(|row| run(row, 1)).collect();
            for company in [2, 3, 4, 5, 6, 7, 11, 40] {
                for from in (0..=40 - company).step_by(7) {
                    assert_eq!(run(from, company), alone[from * outputs..(from + company) * outputs], "{company} rows");
                }
            }
        }
    }
}
