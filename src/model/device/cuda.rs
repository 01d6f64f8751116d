//! NVIDIA GPUs as devices: the driver, NVRTC and cuBLASLt, all found when the program runs.
//!
//! One stream carries all work in the order it was asked for. Memory comes from the driver's pool, which is told to keep what it
//! has: a step that allocates what the last one released asks the system for nothing and waits for nothing. Small writes go
//! through page-locked memory, so that they do not wait either. Kernels are compiled when the first of their kind is launched
//! (`kernels`); products are cuBLASLt's (`products`).
//!
//! The driver knows a *current context* for each thread, so every call here first makes the device's own the current one: a
//! device may be used from any thread.
#![allow(unsafe_code)] // calls the driver

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Address, Argument, Device, DeviceError, Gemm, Kind, Memory};

mod kernels;
mod library;
mod products;

use kernels::Target;
use library::{Driver, Handle, Nvrtc, words};
use products::Products;

/// The oldest CUDA whose driver is served.
const OLDEST: c_int = 12;
/// What cuBLASLt may use: what its documentation recommends for Hopper.
const WORKSPACE: usize = 32 << 20;
/// Page-locked memory for writes.
const RING: usize = 8 << 20;

// From `cuda.h`.
const OUT_OF_MEMORY: c_int = 2;
const NO_DEVICE: c_int = 100;
const CAPABILITY_MAJOR: c_int = 75;
const CAPABILITY_MINOR: c_int = 76;
const POOLS_SUPPORTED: c_int = 115;
const STREAM_NON_BLOCKING: u32 = 1;
const POOL_RELEASE_THRESHOLD: c_int = 4;
const POOL_RESERVED: c_int = 5;
const POOL_USED: c_int = 7;

/// A GPU that the driver has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its number for [`open`].
    pub ordinal: usize,
    pub name: String,
    /// Bytes in all.
    pub memory: u64,
    /// Compute capability: `(9, 0)` for Hopper.
    pub capability: (i32, i32),
}

impl Found {
    /// Whether it multiplies bf16; otherwise it is to be used in f32.
    #[must_use]
    pub fn bf16(&self) -> bool {
        self.capability.0 >= 8
    }
}

/// What the driver has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The CUDA that the driver is for, `(13, 0)`.
    pub driver: (i32, i32),
    pub gpus: Vec<Found>,
}

/// The driver's CUDA and the GPUs it finds, at least one.
///
/// # Errors
/// [`DeviceError::Absent`], in plain words, where there is no driver, an old one, or no GPU.
pub fn found() -> Result<Installed, DeviceError> {
    let driver = start()?;
    let mut gpus = Vec::new();
    let mut count = 0;
    // SAFETY: written.
    driver.check(unsafe { (driver.device_count)(&raw mut count) }, "count GPUs")?;
    for ordinal in 0..count {
        gpus.push(driver.look_at(ordinal)?.1);
    }
    if gpus.is_empty() {
        return Err(DeviceError::Absent("the NVIDIA driver is there but finds no GPU".to_owned()));
    }
    Ok(Installed { driver: driver.cuda()?, gpus })
}

/// Opens a GPU and the libraries it needs; compiled kernels are kept in the folder `kept`, where there is one.
///
/// # Errors
/// [`DeviceError::Absent`] with what to install where a driver, the GPU or a library is missing; [`DeviceError::Failed`] when the
/// driver refuses.
pub fn open(ordinal: usize, kept: Option<&Path>) -> Result<Cuda, DeviceError> {
    let driver = start()?;
    let (major, _) = driver.cuda()?;
    let number = c_int::try_from(ordinal).unwrap_or(c_int::MAX);
    let mut count = 0;
    // SAFETY: written.
    driver.check(unsafe { (driver.device_count)(&raw mut count) }, "count GPUs")?;
    if number >= count {
        let why = format!("there is no GPU {ordinal}: the driver finds {count}, counted from 0");
        return Err(DeviceError::Absent(why));
    }
    let (device, found) = driver.look_at(number)?;
    let nvrtc = library::nvrtc(major.unsigned_abs())?;
    let cublas_lt = library::cublas_lt(major.unsigned_abs())?;
    let target = kernels::target(&nvrtc, found.capability)?;
    let open = Open::new(driver, device)?;
    let workspace = open.allocate(WORKSPACE)?;
    let products = Products::new(cublas_lt, (workspace, WORKSPACE))?;
    let ring = Mutex::new(Ring { start: open.page_locked(RING)?, used: 0 });
    Ok(Cuda { products, modules: Mutex::default(), ring, nvrtc, target, kept: kept.map(Path::to_owned), found, open })
}

/// The driver, ready for calls.
fn start() -> Result<Arc<Driver>, DeviceError> {
    let driver = library::driver()?;
    // SAFETY: takes no pointer; may be called again and again.
    match unsafe { (driver.init)(0) } {
        0 => {}
        NO_DEVICE => return Err(DeviceError::Absent("the NVIDIA driver is there but finds no GPU".to_owned())),
        code => {
            let why = driver.why(code);
            return Err(DeviceError::Absent(format!(
                "the NVIDIA driver is there but does not start: {why}. `nvidia-smi` may tell more; after an update of the \
                 driver the machine must be started again"
            )));
        }
    }
    let (major, minor) = driver.cuda()?;
    if major < OLDEST {
        return Err(DeviceError::Absent(format!(
            "the NVIDIA driver is one for CUDA {major}.{minor}; togi needs one for CUDA {OLDEST} or newer: update it"
        )));
    }
    Ok(Arc::new(driver))
}

impl Driver {
    /// What a code means.
    fn why(&self, code: c_int) -> String {
        let mut text = ptr::null();
        // SAFETY: written, with a constant or null.
        unsafe { (self.error_string)(code, &raw mut text) };
        format!("{} (CUDA error {code})", words(text))
    }

    fn check(&self, code: c_int, what: &str) -> Result<(), DeviceError> {
        if code == 0 { Ok(()) } else { Err(DeviceError::Failed { what: what.to_owned(), why: self.why(code) }) }
    }

    /// The CUDA the driver is for.
    fn cuda(&self) -> Result<(i32, i32), DeviceError> {
        let mut version = 0;
        // SAFETY: written.
        self.check(unsafe { (self.version)(&raw mut version) }, "ask the driver for its version")?;
        Ok((version / 1000, version % 1000 / 10))
    }

    fn attribute(&self, device: c_int, attribute: c_int) -> Result<c_int, DeviceError> {
        let mut value = 0;
        // SAFETY: written.
        self.check(unsafe { (self.device_attribute)(&raw mut value, attribute, device) }, "ask a GPU what it is")?;
        Ok(value)
    }

    /// The driver's number of a GPU, and what it is.
    fn look_at(&self, ordinal: c_int) -> Result<(c_int, Found), DeviceError> {
        let (mut device, mut memory) = (0, 0);
        let mut name = [0 as c_char; 128];
        // SAFETY: all are written; the name has room for 127 letters and a zero.
        unsafe {
            self.check((self.device)(&raw mut device, ordinal), "find a GPU")?;
            self.check((self.device_name)(name.as_mut_ptr(), 127, device), "ask a GPU for its name")?;
            self.check((self.device_memory)(&raw mut memory, device), "ask a GPU for its memory")?;
        }
        let capability = (self.attribute(device, CAPABILITY_MAJOR)?, self.attribute(device, CAPABILITY_MINOR)?);
        let found = Found {
            ordinal: ordinal.unsigned_abs() as usize,
            name: words(name.as_ptr()),
            memory: memory as u64,
            capability,
        };
        Ok((device, found))
    }
}

/// A device's context, stream and pool.
struct Open {
    driver: Arc<Driver>,
    device: c_int,
    context: Handle,
    stream: Handle,
    pool: Handle,
}

// SAFETY: the driver's handles may be used from any thread in which the context is current, which every call sees to.
unsafe impl Send for Open {}
// SAFETY: as above; the driver locks what must be locked.
unsafe impl Sync for Open {}

impl Open {
    fn new(driver: Arc<Driver>, device: c_int) -> Result<Self, DeviceError> {
        if driver.attribute(device, POOLS_SUPPORTED)? == 0 {
            let why = "this GPU, or the virtual machine it is lent to, has no memory pools, which togi needs";
            return Err(DeviceError::Absent(why.to_owned()));
        }
        let mut context = ptr::null_mut();
        // SAFETY: written.
        driver.check(unsafe { (driver.context_retain)(&raw mut context, device) }, "open the GPU")?;
        // From here on what has been opened is closed when `open` is dropped.
        let mut open = Self { driver, device, context, stream: ptr::null_mut(), pool: ptr::null_mut() };
        let driver = open.bound()?;
        // SAFETY: handles are written before they are used; the threshold is read as 64 bits.
        unsafe {
            driver.check((driver.stream_create)(&raw mut open.stream, STREAM_NON_BLOCKING), "open a stream")?;
            driver.check((driver.pool)(&raw mut open.pool, device), "find the GPU's memory pool")?;
            let mut all = u64::MAX;
            let threshold = (&raw mut all).cast::<c_void>();
            driver.check((driver.pool_set)(open.pool, POOL_RELEASE_THRESHOLD, threshold), "set up the memory pool")?;
        }
        Ok(open)
    }

    /// The driver, with this device's context current in the calling thread.
    fn bound(&self) -> Result<Arc<Driver>, DeviceError> {
        // SAFETY: the context is retained for as long as this lives.
        self.driver.check(unsafe { (self.driver.context_bind)(self.context) }, "turn to the GPU")?;
        Ok(Arc::clone(&self.driver))
    }

    fn wait(&self) -> Result<(), DeviceError> {
        let driver = self.bound()?;
        // SAFETY: the stream is open.
        driver.check(unsafe { (driver.stream_wait)(self.stream) }, "carry out what was asked of it")
    }

    fn allocate(&self, bytes: usize) -> Result<u64, DeviceError> {
        let driver = self.bound()?;
        let mut at = 0;
        // SAFETY: written.
        let mut try_once = || unsafe { (driver.allocate)(&raw mut at, bytes, self.stream) };
        let mut code = try_once();
        if code == OUT_OF_MEMORY {
            // What was released but is still in use, and what the pool holds in pieces too small, may be enough.
            self.wait()?;
            // SAFETY: the pool is the device's own.
            driver.check(unsafe { (driver.pool_trim)(self.pool, 0) }, "tidy the memory pool")?;
            code = try_once();
        }
        if code == OUT_OF_MEMORY {
            return Err(DeviceError::OutOfMemory { asked: bytes });
        }
        driver.check(code, "allocate memory")?;
        Ok(at)
    }

    /// Page-locked memory of the processor's.
    fn page_locked(&self, bytes: usize) -> Result<*mut u8, DeviceError> {
        let driver = self.bound()?;
        let mut start = ptr::null_mut();
        // SAFETY: written.
        driver.check(unsafe { (driver.allocate_host)(&raw mut start, bytes) }, "lock memory for writes")?;
        Ok(start.cast())
    }

    fn pool_bytes(&self, which: c_int) -> Result<u64, DeviceError> {
        let driver = self.bound()?;
        let mut bytes = 0u64;
        let to = (&raw mut bytes).cast::<c_void>();
        // SAFETY: both of the numbers asked for have 64 bits.
        driver.check(unsafe { (driver.pool_get)(self.pool, which, to) }, "ask the memory pool")?;
        Ok(bytes)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // What fails here has no one to tell, and the process's end does the same.
        // SAFETY: nothing is used again.
        unsafe {
            (self.driver.context_bind)(self.context);
            if !self.stream.is_null() {
                (self.driver.stream_wait)(self.stream);
                (self.driver.stream_destroy)(self.stream);
            }
            (self.driver.context_release)(self.device);
        }
    }
}

/// Page-locked memory that writes go through, used from its start to its end and then, when all work is done, again.
struct Ring {
    start: *mut u8,
    used: usize,
}

// SAFETY: used under a lock.
unsafe impl Send for Ring {}

/// Compiled kernels of one kind.
struct Module {
    handle: Handle,
    functions: HashMap<String, Handle>,
}

// SAFETY: the driver's handles may be used from any thread; these are under a lock.
unsafe impl Send for Module {}

/// See the module's words. Fields close in their order.
pub struct Cuda {
    products: Products,
    modules: Mutex<HashMap<Kind, Module>>,
    ring: Mutex<Ring>,
    nvrtc: Nvrtc,
    target: Target,
    kept: Option<PathBuf>,
    found: Found,
    open: Open,
}

impl Cuda {
    /// What it is.
    #[must_use]
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// A kernel's function, compiled and loaded with all of its kind when the first is asked for.
    fn function(&self, name: &str, kind: Kind) -> Result<Handle, DeviceError> {
        let driver = self.open.bound()?;
        let mut modules = lock(&self.modules);
        let module = match modules.entry(kind) {
            Entry::Occupied(kept) => kept.into_mut(),
            Entry::Vacant(empty) => {
                let handle =
                    kernels::image(&self.nvrtc, kind, self.target, self.kept.as_deref(), |image| self.load(image))?;
                empty.insert(Module { handle, functions: HashMap::new() })
            }
        };
        let missing =
            || DeviceError::Failed { what: format!("find the kernel {name}"), why: "there is none".to_owned() };
        if let Some(&function) = module.functions.get(name) {
            return Ok(function);
        }
        let text = CString::new(name).map_err(|_| missing())?;
        let mut function = ptr::null_mut();
        // SAFETY: written; the module is loaded.
        let code = unsafe { (driver.module_function)(&raw mut function, module.handle, text.as_ptr()) };
        driver.check(code, &format!("find the kernel {name}"))?;
        module.functions.insert(name.to_owned(), function);
        Ok(function)
    }

    /// Loads a module's image, a cubin or PTX.
    fn load(&self, image: &[u8]) -> Result<Handle, DeviceError> {
        let driver = self.open.bound()?;
        let mut whole = image.to_vec();
        whole.push(0); // PTX ends with a zero
        let mut module = ptr::null_mut();
        // SAFETY: the image is a cubin, whose own header tells its length, or a text that ends with a zero.
        let code = unsafe { (driver.module_load)(&raw mut module, whole.as_ptr().cast()) };
        driver.check(code, "load the compiled kernels")?;
        Ok(module)
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        // What fails here has no one to tell.
        let Ok(driver) = self.open.bound() else { return };
        let _ = self.open.wait();
        for (_, module) in lock(&self.modules).drain() {
            // SAFETY: all work is done, and no function of it is used again.
            unsafe { (driver.module_unload)(module.handle) };
        }
        let ring = lock(&self.ring);
        // SAFETY: as above.
        unsafe {
            (driver.free_host)(ring.start.cast());
            (driver.free)(self.products.workspace(), self.open.stream);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Device for Cuda {
    fn name(&self) -> String {
        self.found.name.clone()
    }

    fn has_bf16(&self) -> bool {
        self.found.bf16()
    }

    fn memory(&self) -> Result<Memory, DeviceError> {
        let driver = self.open.bound()?;
        let (mut free, mut total) = (0, 0);
        // SAFETY: both are written.
        let code = unsafe { (driver.memory_info)(&raw mut free, &raw mut total) };
        driver.check(code, "ask for free memory")?;
        // What the pool keeps unused is free for us.
        let idle = self.open.pool_bytes(POOL_RESERVED)?.saturating_sub(self.open.pool_bytes(POOL_USED)?);
        Ok(Memory { free: free as u64 + idle, total: total as u64 })
    }

    fn allocate(&self, bytes: usize) -> Result<Address, DeviceError> {
        self.open.allocate(bytes).map(Address)
    }

    fn release(&self, at: Address) {
        let released = self.open.bound().and_then(|driver| {
            // SAFETY: the caller has it from `allocate` and uses it no more; work asked for before comes before.
            driver.check(unsafe { (driver.free)(at.0, self.open.stream) }, "release memory")
        });
        if let Err(error) = released {
            tracing::warn!("{error}");
        }
    }

    fn write(&self, to: Address, bytes: &[u8]) -> Result<(), DeviceError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let driver = self.open.bound()?;
        let what = || format!("copy {} bytes to it", bytes.len());
        if bytes.len() > RING / 4 {
            // SAFETY: the bytes stay until the copy is done, which is waited for.
            let code = unsafe { (driver.copy_to)(to.0, bytes.as_ptr().cast(), bytes.len(), self.open.stream) };
            driver.check(code, &what())?;
            return self.open.wait();
        }
        let mut ring = lock(&self.ring);
        if ring.used + bytes.len() > RING {
            self.open.wait()?;
            ring.used = 0;
        }
        // SAFETY: there is room, and what was copied from there before has been waited for.
        let code = unsafe {
            let from = ring.start.add(ring.used);
            ptr::copy_nonoverlapping(bytes.as_ptr(), from, bytes.len());
            (driver.copy_to)(to.0, from.cast(), bytes.len(), self.open.stream)
        };
        ring.used += bytes.len().next_multiple_of(64);
        driver.check(code, &what())
    }

    fn read(&self, from: Address, bytes: &mut [u8]) -> Result<(), DeviceError> {
        if bytes.is_empty() {
            return self.open.wait();
        }
        let driver = self.open.bound()?;
        // SAFETY: the bytes stay until the copy is done, which is waited for.
        let code = unsafe { (driver.copy_from)(bytes.as_mut_ptr().cast(), from.0, bytes.len(), self.open.stream) };
        // Waited for in any case: the copy may have begun.
        let done = self.open.wait();
        driver.check(code, &format!("copy {} bytes from it", bytes.len()))?;
        done
    }

    fn zero(&self, at: Address, bytes: usize) -> Result<(), DeviceError> {
        if bytes == 0 {
            return Ok(());
        }
        let driver = self.open.bound()?;
        // SAFETY: the caller's memory.
        driver
            .check(unsafe { (driver.set_bytes)(at.0, 0, bytes, self.open.stream) }, &format!("set {bytes} bytes to 0"))
    }

    fn copy(&self, from: Address, to: Address, bytes: usize) -> Result<(), DeviceError> {
        if bytes == 0 {
            return Ok(());
        }
        let driver = self.open.bound()?;
        // SAFETY: the caller's memory.
        let code = unsafe { (driver.copy_within)(to.0, from.0, bytes, self.open.stream) };
        driver.check(code, &format!("copy {bytes} bytes within it"))
    }

    fn launch(
        &self,
        name: &str,
        kind: Kind,
        blocks: [u32; 3],
        threads: u32,
        arguments: &[Argument],
    ) -> Result<(), DeviceError> {
        let function = self.function(name, kind)?;
        let driver = self.open.bound()?;
        let mut words: Vec<u64> = arguments.iter().map(|argument| u64::from_ne_bytes(argument.bytes())).collect();
        let mut pointers: Vec<*mut c_void> = words.iter_mut().map(|word| ptr::from_mut(word).cast()).collect();
        // SAFETY: the arguments are as the kernel's parameters (tests compare them where the kernels run on the processor), and
        // are copied before this returns; their memory is the caller's.
        let code = unsafe {
            let [x, y, z] = blocks;
            let (stream, arguments) = (self.open.stream, pointers.as_mut_ptr());
            (driver.launch)(function, x, y, z, threads, 1, 1, 0, stream, arguments, ptr::null_mut())
        };
        driver.check(code, &format!("launch the kernel {name}"))
    }

    fn gemm(&self, gemm: &Gemm) -> Result<(), DeviceError> {
        if gemm.a.span.kind == Kind::Bf16 && !self.found.bf16() {
            let (major, minor) = self.found.capability;
            let why = format!("its compute capability is {major}.{minor}, and bf16 needs 8.0: use f32");
            return Err(DeviceError::Failed { what: "multiply in bf16".to_owned(), why });
        }
        self.open.bound()?;
        self.products.multiply(gemm, self.open.stream)
    }

    fn wait(&self) -> Result<(), DeviceError> {
        self.open.wait()
    }
}
