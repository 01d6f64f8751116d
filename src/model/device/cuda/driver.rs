//! The driver: what it finds, and a GPU opened: its context, stream and memory pool.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::sync::Arc;

use super::library::{self, Driver, Handle, words};
use crate::model::device::DeviceError;

/// The oldest CUDA whose driver is served.
const OLDEST: c_int = 12;
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

/// The driver, ready for calls.
pub(super) fn start() -> Result<Arc<Driver>, DeviceError> {
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

    pub(super) fn check(&self, code: c_int, what: &str) -> Result<(), DeviceError> {
        if code == 0 { Ok(()) } else { Err(DeviceError::Failed { what: what.to_owned(), why: self.why(code) }) }
    }

    /// The CUDA the driver is for.
    pub(super) fn cuda(&self) -> Result<(i32, i32), DeviceError> {
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
    pub(super) fn look_at(&self, ordinal: c_int) -> Result<(c_int, Found), DeviceError> {
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
pub(super) struct Open {
    driver: Arc<Driver>,
    device: c_int,
    context: Handle,
    pub stream: Handle,
    pool: Handle,
}

// SAFETY: the driver's handles may be used from any thread in which the context is current, which every call sees to.
unsafe impl Send for Open {}
// SAFETY: as above; the driver locks what must be locked.
unsafe impl Sync for Open {}

impl Open {
    pub fn new(driver: Arc<Driver>, device: c_int) -> Result<Self, DeviceError> {
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
    pub fn bound(&self) -> Result<Arc<Driver>, DeviceError> {
        // SAFETY: the context is retained for as long as this lives.
        self.driver.check(unsafe { (self.driver.context_bind)(self.context) }, "turn to the GPU")?;
        Ok(Arc::clone(&self.driver))
    }

    pub fn wait(&self) -> Result<(), DeviceError> {
        let driver = self.bound()?;
        // SAFETY: the stream is open.
        driver.check(unsafe { (driver.stream_wait)(self.stream) }, "carry out what was asked of it")
    }

    pub fn allocate(&self, bytes: usize) -> Result<u64, DeviceError> {
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
    pub fn page_locked(&self, bytes: usize) -> Result<*mut u8, DeviceError> {
        let driver = self.bound()?;
        let mut start = ptr::null_mut();
        // SAFETY: written.
        driver.check(unsafe { (driver.allocate_host)(&raw mut start, bytes) }, "lock memory for writes")?;
        Ok(start.cast())
    }

    /// Bytes that the pool keeps and nobody uses.
    pub fn idle(&self) -> Result<u64, DeviceError> {
        let driver = self.bound()?;
        let bytes = |which| {
            let mut bytes = 0u64;
            let to = (&raw mut bytes).cast::<c_void>();
            // SAFETY: both of the numbers asked for have 64 bits.
            driver.check(unsafe { (driver.pool_get)(self.pool, which, to) }, "ask the memory pool")?;
            Ok::<_, DeviceError>(bytes)
        };
        Ok(bytes(POOL_RESERVED)?.saturating_sub(bytes(POOL_USED)?))
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
