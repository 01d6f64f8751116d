//! A device beside the processor: memory of its own, kernels that run there, products of matrices.
//!
//! The training engine for a device ([`train::device`](crate::train)) is written once against [`Device`]: on an NVIDIA GPU it is
//! carried out by the driver, NVRTC and cuBLASLt (feature `cuda`), and in tests by the processor, which compiles the very text
//! of the kernels as C++. So the whole path is compared with the processor's own engine on machines without a GPU.
//!
//! Every fused kernel has its portable form in [`model::ops`](crate::model::ops): with these any machine trains that has no NVIDIA
//! GPU, a Mac among them. The feature `metal` turns on candle's own and nothing here, so there is nothing of it that might not compile.
//!
//! All work of a device runs in one order, that in which it was asked for; only [`Device::read`] and [`Device::wait`] wait, and
//! [`Device::write`] where far more is on its way than a step takes.
//! [`ops`] has a function for each kernel, which checks shapes before anything is launched; [`pool`] lends memory again, [`weights`]
//! and [`linear`] are a decoder's, and [`infer`] answers with it. Knows nothing of training steps.

use std::fmt;

pub mod choose;
#[cfg(any(test, feature = "cuda"))]
mod columns;
#[cfg(feature = "cuda")]
pub mod cuda;
#[cfg(test)]
pub(crate) mod emulated;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod infer;
pub mod layers;
pub mod linear;
pub mod ops;
pub mod pool;
pub mod tables;
#[cfg(test)]
mod tests;
pub mod weights;

/// The first byte of a stretch of a device's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address(pub u64);

/// How a number is stored on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    F32,
    Bf16,
    U32,
    F64,
}

impl Kind {
    /// Bytes of one number.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Bf16 => 2,
            Self::F32 | Self::U32 => 4,
            Self::F64 => 8,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::U32 => "u32",
            Self::F64 => "f64",
        })
    }
}

/// Numbers of one kind behind one another in a device's memory. Whoever allocated them sees to it that they are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub at: Address,
    /// Numbers, not bytes.
    pub len: usize,
    pub kind: Kind,
}

impl Span {
    /// `len` numbers from number `first` on.
    ///
    /// # Panics
    /// When they are not all within this span: a mistake of the caller.
    #[must_use]
    pub fn part(self, first: usize, len: usize) -> Self {
        assert!(first.checked_add(len).is_some_and(|end| end <= self.len), "{len} from {first} of {}", self.len);
        Self { at: Address(self.at.0 + (first * self.kind.bytes()) as u64), len, kind: self.kind }
    }

    /// Bytes in all.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.len * self.kind.bytes()
    }
}

/// One argument of a kernel, as its parameter is declared there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Argument {
    /// A pointer, `T*`; zero for a null pointer.
    Pointer(Address),
    /// `unsigned int`
    U32(u32),
    /// `unsigned long long`
    U64(u64),
    /// `float`
    F32(f32),
    /// `double`
    F64(f64),
}

impl Argument {
    /// Its bytes, the first at the lowest address, as the kernel finds them behind a pointer.
    #[cfg(any(test, feature = "cuda"))]
    fn bytes(self) -> [u8; 8] {
        let mut bytes = [0; 8];
        match self {
            Self::Pointer(Address(x)) | Self::U64(x) => bytes = x.to_ne_bytes(),
            Self::U32(x) => bytes[..4].copy_from_slice(&x.to_ne_bytes()),
            Self::F32(x) => bytes[..4].copy_from_slice(&x.to_ne_bytes()),
            Self::F64(x) => bytes = x.to_ne_bytes(),
        }
        bytes
    }
}

/// A matrix in rows, `stride` numbers from one row to the next.
#[derive(Clone, Copy, Debug)]
pub struct Operand {
    pub span: Span,
    pub stride: usize,
    /// Whether its transpose takes part in the product.
    pub turned: bool,
}

/// Products of one form that are done at once, and how far each matrix of one lies behind that of the product before, in numbers.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    pub count: usize,
    pub a: usize,
    pub b: usize,
    pub c: usize,
}

impl Batch {
    /// A product alone: it has no next one.
    pub const ALONE: Self = Self { count: 1, a: 0, b: 0, c: 0 };
}

/// `c = alpha * a b + beta * c` with `a` `[m, k]`, `b` `[k, n]` and `c` `[m, n]` (as they are after turning). `a` and `b` are of one
/// kind, f32 or bf16; `c` is of that kind or f32; sums are f32 throughout. The spans hold the matrices of all products of a batch,
/// whose results do not overlap.
#[derive(Clone, Copy, Debug)]
pub struct Gemm {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub alpha: f32,
    pub beta: f32,
    pub a: Operand,
    pub b: Operand,
    pub c: Span,
    pub c_stride: usize,
    pub batch: Batch,
}

/// Memory of a device in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub free: u64,
    pub total: u64,
}

/// What a device could not do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DeviceError {
    /// Answered by a smaller pass, as long as there is one.
    #[error(
        "the device has no {asked} bytes left; shorter records (train.max_length), train.checkpointing = true or a smaller \
         model need less"
    )]
    OutOfMemory { asked: usize },
    /// There is no device to use, and why.
    #[error("{0}")]
    Absent(String),
    /// A call failed: what was done, and what the driver said.
    #[error("the device failed to {what}: {why}")]
    Failed { what: String, why: String },
}

/// See the module's words.
pub trait Device: Send + Sync {
    /// What a person would call it: `NVIDIA H200`.
    fn name(&self) -> String;

    /// Whether it multiplies bf16.
    fn has_bf16(&self) -> bool {
        true
    }

    /// Its memory, now.
    ///
    /// # Errors
    /// When the driver does not say.
    fn memory(&self) -> Result<Memory, DeviceError>;

    /// Asks for `bytes` bytes (more than none), whose contents are anything, aligned to 256.
    ///
    /// # Errors
    /// [`DeviceError::OutOfMemory`] where there are not so many.
    fn allocate(&self, bytes: usize) -> Result<Address, DeviceError>;

    /// Gives back what [`allocate`](Self::allocate) gave, after the work asked for so far.
    fn release(&self, at: Address);

    /// Copies to the device. The bytes may change as soon as this returns.
    ///
    /// # Errors
    /// When the driver refuses.
    fn write(&self, to: Address, bytes: &[u8]) -> Result<(), DeviceError>;

    /// Waits for all work asked for so far and copies from the device.
    ///
    /// # Errors
    /// When the driver refuses, or work asked for earlier has failed.
    fn read(&self, from: Address, bytes: &mut [u8]) -> Result<(), DeviceError>;

    /// Sets bytes to zero.
    ///
    /// # Errors
    /// When the driver refuses.
    fn zero(&self, at: Address, bytes: usize) -> Result<(), DeviceError>;

    /// Copies within the device; the stretches do not overlap.
    ///
    /// # Errors
    /// When the driver refuses.
    fn copy(&self, from: Address, to: Address, bytes: usize) -> Result<(), DeviceError>;

    /// Runs the kernel `name` of those compiled for activations of `kind`, on a grid of `blocks` blocks of `threads` threads.
    ///
    /// # Errors
    /// When there is no such kernel or the driver refuses.
    fn launch(
        &self,
        name: &str,
        kind: Kind,
        blocks: [u32; 3],
        threads: u32,
        arguments: &[Argument],
    ) -> Result<(), DeviceError>;

    /// A product of matrices.
    ///
    /// # Errors
    /// When the driver refuses.
    fn gemm(&self, gemm: &Gemm) -> Result<(), DeviceError>;

    /// Waits for all work asked for so far.
    ///
    /// # Errors
    /// When some of it has failed.
    fn wait(&self) -> Result<(), DeviceError>;
}
