//! A device for tests: the kernels' own text, compiled as C++, on the processor.
//!
//! A launch runs the blocks one after the other (`emulated/processor.h` says how a block's threads run and what is a fault).
//! Memory is the process's own: fresh memory is NaN in every kind, both ends of each allocation are guarded, and whatever a
//! kernel, a copy or a product is given must lie in memory that is allocated. So a test finds what a GPU would not tell.
//!
//! The compiler is `$CXX`, `c++` or `g++`. What it makes is kept beside the test program, under a name made of the text.
#![allow(unsafe_code)] // runs what was compiled, on memory of its own

use std::alloc::{Layout, alloc, dealloc};
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use half::bf16;
use libloading::Library;

use super::columns::columns;
use super::{Address, Argument, Batch, Device, DeviceError, Gemm, Kind, Memory, Operand, Span, ops};
use crate::model::ops::gemm::{Mat, MatMut, gemm};

/// Bytes on either side of an allocation that nobody may write.
const GUARD: usize = 256;
/// What guards are made of.
const MARK: u8 = 0xA5;
/// What fresh memory is made of: NaN as f32, bf16 and f64, and a number that no table has as u32.
const FRESH: u8 = 0xFF;
/// Memory in all where no limit is set, as far as [`Device::memory`] says.
const PLENTY: usize = 1 << 40;

/// Runs a kernel: arguments, grid, threads of a block; what is wrong, or null.
type Run = unsafe extern "C" fn(*mut *mut c_void, *const u32, u32) -> *const c_char;
/// A letter for each parameter.
type Letters = unsafe extern "C" fn() -> *const c_char;

/// See the module's words.
pub(crate) struct Machine {
    memory: Mutex<Heap>,
    limit: Option<usize>,
}

/// What is allocated: bytes by address, and how many there are and were.
#[derive(Default)]
struct Heap {
    taken: BTreeMap<u64, usize>,
    now: usize,
    peak: usize,
}

impl Machine {
    /// A device that has `limit` bytes; `None` where no C++ compiler is to be found.
    ///
    /// # Panics
    /// When the kernels do not compile, or where there is no compiler although `TOGI_REQUIRE_SHARED` says that all tests must
    /// run.
    pub(crate) fn new(limit: Option<usize>) -> Option<Self> {
        if compiler().is_none() {
            let required = std::env::var_os("TOGI_REQUIRE_SHARED").is_some_and(|v| v == "1");
            assert!(!required, "there is no C++ compiler (CXX, c++, g++) to run the device's kernels on the processor");
            eprintln!("skipped: there is no C++ compiler (CXX, c++, g++) to run the device's kernels on the processor");
            return None;
        }
        Some(Self { memory: Mutex::new(Heap::default()), limit })
    }

    /// Bytes allocated now.
    pub(crate) fn now(&self) -> usize {
        self.heap().now
    }

    /// The most bytes that were allocated at once.
    pub(crate) fn peak(&self) -> usize {
        self.heap().peak
    }

    /// Checks the guards of all that is allocated.
    ///
    /// # Panics
    /// When something was written beyond an allocation.
    pub(crate) fn check(&self) {
        for (&at, &bytes) in &self.heap().taken {
            check_guards(at, bytes);
        }
    }

    fn heap(&self) -> std::sync::MutexGuard<'_, Heap> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails unless `bytes` bytes at `at` are allocated.
    fn held(&self, what: &str, at: Address, bytes: usize) -> Result<(), DeviceError> {
        let heap = self.heap();
        let inside = heap
            .taken
            .range(..=at.0)
            .next_back()
            .is_some_and(|(start, len)| at.0 + bytes as u64 <= start + *len as u64);
        if inside { Ok(()) } else { Err(failed(what, &format!("{bytes} bytes at {:#x} are not allocated", at.0))) }
    }

    /// A matrix's numbers as f32, rows of `cols` behind one another. They lie within its span.
    fn widened(&self, span: Span, stride: usize, rows: usize, cols: usize) -> Result<Vec<f32>, DeviceError> {
        if rows == 0 || cols == 0 {
            return Ok(Vec::new());
        }
        let reach = (rows - 1) * stride + cols;
        self.held("multiply", span.at, reach * span.kind.bytes())?;
        let mut numbers = Vec::with_capacity(rows * cols);
        for row in 0..rows {
            for col in 0..cols {
                numbers.push(read_number(span, row * stride + col)?);
            }
        }
        Ok(numbers)
    }

    fn operand(&self, operand: Operand, rows: usize, cols: usize) -> Result<Vec<f32>, DeviceError> {
        let (rows, cols) = if operand.turned { (cols, rows) } else { (rows, cols) };
        self.widened(operand.span, operand.stride, rows, cols)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for (at, bytes) in std::mem::take(&mut self.heap().taken) {
            if !std::thread::panicking() {
                check_guards(at, bytes);
            }
            free(at, bytes);
        }
    }
}

fn failed(what: &str, why: &str) -> DeviceError {
    DeviceError::Failed { what: what.to_owned(), why: why.to_owned() }
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes + 2 * GUARD, GUARD).expect("a size that memory has")
}

fn check_guards(at: u64, bytes: usize) {
    for start in [at - GUARD as u64, at + bytes as u64] {
        // SAFETY: guards are parts of the allocation, `free`d only when it is forgotten.
        let guard = unsafe { std::slice::from_raw_parts(start as *const u8, GUARD) };
        assert!(guard.iter().all(|&byte| byte == MARK), "something was written beyond an allocation of {bytes} bytes");
    }
}

fn free(at: u64, bytes: usize) {
    // SAFETY: it was allocated with this layout and is forgotten.
    unsafe { dealloc((at - GUARD as u64) as *mut u8, layout(bytes)) }
}

/// Number `i` of a span that is known to be allocated.
fn read_number(span: Span, i: usize) -> Result<f32, DeviceError> {
    let at = span.at.0 + (i * span.kind.bytes()) as u64;
    // SAFETY: the caller has found the span allocated.
    unsafe {
        match span.kind {
            Kind::F32 => Ok((at as *const f32).read_unaligned()),
            Kind::Bf16 => Ok((at as *const bf16).read_unaligned().to_f32()),
            kind => Err(failed("multiply", &format!("a matrix of {kind}"))),
        }
    }
}

impl Device for Machine {
    fn name(&self) -> String {
        "the processor as a device".to_owned()
    }

    fn memory(&self) -> Result<Memory, DeviceError> {
        let total = self.limit.unwrap_or(PLENTY);
        Ok(Memory { free: total.saturating_sub(self.now()) as u64, total: total as u64 })
    }

    fn allocate(&self, bytes: usize) -> Result<Address, DeviceError> {
        let mut heap = self.heap();
        if bytes == 0 {
            return Err(failed("allocate", "no bytes were asked for"));
        }
        if heap.now + bytes > self.limit.unwrap_or(PLENTY) {
            return Err(DeviceError::OutOfMemory { asked: bytes });
        }
        // SAFETY: the layout is not empty; all of it is written before anything reads it.
        let at = unsafe {
            let start = alloc(layout(bytes));
            assert!(!start.is_null(), "the processor has no {bytes} bytes left");
            start.write_bytes(MARK, bytes + 2 * GUARD);
            let at = start.add(GUARD);
            at.write_bytes(FRESH, bytes);
            at as u64
        };
        heap.taken.insert(at, bytes);
        heap.now += bytes;
        heap.peak = heap.peak.max(heap.now);
        Ok(Address(at))
    }

    fn release(&self, at: Address) {
        let mut heap = self.heap();
        let bytes = heap.taken.remove(&at.0).expect("release of what was never allocated");
        heap.now -= bytes;
        check_guards(at.0, bytes);
        free(at.0, bytes);
    }

    fn write(&self, to: Address, bytes: &[u8]) -> Result<(), DeviceError> {
        self.held("write", to, bytes.len())?;
        // SAFETY: they are allocated, and no slice of the caller's lies there.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to.0 as *mut u8, bytes.len()) };
        Ok(())
    }

    fn read(&self, from: Address, bytes: &mut [u8]) -> Result<(), DeviceError> {
        self.held("read", from, bytes.len())?;
        // SAFETY: as in `write`.
        unsafe { std::ptr::copy_nonoverlapping(from.0 as *const u8, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    fn zero(&self, at: Address, bytes: usize) -> Result<(), DeviceError> {
        self.held("set to zero", at, bytes)?;
        // SAFETY: they are allocated.
        unsafe { (at.0 as *mut u8).write_bytes(0, bytes) };
        Ok(())
    }

    fn copy(&self, from: Address, to: Address, bytes: usize) -> Result<(), DeviceError> {
        self.held("copy from", from, bytes)?;
        self.held("copy to", to, bytes)?;
        if from.0.abs_diff(to.0) < bytes as u64 {
            return Err(failed("copy", "the stretches overlap"));
        }
        // SAFETY: both are allocated and do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(from.0 as *const u8, to.0 as *mut u8, bytes) };
        Ok(())
    }

    fn launch(
        &self,
        name: &str,
        kind: Kind,
        blocks: [u32; 3],
        threads: u32,
        arguments: &[Argument],
    ) -> Result<(), DeviceError> {
        let what = format!("launch {name}");
        let library = library(kind);
        // SAFETY: `processor.h` defines both for every kernel, with these types.
        let (run, letters) = unsafe {
            let run = library.get::<Run>(format!("run_{name}")).map_err(|e| failed(&what, &e.to_string()))?;
            let letters =
                library.get::<Letters>(format!("letters_{name}")).map_err(|e| failed(&what, &e.to_string()))?;
            (*run, CStr::from_ptr(letters()).to_string_lossy().into_owned())
        };
        let given: String = arguments.iter().copied().map(letter).collect();
        if given != letters {
            return Err(failed(&what, &format!("arguments {given} for parameters {letters}")));
        }
        if blocks.contains(&0) || blocks[1].max(blocks[2]) > 65_535 || blocks[0] > i32::MAX as u32 {
            return Err(failed(&what, &format!("a grid of {blocks:?}")));
        }
        for argument in arguments {
            if let Argument::Pointer(at) = argument
                && at.0 != 0
            {
                self.held(&what, *at, 0)?;
            }
        }
        let mut words: Vec<u64> = arguments.iter().map(|argument| u64::from_ne_bytes(argument.bytes())).collect();
        let mut pointers: Vec<*mut c_void> = words.iter_mut().map(|word| std::ptr::from_mut(word).cast()).collect();
        // SAFETY: the arguments are of the kernel's types, and live until it returns.
        let fault = unsafe {
            let fault = run(pointers.as_mut_ptr(), blocks.as_ptr(), threads);
            (!fault.is_null()).then(|| CStr::from_ptr(fault).to_string_lossy().into_owned())
        };
        fault.map_or(Ok(()), |fault| Err(failed(&what, &fault)))
    }

    fn gemm(&self, product: &Gemm) -> Result<(), DeviceError> {
        let Gemm { m, n, batch, .. } = *product;
        if m == 0 || n == 0 {
            return Ok(());
        }
        columns(product).map_err(|why| failed("multiply", &why))?;
        for nth in 0..batch.count {
            let later = |operand: Operand, step| Operand { span: behind(operand.span, nth * step), ..operand };
            let (a, b, c) = (later(product.a, batch.a), later(product.b, batch.b), behind(product.c, nth * batch.c));
            self.multiply(&Gemm { a, b, c, batch: Batch::ALONE, ..*product })?;
        }
        Ok(())
    }

    fn wait(&self) -> Result<(), DeviceError> {
        Ok(())
    }
}

impl Machine {
    /// One product whose kinds go together and whose matrices lie within their spans.
    fn multiply(&self, product: &Gemm) -> Result<(), DeviceError> {
        let Gemm { m, n, k, alpha, beta, a, b, c, c_stride, .. } = *product;
        let (left, right) = (self.operand(a, m, k)?, self.operand(b, k, n)?);
        let held = self.widened(c, c_stride, m, n)?;
        let mut result = if beta == 0.0 { vec![0.0; m * n] } else { held };
        let left = if a.turned { Mat::full(&left, k, m).t() } else { Mat::full(&left, m, k) };
        let right = if b.turned { Mat::full(&right, n, k).t() } else { Mat::full(&right, k, n) };
        gemm(alpha, left, right, beta, MatMut::full(&mut result, m, n));
        for (i, row) in result.chunks_exact(n.max(1)).enumerate() {
            for (j, &x) in row.iter().enumerate() {
                let at = c.at.0 + ((i * c_stride + j) * c.kind.bytes()) as u64;
                // SAFETY: `widened` has found the span allocated.
                unsafe {
                    match c.kind {
                        Kind::Bf16 => (at as *mut bf16).write_unaligned(bf16::from_f32(x)),
                        _ => (at as *mut f32).write_unaligned(x),
                    }
                }
            }
        }
        Ok(())
    }
}

/// A span without its first numbers.
fn behind(span: Span, first: usize) -> Span {
    span.part(first, span.len - first)
}

/// The letter of the parameter that an argument is for.
fn letter(argument: Argument) -> char {
    match argument {
        Argument::Pointer(_) => 'p',
        Argument::U32(_) => 'u',
        Argument::U64(_) => 'l',
        Argument::F32(_) => 'f',
        Argument::F64(_) => 'd',
    }
}

/// The C++ compiler, if there is one.
fn compiler() -> Option<&'static str> {
    static FOUND: OnceLock<Option<String>> = OnceLock::new();
    let works = |name: &String| Command::new(name).arg("--version").output().is_ok_and(|out| out.status.success());
    let names = || std::env::var("CXX").ok().into_iter().chain(["c++".to_owned(), "g++".to_owned()]);
    FOUND.get_or_init(|| names().find(works)).as_deref()
}

/// The compiled kernels for activations of `kind`.
fn library(kind: Kind) -> &'static Library {
    static LIBRARIES: [OnceLock<Library>; 3] = [OnceLock::new(), OnceLock::new(), OnceLock::new()];
    let at = match kind {
        Kind::F32 => 0,
        Kind::Bf16 => 1,
        Kind::F64 | Kind::U32 => 2,
    };
    LIBRARIES[at].get_or_init(|| {
        let text = format!("{}\n{}", include_str!("emulated/processor.h"), ops::text(kind));
        let path = compile(&text);
        // SAFETY: it was compiled from the text above, which runs nothing when it is loaded.
        unsafe { Library::new(&path) }.unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    })
}

/// The folder beside the test program where compiled kernels are kept.
pub(super) fn folder() -> PathBuf {
    let program = std::env::current_exe().expect("the test program's path");
    program.parent().unwrap_or(Path::new(".")).join("togi-kernels")
}

/// Compiles a library beside the test program, unless it is there.
fn compile(text: &str) -> PathBuf {
    const OPTIONS: [&str; 9] = [
        "-std=c++17",
        "-O2",
        "-w",
        "-shared",
        "-fPIC",
        "-fno-strict-aliasing",
        "-ffp-contract=off",
        "-Wl,-Bsymbolic",
        "-o",
    ];
    let folder = folder();
    let compiler = compiler().expect("a compiler, without which there is no machine");
    let name = blake3::hash(format!("{compiler} {OPTIONS:?}\n{text}").as_bytes()).to_hex();
    let path = folder.join(format!("{name}.so"));
    if path.exists() {
        return path;
    }
    std::fs::create_dir_all(&folder).expect("a folder for compiled kernels");
    let workshop = tempfile::tempdir_in(&folder).expect("a folder for compiled kernels");
    let (source, made) = (workshop.path().join("kernels.cpp"), workshop.path().join("kernels.so"));
    std::fs::write(&source, text).expect("the kernels' text written");
    let out = Command::new(compiler).args(OPTIONS).arg(&made).arg(&source).output().expect("the compiler runs");
    assert!(out.status.success(), "the kernels do not compile:\n{}", String::from_utf8_lossy(&out.stderr));
    std::fs::rename(&made, &path).expect("the compiled kernels in their place");
    path
}

#[cfg(test)]
mod tests;
