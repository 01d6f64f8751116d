//! NVIDIA's libraries, found and opened when the program runs.
//!
//! The build needs nothing of CUDA, and a machine without a driver gets a plain word. The driver's library comes with the driver;
//! NVRTC (the compiler) and cuBLASLt (products of matrices) come with a CUDA toolkit or from Python's wheels, in versions of which
//! the driver serves its own and older ones. Signatures are those of CUDA's public headers, for 11.2 and newer; everything opaque
//! is a pointer, and what a call returns stays a number, so that a code from a newer version is no surprise.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::path::{Path, PathBuf};

use libloading::Library;

use crate::model::device::DeviceError;

/// Something opaque: a context, a stream, a module, a program, a plan.
pub type Handle = *mut c_void;

/// A table of functions of one library, opened with it.
macro_rules! library {
    ($(#[$doc:meta])* $table:ident { $($name:ident($($argument:ty),*) $(-> $result:ty)? = $symbol:literal;)* }) => {
        $(#[$doc])*
        pub struct $table {
            $(pub $name: unsafe extern "C" fn($($argument),*) -> library!(@result $($result)?),)*
            // Keeps the functions where they are.
            _library: Library,
        }

        impl $table {
            /// Looks every function up; the name of one that is missing otherwise.
            fn of(library: Library) -> Result<Self, &'static str> {
                // SAFETY: the types are those of the headers.
                unsafe {
                    Ok(Self {
                        $($name: *library.get($symbol).map_err(|_| stringify!($name))?,)*
                        _library: library,
                    })
                }
            }
        }
    };
    (@result) => { c_int };
    (@result $result:ty) => { $result };
}

library! {
    /// The driver.
    Driver {
        init(c_uint) = b"cuInit\0";
        version(*mut c_int) = b"cuDriverGetVersion\0";
        error_string(c_int, *mut *const c_char) = b"cuGetErrorString\0";
        device_count(*mut c_int) = b"cuDeviceGetCount\0";
        device(*mut c_int, c_int) = b"cuDeviceGet\0";
        device_name(*mut c_char, c_int, c_int) = b"cuDeviceGetName\0";
        device_attribute(*mut c_int, c_int, c_int) = b"cuDeviceGetAttribute\0";
        device_memory(*mut usize, c_int) = b"cuDeviceTotalMem_v2\0";
        context_retain(*mut Handle, c_int) = b"cuDevicePrimaryCtxRetain\0";
        context_release(c_int) = b"cuDevicePrimaryCtxRelease_v2\0";
        context_bind(Handle) = b"cuCtxSetCurrent\0";
        stream_create(*mut Handle, c_uint) = b"cuStreamCreate\0";
        stream_destroy(Handle) = b"cuStreamDestroy_v2\0";
        stream_wait(Handle) = b"cuStreamSynchronize\0";
        event_create(*mut Handle, c_uint) = b"cuEventCreate\0";
        event_destroy(Handle) = b"cuEventDestroy_v2\0";
        event_record(Handle, Handle) = b"cuEventRecord\0";
        event_wait(Handle) = b"cuEventSynchronize\0";
        memory_info(*mut usize, *mut usize) = b"cuMemGetInfo_v2\0";
        pool(*mut Handle, c_int) = b"cuDeviceGetDefaultMemPool\0";
        pool_set(Handle, c_int, *mut c_void) = b"cuMemPoolSetAttribute\0";
        pool_get(Handle, c_int, *mut c_void) = b"cuMemPoolGetAttribute\0";
        pool_trim(Handle, usize) = b"cuMemPoolTrimTo\0";
        allocate(*mut u64, usize, Handle) = b"cuMemAllocAsync\0";
        free(u64, Handle) = b"cuMemFreeAsync\0";
        allocate_host(*mut *mut c_void, usize) = b"cuMemAllocHost_v2\0";
        free_host(*mut c_void) = b"cuMemFreeHost\0";
        copy_to(u64, *const c_void, usize, Handle) = b"cuMemcpyHtoDAsync_v2\0";
        copy_from(*mut c_void, u64, usize, Handle) = b"cuMemcpyDtoHAsync_v2\0";
        copy_within(u64, u64, usize, Handle) = b"cuMemcpyDtoDAsync_v2\0";
        set_bytes(u64, u8, usize, Handle) = b"cuMemsetD8Async\0";
        module_load(*mut Handle, *const c_void) = b"cuModuleLoadData\0";
        module_function(*mut Handle, Handle, *const c_char) = b"cuModuleGetFunction\0";
        module_unload(Handle) = b"cuModuleUnload\0";
        // function, grid, block, shared bytes, stream, arguments, extra
        launch(Handle, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, Handle, *mut *mut c_void, *mut *mut c_void)
            = b"cuLaunchKernel\0";
    }
}

library! {
    /// NVRTC, which compiles CUDA text.
    Nvrtc {
        version(*mut c_int, *mut c_int) = b"nvrtcVersion\0";
        error_string(c_int) -> *const c_char = b"nvrtcGetErrorString\0";
        architecture_count(*mut c_int) = b"nvrtcGetNumSupportedArchs\0";
        architectures(*mut c_int) = b"nvrtcGetSupportedArchs\0";
        // program, text, name, headers and their names
        create(*mut Handle, *const c_char, *const c_char, c_int, *const *const c_char, *const *const c_char)
            = b"nvrtcCreateProgram\0";
        compile(Handle, c_int, *const *const c_char) = b"nvrtcCompileProgram\0";
        destroy(*mut Handle) = b"nvrtcDestroyProgram\0";
        log_size(Handle, *mut usize) = b"nvrtcGetProgramLogSize\0";
        log(Handle, *mut c_char) = b"nvrtcGetProgramLog\0";
        cubin_size(Handle, *mut usize) = b"nvrtcGetCUBINSize\0";
        cubin(Handle, *mut c_char) = b"nvrtcGetCUBIN\0";
        ptx_size(Handle, *mut usize) = b"nvrtcGetPTXSize\0";
        ptx(Handle, *mut c_char) = b"nvrtcGetPTX\0";
    }
}

/// An algorithm that cuBLASLt proposes (`cublasLtMatmulHeuristicResult_t`).
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Proposal {
    pub algorithm: [u64; 8],
    pub workspace: usize,
    pub state: c_int,
    pub waves: f32,
    pub reserved: [c_int; 4],
}

library! {
    /// cuBLASLt, which multiplies matrices.
    CublasLt {
        create(*mut Handle) = b"cublasLtCreate\0";
        destroy(Handle) = b"cublasLtDestroy\0";
        status_string(c_int) -> *const c_char = b"cublasLtGetStatusString\0";
        // kind of sums, kind of factors
        product_create(*mut Handle, c_int, c_int) = b"cublasLtMatmulDescCreate\0";
        product_set(Handle, c_int, *const c_void, usize) = b"cublasLtMatmulDescSetAttribute\0";
        product_destroy(Handle) = b"cublasLtMatmulDescDestroy\0";
        // kind, rows, columns, leading dimension
        layout_create(*mut Handle, c_int, u64, u64, i64) = b"cublasLtMatrixLayoutCreate\0";
        layout_set(Handle, c_int, *const c_void, usize) = b"cublasLtMatrixLayoutSetAttribute\0";
        layout_destroy(Handle) = b"cublasLtMatrixLayoutDestroy\0";
        wish_create(*mut Handle) = b"cublasLtMatmulPreferenceCreate\0";
        wish_set(Handle, c_int, *const c_void, usize) = b"cublasLtMatmulPreferenceSetAttribute\0";
        wish_destroy(Handle) = b"cublasLtMatmulPreferenceDestroy\0";
        // handle, product, layouts a b c d, wish, how many wanted, proposals, how many found
        propose(Handle, Handle, Handle, Handle, Handle, Handle, Handle, c_int, *mut Proposal, *mut c_int)
            = b"cublasLtMatmulAlgoGetHeuristic\0";
        // handle, product, alpha, a, layout, b, layout, beta, c, layout, d, layout, algorithm, workspace, its bytes, stream
        multiply(Handle, Handle, *const c_void, u64, Handle, u64, Handle, *const c_void, u64, Handle, u64, Handle,
            *const [u64; 8], u64, usize, Handle) = b"cublasLtMatmul\0";
    }
}

/// A text that a library gave.
pub fn words(text: *const c_char) -> String {
    if text.is_null() {
        return "for a reason it does not name".to_owned();
    }
    // SAFETY: the libraries give constants that end with a zero.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

fn absent(why: String) -> DeviceError {
    DeviceError::Absent(why)
}

/// The driver's library.
///
/// # Errors
/// [`DeviceError::Absent`] where it is not there, or is older than what togi calls.
pub fn driver() -> Result<Driver, DeviceError> {
    let name = if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" };
    // SAFETY: loading the driver runs its own initialisation only.
    let library = unsafe { Library::new(name) }.map_err(|error| {
        absent(format!(
            "no NVIDIA driver was found ({name} does not load: {error}). Install the driver of the GPU; under WSL, that of \
             Windows"
        ))
    })?;
    Driver::of(library)
        .map_err(|missing| absent(format!("the NVIDIA driver is too old: it has no function to {missing}; update it")))
}

/// NVRTC for a driver of CUDA `major`.
///
/// # Errors
/// [`DeviceError::Absent`], with what to install, where none is found.
pub fn nvrtc(major: u32) -> Result<Nvrtc, DeviceError> {
    let library =
        toolkit("nvrtc", major).ok_or_else(|| missing("NVRTC, which compiles its kernels", "nvrtc", major))?;
    Nvrtc::of(library).map_err(|name| absent(format!("the NVRTC found is too old: it has no function to {name}")))
}

/// cuBLASLt for a driver of CUDA `major`.
///
/// # Errors
/// [`DeviceError::Absent`], with what to install, where none is found.
pub fn cublas_lt(major: u32) -> Result<CublasLt, DeviceError> {
    let missing = || missing("cuBLASLt, which multiplies matrices", "cublasLt", major);
    let library = toolkit("cublasLt", major).ok_or_else(missing)?;
    CublasLt::of(library).map_err(|name| absent(format!("the cuBLASLt found is too old: it has no function to {name}")))
}

/// What to say where a library of the toolkit is not found.
fn missing(what: &str, name: &str, major: u32) -> DeviceError {
    let suffix = if major < 13 { format!("-cu{major}") } else { String::new() };
    let wheel = if name == "nvrtc" { "nvidia-cuda-nvrtc" } else { "nvidia-cublas" };
    absent(format!(
        "the driver is there, but {what}, is not (lib{name}.so.{major}). Install the CUDA {major} toolkit, or \
         `pip install '{wheel}{suffix}<{}'` in an active virtual environment, or name the library's folder in \
         LD_LIBRARY_PATH",
        major + 1
    ))
}

/// A library of the toolkit: of the driver's own CUDA or the next older one that is there, first where the system looks, then
/// where toolkits and wheels lie.
fn toolkit(name: &str, major: u32) -> Option<Library> {
    let folders = folders();
    for version in (11..=major.max(11)).rev() {
        // NVRTC of CUDA 11 is numbered by its minor version, and compiles for the same devices.
        let file = if name == "nvrtc" && version == 11 { "11.2".to_owned() } else { version.to_string() };
        let file = format!("lib{name}.so.{file}");
        let places = std::iter::once(PathBuf::from(&file)).chain(folders.iter().map(|folder| folder.join(&file)));
        for place in places {
            if name == "nvrtc" {
                load_builtins(place.parent());
            }
            // SAFETY: loading these libraries runs their own initialisation only.
            if let Ok(library) = unsafe { Library::new(&place) } {
                tracing::debug!("{} is used", place.display());
                return Some(library);
            }
        }
    }
    None
}

/// NVRTC asks the system for a library beside it, which the system finds by name only where it has been loaded.
fn load_builtins(folder: Option<&Path>) {
    let Some(Ok(entries)) = folder.filter(|folder| folder.is_absolute()).map(std::fs::read_dir) else { return };
    for entry in entries.flatten().filter(|e| e.file_name().to_string_lossy().starts_with("libnvrtc-builtins.so.")) {
        // SAFETY: as above.
        if let Ok(library) = unsafe { Library::new(entry.path()) } {
            std::mem::forget(library);
        }
    }
}

/// Where toolkits and Python's wheels put their libraries.
fn folders() -> Vec<PathBuf> {
    let mut roots: Vec<PathBuf> =
        ["CUDA_HOME", "CUDA_PATH"].iter().filter_map(std::env::var_os).map(PathBuf::from).collect();
    roots.push(PathBuf::from("/usr/local/cuda"));
    let mut folders: Vec<PathBuf> = roots.iter().flat_map(|root| [root.join("lib64"), root.join("lib")]).collect();
    for environment in ["VIRTUAL_ENV", "CONDA_PREFIX"].iter().filter_map(std::env::var_os) {
        let lib = Path::new(&environment).join("lib");
        folders.push(lib.clone());
        let Ok(entries) = std::fs::read_dir(&lib) else { continue };
        for python in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("python3")) {
            let wheels = python.path().join("site-packages/nvidia");
            for part in ["cu13/lib", "cuda_nvrtc/lib", "cublas/lib"] {
                folders.push(wheels.join(part));
            }
        }
    }
    folders.retain(|folder| folder.is_dir());
    folders
}
