//! Faults are found, and what is right runs.

use super::*;

const FAULTY: &str = r"
KERNEL(leaves, (float *x)) {
    if (threadIdx.x == 7) return;
    __syncthreads();
    x[threadIdx.x] = 1.0f;
}
KERNEL(apart, (float *x)) {
    if (threadIdx.x < 32) {
        __syncthreads();
    } else {
        x[0] = 1.0f;
        __syncthreads();
    }
}
KERNEL(lanes, (float *x)) {
    if (threadIdx.x % 32 < 16) x[threadIdx.x] = warp_sum(1.0f);
}
KERNEL(overruns, (float *x)) {
    SHARED(float, some, 64);
    some[threadIdx.x / 3] = x[0];
}
KERNEL(sums, (float *x)) {
    x[blockIdx.x * THREADS + threadIdx.x] = (float)block_sum(threadIdx.x) + warp_sum((float)threadIdx.x);
}
";

/// Runs a kernel of the text above on 512 numbers; what is wrong, or the numbers.
fn run(name: &str) -> Option<Result<Vec<f32>, String>> {
    compiler()?;
    let numbers = include_str!("../../../../assets/kernels/numbers.cu");
    let path = compile(&format!("{}\n{numbers}\n{FAULTY}", include_str!("processor.h")));
    let mut x = vec![0f32; 512];
    let mut at = x.as_mut_ptr();
    let mut arguments = [std::ptr::from_mut(&mut at).cast::<c_void>()];
    // SAFETY: the text above, whose kernels take one pointer to 512 floats.
    let fault = unsafe {
        let library = std::mem::ManuallyDrop::new(Library::new(path).expect("loaded"));
        let run = library.get::<Run>(format!("run_{name}")).expect("a kernel");
        let fault = run(arguments.as_mut_ptr(), [2u32, 1, 1].as_ptr(), 256);
        (!fault.is_null()).then(|| CStr::from_ptr(fault).to_string_lossy().into_owned())
    };
    Some(fault.map_or(Ok(x), Err))
}

#[test]
fn threads_that_part_at_barriers_and_shuffles_are_found() {
    let faults = [
        ("leaves", "barrier that not all threads reach"),
        ("apart", "barrier that not all threads reach"),
        ("lanes", "shuffle that its whole warp does not reach"),
        ("overruns", "beyond shared memory"),
    ];
    for (name, fault) in faults {
        let Some(found) = run(name) else { return };
        let why = found.expect_err(name);
        assert!(why.contains(fault), "{name}: {why}");
    }
}

#[test]
fn barriers_and_shuffles_let_threads_meet() {
    let Some(found) = run("sums") else { return };
    for (i, x) in found.expect("no fault").into_iter().enumerate() {
        let warp = i % 256 / 32;
        let want = (255 * 128 + 32 * 32 * warp + 31 * 16) as f32;
        assert!((x - want).abs() < 0.5, "thread {i}: {x} for {want}");
    }
}

#[test]
fn memory_is_counted_limited_and_guarded() {
    let Some(machine) = Machine::new(Some(1000)) else { return };
    let one = machine.allocate(600).expect("room");
    assert!(matches!(machine.allocate(500), Err(DeviceError::OutOfMemory { asked: 500 })));
    let two = machine.allocate(400).expect("room");
    machine.release(one);
    assert_eq!((machine.now(), machine.peak()), (400, 1000));
    let mut bytes = [0; 4];
    machine.read(two, &mut bytes).expect("read");
    assert!(f32::from_ne_bytes(bytes).is_nan(), "fresh memory is no number");
    assert!(machine.write(two, &[0; 401]).is_err(), "beyond its end");
    machine.check();
    // SAFETY: the guard behind the allocation, put back before anything looks again.
    unsafe {
        let guard = (two.0 + 400) as *mut u8;
        *guard = 0;
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| machine.check())).is_err());
        *guard = MARK;
    }
}

#[test]
fn products_are_those_of_the_definition() {
    let Some(machine) = Machine::new(None) else { return };
    let numbers: Vec<u8> = (0..24u8).flat_map(|i| f32::from(i).to_ne_bytes()).collect();
    let at = machine.allocate(numbers.len()).expect("room");
    machine.write(at, &numbers).expect("written");
    let c = machine.allocate(16).expect("room");
    let span = |at, len| Span { at, len, kind: Kind::F32 };
    // [[0, 1], [4, 5]] times the transpose of [[12, 13], [16, 17]], rows 4 apart.
    let a = Operand { span: span(at, 12), stride: 4, turned: false };
    let b = Operand { span: span(at, 24).part(12, 12), stride: 4, turned: true };
    let product =
        Gemm { m: 2, n: 2, k: 2, alpha: 2.0, beta: 0.0, a, b, c: span(c, 4), c_stride: 2, batch: Batch::ALONE };
    machine.gemm(&product).expect("multiplied");
    let mut bytes = [0; 16];
    machine.read(c, &mut bytes).expect("read");
    let got: Vec<f32> = bytes.chunks_exact(4).map(|b| f32::from_ne_bytes(b.try_into().expect("four bytes"))).collect();
    assert_eq!(got, [26.0, 34.0, 226.0, 298.0]);
}
