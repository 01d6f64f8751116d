//! The kernels as functions: each checks kinds and lengths, then launches.
//!
//! A function here does on a device what the function of its name in [`model::ops`](crate::model::ops) does on the processor.
//! Shapes are row-major. `kind` is that of activations, f32 or bf16; weights of norms, biases and tables are f32, tokens and row
//! numbers u32, and all sums are f32 or f64 in an order that depends on shapes alone, so results repeat bit for bit. Nothing is
//! allocated, and nothing waits. A span that does not fit gives [`DeviceError::Failed`] with the operation's name before
//! anything is launched; numbers that lie on the device (tokens, rows, positions, targets) are not looked at before, but a
//! kernel reads nothing outside of its spans for them: what would come from there is NaN.
//!
//! Knows the kernels' names and parameters (`assets/kernels`) and nothing of how a device carries them out.

use super::{Argument, Device, DeviceError, Kind, Span};

mod attention;
mod elements;
mod loss;
mod rows;

pub use attention::{TILE, Tiling, attention, attention_backward, attention_scratch};
pub use elements::{activate, activate_backward, add, add_bias, convert, drop, drop_add};
pub use loss::{PARTIALS, adamw, cross_entropy, squared_norm, weigh_losses};
pub use rows::{
    NormSpans, RotarySpans, embed, gather, head_norm, head_norm_backward, norm, norm_backward, put, rotary, scatter,
};

/// What every operation returns.
pub type Done = Result<(), DeviceError>;

/// The CUDA text of the kernels that were compiled for activations of `kind`; kernels that touch no activations are a text of
/// their own, launched and asked for as [`Kind::F64`].
#[must_use]
pub fn text(kind: Kind) -> String {
    const NUMBERS: &str = include_str!("../../../assets/kernels/numbers.cu");
    const PARTS: [&str; 4] = [
        include_str!("../../../assets/kernels/rows.cu"),
        include_str!("../../../assets/kernels/elements.cu"),
        include_str!("../../../assets/kernels/cross_entropy.cu"),
        include_str!("../../../assets/kernels/attention.cu"),
    ];
    // What multiplies bf16 on tensor cores; a GPU that has none for bf16 would not compile it.
    const CORES: &str = include_str!("../../../assets/kernels/attention_cores.cu");
    const UPDATE: &str = include_str!("../../../assets/kernels/update.cu");
    let (activations, cores) = match kind {
        Kind::F32 => ("float", ""),
        Kind::Bf16 => ("bf16", CORES),
        Kind::F64 | Kind::U32 => return format!("{NUMBERS}\n{UPDATE}"),
    };
    format!("{NUMBERS}\ntypedef {activations} T;\n{}\n{cores}", PARTS.join("\n"))
}

/// Threads of a block of every kernel.
const THREADS: u32 = 256;
/// Numbers of a row or a flat stretch that one block takes: four a thread.
const BLOCK: usize = 4 * THREADS as usize;
/// Rows a block takes where a warp takes one.
const WARPS: usize = THREADS as usize / 32;

/// One operation under way: its name for messages, the kernels' kind.
struct Call<'a> {
    device: &'a dyn Device,
    kind: Kind,
    operation: &'static str,
}

impl<'a> Call<'a> {
    /// An operation on activations.
    fn new(device: &'a dyn Device, kind: Kind, operation: &'static str) -> Result<Self, DeviceError> {
        let call = Self { device, kind, operation };
        if matches!(kind, Kind::F32 | Kind::Bf16) {
            Ok(call)
        } else {
            Err(call.fault(&format!("activations are f32 or bf16, not {kind}")))
        }
    }

    /// An operation that touches no activations.
    fn plain(device: &'a dyn Device, operation: &'static str) -> Self {
        Self { device, kind: Kind::F64, operation }
    }

    fn fault(&self, why: &str) -> DeviceError {
        DeviceError::Failed { what: format!("run the operation {}", self.operation), why: why.to_owned() }
    }

    /// Fails unless `span` holds exactly `len` numbers of `kind`.
    fn exact(&self, name: &str, span: Span, kind: Kind, len: usize) -> Done {
        if span.kind == kind && span.len == len {
            return Ok(());
        }
        Err(self.fault(&format!("{name} holds {} numbers of {}, not {len} of {kind}", span.len, span.kind)))
    }

    /// Fails unless `span` holds at least `len` numbers of `kind`.
    fn least(&self, name: &str, span: Span, kind: Kind, len: usize) -> Done {
        if span.kind == kind && span.len >= len {
            return Ok(());
        }
        Err(self.fault(&format!("{name} holds {} numbers of {}, not at least {len} of {kind}", span.len, span.kind)))
    }

    /// How many rows of `width` numbers of `kind` `span` holds.
    fn rows(&self, name: &str, span: Span, kind: Kind, width: usize) -> Result<usize, DeviceError> {
        if span.kind != kind {
            return Err(self.fault(&format!("{name} holds numbers of {}, not of {kind}", span.kind)));
        }
        match span.len.checked_rem(width) {
            Some(0) => Ok(span.len / width),
            _ => Err(self.fault(&format!("{name} holds {} numbers, which are no rows of {width}", span.len))),
        }
    }

    /// A count as a kernel takes it; kernels count rows, columns and blocks below 2^31.
    fn number(&self, name: &str, count: usize) -> Result<u32, DeviceError> {
        match u32::try_from(count) {
            Ok(number) if number < 1 << 31 => Ok(number),
            _ => Err(self.fault(&format!("{count} {name} are more than a kernel counts"))),
        }
    }

    /// Launches `kernel`, unless there is nothing to do.
    fn launch(&self, kernel: &str, blocks: [usize; 3], arguments: &[Argument]) -> Done {
        self.launch_in(THREADS, kernel, blocks, arguments)
    }

    /// The same in blocks of `threads` threads.
    fn launch_in(&self, threads: u32, kernel: &str, blocks: [usize; 3], arguments: &[Argument]) -> Done {
        if blocks.contains(&0) {
            return Ok(());
        }
        let blocks =
            [self.number("blocks", blocks[0])?, self.number("blocks", blocks[1])?, self.number("blocks", blocks[2])?];
        if blocks[1].max(blocks[2]) > 65_535 {
            return Err(self.fault("a row is longer than a kernel takes"));
        }
        self.device.launch(kernel, self.kind, blocks, threads, arguments)
    }
}

/// The grid of a kernel that takes a row in blocks.
fn row_grid(rows: usize, width: usize) -> [usize; 3] {
    [rows, width.div_ceil(BLOCK), 1]
}

/// The grid of a kernel that takes a flat stretch.
fn flat_grid(len: usize) -> [usize; 3] {
    [len.div_ceil(BLOCK), 1, 1]
}

/// Whether a kernel may take four numbers at once: all `widths` are multiples of four and all spans begin where four of their
/// numbers are aligned.
fn wide(spans: &[Span], widths: &[usize]) -> Argument {
    let whole = widths.iter().all(|width| width % 4 == 0);
    let aligned = spans.iter().all(|span| span.at.0 % (4 * span.kind.bytes() as u64) == 0);
    Argument::U32(u32::from(whole && aligned))
}

fn pointer(span: Span) -> Argument {
    Argument::Pointer(span.at)
}
