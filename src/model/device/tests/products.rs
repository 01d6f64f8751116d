//! Products of matrices of all kinds, orientations and alignments.

use super::super::{Batch, Gemm, Kind, Operand, Span};
use super::{numbers, on_desks};

#[test]
fn products_are_those_of_the_definition() {
    on_desks(|desk| {
        for (m, n, k, spare) in [(1, 1, 1, 0), (5, 7, 3, 0), (64, 48, 32, 0), (33, 130, 65, 3), (200, 16, 576, 8)] {
            for (a_turned, b_turned) in [(false, false), (true, false), (false, true), (true, true)] {
                for (result, beta) in [(desk.kind, 0.0), (desk.kind, 0.5), (Kind::F32, 1.0)] {
                    let matrix = |rows: usize, cols: usize, turned: bool, seed| {
                        let (rows, cols) = if turned { (cols, rows) } else { (rows, cols) };
                        (desk.held(numbers(rows * (cols + spare), seed)), cols + spare)
                    };
                    let (a, a_stride) = matrix(m, k, a_turned, 1);
                    let (b, b_stride) = matrix(k, n, b_turned, 2);
                    let (start, c_stride) = matrix(m, n, false, 3);
                    let c = desk.put_as(result, &start);
                    let operand = |span: Span, stride, turned| Operand { span, stride, turned };
                    let gemm = Gemm {
                        m,
                        n,
                        k,
                        alpha: 0.75,
                        beta,
                        a: operand(desk.put(&a), a_stride, a_turned),
                        b: operand(desk.put(&b), b_stride, b_turned),
                        c,
                        c_stride,
                        batch: Batch::ALONE,
                    };
                    desk.device().gemm(&gemm).expect("multiplied");
                    let at = |x: &[f32], stride: usize, turned: bool, row: usize, col: usize| {
                        f64::from(if turned { x[col * stride + row] } else { x[row * stride + col] })
                    };
                    let mut want = start.clone();
                    for i in 0..m {
                        for j in 0..n {
                            let sum: f64 = (0..k)
                                .map(|p| at(&a, a_stride, a_turned, i, p) * at(&b, b_stride, b_turned, p, j))
                                .sum();
                            let to = &mut want[i * c_stride + j];
                            *to = (0.75 * sum + f64::from(beta) * f64::from(*to)) as f32;
                        }
                    }
                    let name = format!("[{m}, {k}] by [{k}, {n}], turned: {a_turned}, {b_turned}, beta {beta}");
                    desk.expect(&name, c, &want, 1e-5);
                }
            }
        }
    });
}

/// As adapters' products are: `A x` side by side in the columns of one matrix, each with its own `B`, to columns side by side.
#[test]
fn products_at_once_are_each_its_own() {
    on_desks(|desk| {
        for (rows, rank, width, count) in [(1, 4, 8, 2), (37, 8, 96, 3), (130, 16, 24, 2)] {
            let (ranks, outputs) = (count * rank, count * width + 5);
            let (u, b) = (desk.held(numbers(rows * ranks, 1)), desk.held(numbers(ranks * width, 2)));
            let start = desk.held(numbers(rows * outputs, 3));
            let c = desk.put(&start);
            desk.device()
                .gemm(&Gemm {
                    m: rows,
                    n: width,
                    k: rank,
                    alpha: 0.75,
                    beta: 1.0,
                    a: Operand { span: desk.put(&u), stride: ranks, turned: false },
                    b: Operand { span: desk.put(&b), stride: rank, turned: true },
                    c: c.part(5, rows * outputs - 5),
                    c_stride: outputs,
                    batch: Batch { count, a: rank, b: width * rank, c: width },
                })
                .expect("multiplied");
            let mut want = start.clone();
            for row in 0..rows {
                for output in 0..count * width {
                    let member = output / width;
                    let term = |p| f64::from(u[row * ranks + member * rank + p]) * f64::from(b[output * rank + p]);
                    let to = &mut want[row * outputs + 5 + output];
                    *to = (0.75 * (0..rank).map(term).sum::<f64>() + f64::from(*to)) as f32;
                }
            }
            desk.expect(&format!("{count} of [{rows}, {rank}] by [{rank}, {width}]"), c, &want, 1e-5);

            // Backward: the gradients of `A x` from those of the outputs, side by side, and those of each `B`, behind one another in f32.
            let (dy, scale) = (desk.held(numbers(rows * outputs, 4)), 0.5);
            let (du, first) = (desk.room(desk.kind, rows * ranks), numbers(ranks * width, 5));
            let db = desk.put_as(Kind::F32, &first);
            let gradients = |turned| Operand { span: desk.put(&dy), stride: outputs, turned };
            let (b_at, u_at) = (desk.put(&b), desk.put(&u));
            let plain = |span, stride| Operand { span, stride, turned: false };
            for gemm in [
                Gemm {
                    m: rows,
                    n: rank,
                    k: width,
                    alpha: scale,
                    beta: 0.0,
                    a: gradients(false),
                    b: plain(b_at, rank),
                    c: du,
                    c_stride: ranks,
                    batch: Batch { count, a: width, b: width * rank, c: rank },
                },
                Gemm {
                    m: width,
                    n: rank,
                    k: rows,
                    alpha: scale,
                    beta: 1.0,
                    a: gradients(true),
                    b: plain(u_at, ranks),
                    c: db,
                    c_stride: rank,
                    batch: Batch { count, a: width, b: rank, c: width * rank },
                },
            ] {
                desk.device().gemm(&gemm).expect("multiplied");
            }
            let at = |x: &[f32], i: usize| f64::from(x[i]);
            let mut want_du = vec![0f64; rows * ranks];
            let mut want_db: Vec<f64> = first.iter().map(|&x| f64::from(x)).collect();
            for row in 0..rows {
                for output in 0..count * width {
                    let member = output / width;
                    let gradient = f64::from(scale) * at(&dy, row * outputs + output);
                    for p in 0..rank {
                        want_du[row * ranks + member * rank + p] += gradient * at(&b, output * rank + p);
                        want_db[output * rank + p] += gradient * at(&u, row * ranks + member * rank + p);
                    }
                }
            }
            let brief = |x: Vec<f64>| x.into_iter().map(|x| x as f32).collect::<Vec<_>>();
            desk.expect("gradients of A x", du, &brief(want_du), 1e-5);
            desk.expect("gradients of B", db, &brief(want_db), 1e-5);
        }
    });
}
