//! NVIDIA GPUs as devices: the driver, NVRTC and cuBLASLt, all found when the program runs.
//!
//! One stream carries all work in the order it was asked for. Memory comes from the driver's pool, which is told to keep what it
//! has: a step that allocates what the last one released asks the system for nothing and waits for nothing. Writes of up to 4 MiB go
//! through page-locked memory (`ring`), so that they do not wait either. Kernels are compiled when the first of their kind is launched
//! (`kernels`); products are cuBLASLt's (`products`).
//!
//! The driver knows a *current context* for each thread, so every call here first makes the device's own the current one: a
//! device may be used from any thread.
#![allow(unsafe_code)] // calls the driver

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{CString, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Address, Argument, Device, DeviceError, Gemm, Kind, Memory};

mod driver;
mod kernels;
mod library;
mod products;
mod ring;

pub use driver::{Found, Installed, found};

use driver::{Open, start};
use kernels::Target;
use library::{Handle, Nvrtc};
use products::Products;
use ring::Ring;

/// What cuBLASLt may use: what its documentation recommends for Hopper.
const WORKSPACE: usize = 32 << 20;

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
    let ring = Mutex::new(Ring::new(&open)?);
    Ok(Cuda { products, modules: Mutex::default(), ring, nvrtc, target, kept: kept.map(Path::to_owned), found, open })
}

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
        lock(&self.ring).close(&driver);
        // SAFETY: as above.
        unsafe { (driver.free)(self.products.workspace(), self.open.stream) };
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
        Ok(Memory { free: free as u64 + self.open.idle()?, total: total as u64 })
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
        if bytes.len() > ring::PART {
            // SAFETY: the bytes stay until the copy is done, which is waited for.
            let code = unsafe { (driver.copy_to)(to.0, bytes.as_ptr().cast(), bytes.len(), self.open.stream) };
            // Waited for in any case: the copy may have begun.
            let done = self.open.wait();
            driver.check(code, &what())?;
            return done;
        }
        // Held until the copy is asked for: what marks a part of the ring as copied comes behind all copies from it.
        let mut ring = lock(&self.ring);
        let from = ring.hold(&driver, self.open.stream, bytes)?;
        // SAFETY: the ring holds the bytes until they are copied.
        let code = unsafe { (driver.copy_to)(to.0, from.cast(), bytes.len(), self.open.stream) };
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
