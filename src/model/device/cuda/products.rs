//! Products of matrices by cuBLASLt.
//!
//! For each form of product (kinds, shapes, strides, alignments, how many at once) an algorithm is asked for once and kept with its
//! descriptors. Sums and factors are f32; TF32 is not used, so f32 is f32.
//!
//! The constants are those of cuBLASLt's public header and of `library_types.h`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::{Mutex, PoisonError};

use super::library::{CublasLt, Handle, Proposal, words};
use crate::model::device::columns::{Form, Layout, columns};
use crate::model::device::{DeviceError, Gemm, Kind};

const CUDA_R_32F: c_int = 0;
const CUDA_R_16BF: c_int = 14;
const CUBLAS_COMPUTE_32F: c_int = 68;
const DESCRIPTION_TRANSA: c_int = 3;
const DESCRIPTION_TRANSB: c_int = 4;
const LAYOUT_COUNT: c_int = 5;
const LAYOUT_STEP: c_int = 6;
const WISH_WORKSPACE_BYTES: c_int = 1;
/// Of a; those of b, c and d follow.
const WISH_ALIGNMENT: c_int = 5;

/// cuBLASLt with what it needs on one device.
pub struct Products {
    library: CublasLt,
    handle: Handle,
    workspace: (u64, usize),
    plans: Mutex<HashMap<Form, Plan>>,
}

// SAFETY: cuBLASLt's handles and descriptors may be used from any thread; plans are made and destroyed under the lock.
unsafe impl Send for Products {}
// SAFETY: as above.
unsafe impl Sync for Products {}

/// One form's descriptors and algorithm.
struct Plan {
    product: Handle,
    layouts: [Handle; 3],
    algorithm: [u64; 8],
}

impl Products {
    /// Opens cuBLASLt for the context that is bound to this thread, with a workspace of that device.
    ///
    /// # Errors
    /// When cuBLASLt refuses.
    pub fn new(library: CublasLt, workspace: (u64, usize)) -> Result<Self, DeviceError> {
        let mut handle = ptr::null_mut();
        // SAFETY: written.
        let code = unsafe { (library.create)(&raw mut handle) };
        check(&library, code, "open cuBLASLt")?;
        Ok(Self { library, handle, workspace, plans: Mutex::default() })
    }

    /// The address of the workspace.
    pub fn workspace(&self) -> u64 {
        self.workspace.0
    }

    /// Multiplies, in the order of `stream`.
    ///
    /// # Errors
    /// When shapes do not fit, no algorithm does, or cuBLASLt refuses.
    pub fn multiply(&self, gemm: &Gemm, stream: Handle) -> Result<(), DeviceError> {
        let Gemm { m, n, k, alpha, beta, .. } = *gemm;
        if m == 0 || n == 0 {
            return Ok(());
        }
        let what = || format!("multiply [{m}, {k}] by [{k}, {n}] in {}", gemm.a.span.kind);
        let failed = |why: String| DeviceError::Failed { what: what(), why };
        if k == 0 {
            return Err(failed("there is nothing to sum over".to_owned()));
        }
        let columns = columns(gemm).map_err(failed)?;
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = match plans.entry(columns.form) {
            Entry::Occupied(kept) => kept.into_mut(),
            Entry::Vacant(empty) => {
                let made = plan(&self.library, self.handle, &columns.form, self.workspace.1);
                empty.insert(made.map_err(|error| failed(error.to_string()))?)
            }
        };
        // SAFETY: descriptors are alive; factors are f32 on the host, as the product's kind of factors says, and are read before
        // this returns; the caller's spans hold the matrices (`columns` has checked shapes against them).
        let code = unsafe {
            (self.library.multiply)(
                self.handle,
                plan.product,
                (&raw const alpha).cast(),
                columns.left.0,
                plan.layouts[0],
                columns.right.0,
                plan.layouts[1],
                (&raw const beta).cast(),
                columns.result.0,
                plan.layouts[2],
                columns.result.0,
                plan.layouts[2],
                &raw const plan.algorithm,
                self.workspace.0,
                self.workspace.1,
                stream,
            )
        };
        check(&self.library, code, &what())
    }
}

impl Drop for Products {
    fn drop(&mut self) {
        let plans = std::mem::take(self.plans.get_mut().unwrap_or_else(PoisonError::into_inner));
        for plan in plans.into_values() {
            plan.destroy(&self.library);
        }
        // SAFETY: not used again.
        unsafe { (self.library.destroy)(self.handle) };
    }
}

impl Plan {
    /// Descriptors of a form, without an algorithm yet.
    fn describe(library: &CublasLt, form: &Form) -> Result<Self, DeviceError> {
        let mut plan = Self { product: ptr::null_mut(), layouts: [ptr::null_mut(); 3], algorithm: [0; 8] };
        match plan.fill(library, form) {
            Ok(()) => Ok(plan),
            Err(error) => {
                plan.destroy(library);
                Err(error)
            }
        }
    }

    fn fill(&mut self, library: &CublasLt, form: &Form) -> Result<(), DeviceError> {
        // SAFETY: handles are written before they are used; attributes are read with their sizes: 64 bits for a step, 32 for all
        // others.
        unsafe {
            let code = (library.product_create)(&raw mut self.product, CUBLAS_COMPUTE_32F, CUDA_R_32F);
            check(library, code, "describe a product")?;
            for (side, layout) in [(DESCRIPTION_TRANSA, form.left), (DESCRIPTION_TRANSB, form.right)] {
                let turned = i32::from(layout.turned); // CUBLAS_OP_N and CUBLAS_OP_T
                let code = (library.product_set)(self.product, side, (&raw const turned).cast::<c_void>(), 4);
                check(library, code, "say which operand is turned")?;
            }
            for (handle, layout) in self.layouts.iter_mut().zip([form.left, form.right, form.result]) {
                let Layout { rows, cols, stride, step, .. } = layout;
                let code = (library.layout_create)(handle, kind(layout.kind), rows, cols, stride);
                check(library, code, "describe a matrix")?;
                if form.count > 1 {
                    let (count, step) = ((&raw const form.count).cast(), (&raw const step).cast());
                    let code = (library.layout_set)(*handle, LAYOUT_COUNT, count, 4);
                    check(library, code, "say how many products there are")?;
                    check(library, (library.layout_set)(*handle, LAYOUT_STEP, step, 8), "say how far apart they lie")?;
                }
            }
        }
        Ok(())
    }

    fn destroy(self, library: &CublasLt) {
        for layout in self.layouts.into_iter().filter(|layout| !layout.is_null()) {
            // SAFETY: not used again.
            unsafe { (library.layout_destroy)(layout) };
        }
        if !self.product.is_null() {
            // SAFETY: not used again.
            unsafe { (library.product_destroy)(self.product) };
        }
    }
}

fn kind(kind: Kind) -> c_int {
    if kind == Kind::Bf16 { CUDA_R_16BF } else { CUDA_R_32F }
}

/// A form's plan, with the algorithm that cuBLASLt thinks best.
fn plan(library: &CublasLt, handle: Handle, form: &Form, workspace: usize) -> Result<Plan, DeviceError> {
    let mut plan = Plan::describe(library, form)?;
    let proposed = wish(library, form, workspace).and_then(|wish| {
        let (mut proposal, mut count) = (Proposal::default(), 0);
        let [left, right, result] = plan.layouts;
        // SAFETY: all handles are alive; one proposal is asked for, and there is room for one.
        let code = unsafe {
            let (proposal, count) = (&raw mut proposal, &raw mut count);
            let code = (library.propose)(handle, plan.product, left, right, result, result, wish, 1, proposal, count);
            (library.wish_destroy)(wish);
            code
        };
        check(library, code, "find an algorithm")?;
        if count < 1 {
            let why = format!("cuBLASLt knows none for {form:?}");
            return Err(DeviceError::Failed { what: "find an algorithm".to_owned(), why });
        }
        check(library, proposal.state, "find an algorithm")?;
        Ok(proposal.algorithm)
    });
    match proposed {
        Ok(algorithm) => {
            plan.algorithm = algorithm;
            Ok(plan)
        }
        Err(error) => {
            plan.destroy(library);
            Err(error)
        }
    }
}

/// What an algorithm may rely on: the workspace and how addresses are aligned.
fn wish(library: &CublasLt, form: &Form, workspace: usize) -> Result<Handle, DeviceError> {
    const WHAT: &str = "say what an algorithm may rely on";
    let mut wish = ptr::null_mut();
    let sides = [form.left, form.right, form.result, form.result];
    // SAFETY: the handle is written before it is used; attributes are read with their sizes: 64 bits for the workspace, 32 for
    // an alignment.
    unsafe {
        check(library, (library.wish_create)(&raw mut wish), WHAT)?;
        let bytes = workspace as u64;
        let mut code = (library.wish_set)(wish, WISH_WORKSPACE_BYTES, (&raw const bytes).cast::<c_void>(), 8);
        for (i, side) in sides.iter().enumerate() {
            if code == 0 {
                let aligned = (&raw const side.aligned).cast::<c_void>();
                code = (library.wish_set)(wish, WISH_ALIGNMENT + i as c_int, aligned, 4);
            }
        }
        if code != 0 {
            (library.wish_destroy)(wish);
        }
        check(library, code, WHAT)?;
    }
    Ok(wish)
}

fn check(library: &CublasLt, code: c_int, what: &str) -> Result<(), DeviceError> {
    if code == 0 {
        return Ok(());
    }
    // SAFETY: it takes any number.
    let why = words(unsafe { (library.status_string)(code) });
    Err(DeviceError::Failed { what: what.to_owned(), why: format!("cuBLASLt says: {why} ({code})") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::device::cuda::library::cublas_lt;
    use crate::model::device::{Address, Batch, Operand, Span};

    /// Descriptors need no GPU: cuBLASLt itself says whether attributes and their sizes are right.
    #[test]
    fn cublas_lt_takes_every_description() {
        let library = match cublas_lt(13) {
            Ok(library) => library,
            Err(error) => {
                assert!(std::env::var_os("TOGI_REQUIRE_NVRTC").is_none(), "{error}");
                eprintln!("skipped: {error}");
                return;
            }
        };
        for (kind, result) in [(Kind::F32, Kind::F32), (Kind::Bf16, Kind::Bf16), (Kind::Bf16, Kind::F32)] {
            for (at, turned) in [(256, false), (2, true)] {
                let span = Span { at: Address(at), len: 10_000, kind };
                let operand = Operand { span, stride: 77, turned };
                let c = Span { kind: result, ..span };
                for batch in [Batch::ALONE, Batch { count: 3, a: 0, b: 8, c: 2400 }] {
                    let (a, b) = (operand, operand);
                    let gemm = Gemm { m: 33, n: 65, k: 7, alpha: 1.0, beta: 0.0, a, b, c, c_stride: 70, batch };
                    let form = columns(&gemm).expect("fits").form;
                    Plan::describe(&library, &form).expect("described").destroy(&library);
                    let wish = wish(&library, &form, 32 << 20).expect("wished");
                    // SAFETY: not used again.
                    unsafe { (library.wish_destroy)(wish) };
                }
            }
        }
    }
}
