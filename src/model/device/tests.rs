//! Every operation on a device against the processor's own: on the emulated one, and on the first GPU where this is built with
//! CUDA and finds one.

mod attention;
mod elements;
mod loss;
mod products;
mod rows;

use half::bf16;

use super::emulated::Machine;
use super::{Device, Kind, Span};

/// A device to be tested.
enum Tested {
    Emulated(Machine),
    #[cfg(feature = "cuda")]
    Gpu(Box<super::cuda::Cuda>),
}

/// A device, the kind of its activations, and whether spans begin at odd places.
pub(super) struct Desk {
    tested: Tested,
    pub kind: Kind,
    odd: bool,
}

/// Runs a test in both kinds, with spans aligned as allocations are and with spans that begin one number further.
pub(super) fn on_desks(test: impl Fn(&Desk)) {
    for kind in [Kind::F32, Kind::Bf16] {
        for odd in [false, true] {
            for tested in devices(kind) {
                let desk = Desk { tested, kind, odd };
                test(&desk);
                desk.check();
            }
        }
    }
}

/// The emulated device, and the first GPU, where they are to be had.
fn devices(kind: Kind) -> Vec<Tested> {
    #[cfg_attr(not(feature = "cuda"), expect(unused_mut))]
    let mut devices: Vec<Tested> = Machine::new(None).map(Tested::Emulated).into_iter().collect();
    #[cfg(not(feature = "cuda"))]
    let _ = kind; // of no matter to the emulated device
    #[cfg(feature = "cuda")]
    match super::cuda::open(0, Some(&super::emulated::folder())) {
        Ok(gpu) if kind == Kind::F32 || gpu.found().bf16() => devices.push(Tested::Gpu(Box::new(gpu))),
        Ok(_) => {}
        Err(error) => {
            assert!(std::env::var_os("TOGI_REQUIRE_GPU").is_none(), "{error}");
            eprintln!("not tested on a GPU: {error}");
        }
    }
    devices
}

/// Numbers between -1 and 1 that are the same every time.
pub(super) fn numbers(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

impl Desk {
    pub fn device(&self) -> &dyn Device {
        match &self.tested {
            Tested::Emulated(machine) => machine,
            #[cfg(feature = "cuda")]
            Tested::Gpu(gpu) => gpu.as_ref(),
        }
    }

    /// Checks that nothing was written where it should not, and that all work was done.
    pub fn check(&self) {
        match &self.tested {
            Tested::Emulated(machine) => machine.check(),
            #[cfg(feature = "cuda")]
            Tested::Gpu(_) => {}
        }
        self.device().wait().expect("all work done");
    }

    /// Numbers as activations can hold them, so that both sides start from the same.
    pub fn held(&self, mut x: Vec<f32>) -> Vec<f32> {
        if self.kind == Kind::Bf16 {
            for x in &mut x {
                *x = bf16::from_f32(*x).to_f32();
            }
        }
        x
    }

    /// A stretch of memory.
    pub fn room(&self, kind: Kind, len: usize) -> Span {
        let first = usize::from(self.odd);
        let at = self.device().allocate((len + first).max(1) * kind.bytes()).expect("memory");
        Span { at, len: len + first, kind }.part(first, len)
    }

    /// A stretch of memory that holds `x`, activations.
    pub fn put(&self, x: &[f32]) -> Span {
        self.put_as(self.kind, x)
    }

    pub fn put_as(&self, kind: Kind, x: &[f32]) -> Span {
        let span = self.room(kind, x.len());
        let bytes: Vec<u8> = match kind {
            Kind::F32 => x.iter().flat_map(|x| x.to_ne_bytes()).collect(),
            Kind::Bf16 => x.iter().flat_map(|x| bf16::from_f32(*x).to_ne_bytes()).collect(),
            Kind::F64 => x.iter().flat_map(|x| f64::from(*x).to_ne_bytes()).collect(),
            Kind::U32 => panic!("floats as u32"),
        };
        self.device().write(span.at, &bytes).expect("written");
        span
    }

    pub fn put_words(&self, x: &[u32]) -> Span {
        let span = self.room(Kind::U32, x.len());
        let bytes: Vec<u8> = x.iter().flat_map(|x| x.to_ne_bytes()).collect();
        self.device().write(span.at, &bytes).expect("written");
        span
    }

    pub fn get(&self, span: Span) -> Vec<f64> {
        let mut bytes = vec![0; span.bytes()];
        self.device().read(span.at, &mut bytes).expect("read");
        let mut numbers = Vec::with_capacity(span.len);
        for number in bytes.chunks_exact(span.kind.bytes()) {
            numbers.push(match span.kind {
                Kind::F32 => f64::from(f32::from_ne_bytes(number.try_into().expect("four bytes"))),
                Kind::Bf16 => bf16::from_ne_bytes(number.try_into().expect("two bytes")).to_f64(),
                Kind::F64 => f64::from_ne_bytes(number.try_into().expect("eight bytes")),
                Kind::U32 => f64::from(u32::from_ne_bytes(number.try_into().expect("four bytes"))),
            });
        }
        numbers
    }

    /// Compares what lies in `span` with what the processor has found: to `tight` of the largest number in f32, to what a
    /// few roundings lose in bf16.
    #[track_caller]
    pub fn expect(&self, name: &str, span: Span, want: &[f32], tight: f64) {
        let got = self.get(span);
        assert_eq!(got.len(), want.len(), "{name}");
        let largest = want.iter().fold(0.0, |m: f64, x| m.max(f64::from(x.abs())));
        let slack = if span.kind == Kind::Bf16 { 0.012 } else { tight } * largest + 1e-30;
        for (i, (got, want)) in got.iter().zip(want).enumerate() {
            let want = f64::from(*want);
            let near = (got - want).abs() <= slack || (got.is_nan() && want.is_nan());
            let Self { kind, odd, .. } = self;
            assert!(near, "{name}, number {i} of {}: {got} for {want} ({kind}, odd: {odd})", span.len);
        }
    }
}
