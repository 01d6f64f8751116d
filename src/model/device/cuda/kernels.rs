//! The kernels' text, compiled by NVRTC for one GPU and kept in a folder.
//!
//! What is compiled is kept under a name made of the text, the options and NVRTC's version, so that it is never out of date; a
//! file that is torn or of no use to the driver is compiled again and replaced. Where NVRTC is older than the GPU it makes PTX
//! for the newest GPU it knows, and the driver does the rest.

use std::ffi::{CString, c_char, c_int};
use std::io::Write;
use std::path::Path;
use std::ptr;

use super::library::{Handle, Nvrtc, words};
use crate::model::device::{DeviceError, Kind, ops};

/// What a GPU's kernels are compiled for: its compute capability as one number, 90 for 9.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub architecture: c_int,
    /// For this architecture itself (a cubin), or for it and newer ones (PTX).
    pub exact: bool,
}

impl Target {
    fn option(self) -> String {
        format!("--gpu-architecture={}_{}", if self.exact { "sm" } else { "compute" }, self.architecture)
    }
}

fn failed(what: &str, why: &str) -> DeviceError {
    DeviceError::Failed { what: what.to_owned(), why: why.to_owned() }
}

/// Turns NVRTC's codes into errors.
fn check(nvrtc: &Nvrtc, code: c_int, what: &str) -> Result<(), DeviceError> {
    if code == 0 {
        return Ok(());
    }
    // SAFETY: it takes any number.
    let why = words(unsafe { (nvrtc.error_string)(code) });
    Err(failed(what, &format!("NVRTC says: {why} ({code})")))
}

/// NVRTC's version.
///
/// # Errors
/// When it does not say.
pub fn version(nvrtc: &Nvrtc) -> Result<(c_int, c_int), DeviceError> {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: both are written.
    check(nvrtc, unsafe { (nvrtc.version)(&raw mut major, &raw mut minor) }, "ask NVRTC for its version")?;
    Ok((major, minor))
}

/// What to compile for, given a GPU's compute capability.
///
/// # Errors
/// When this NVRTC makes nothing that the GPU runs.
pub fn target(nvrtc: &Nvrtc, capability: (c_int, c_int)) -> Result<Target, DeviceError> {
    let what = "ask NVRTC for the GPUs it knows";
    let mut count: c_int = 0;
    // SAFETY: written.
    check(nvrtc, unsafe { (nvrtc.architecture_count)(&raw mut count) }, what)?;
    let mut known = vec![0; usize::try_from(count).unwrap_or(0)];
    // SAFETY: as many numbers as it has just said.
    check(nvrtc, unsafe { (nvrtc.architectures)(known.as_mut_ptr()) }, what)?;
    choose(&known, capability).ok_or_else(|| {
        let (major, minor) = capability;
        DeviceError::Absent(format!(
            "the GPU has compute capability {major}.{minor}, for which the NVRTC found here compiles no longer: install \
             that of an older CUDA toolkit"
        ))
    })
}

/// The GPU's own architecture where it is known, otherwise the newest older one.
fn choose(known: &[c_int], (major, minor): (c_int, c_int)) -> Option<Target> {
    let own = major * 10 + minor;
    let newest = known.iter().copied().filter(|&one| one <= own).max()?;
    Some(Target { architecture: newest, exact: newest == own })
}

/// A program of NVRTC's, destroyed when dropped.
struct Program<'a> {
    nvrtc: &'a Nvrtc,
    handle: Handle,
}

impl Drop for Program<'_> {
    fn drop(&mut self) {
        // SAFETY: made by `create`, and not used again.
        unsafe { (self.nvrtc.destroy)(&raw mut self.handle) };
    }
}

/// Compiles `text`; a module's image for the driver, and what the compiler had to say.
///
/// # Errors
/// When it does not compile, with the compiler's words.
pub fn compile(nvrtc: &Nvrtc, text: &str, target: Target, more: &[&str]) -> Result<(Vec<u8>, String), DeviceError> {
    const WHAT: &str = "compile the kernels";
    let c_string = |text: &str| CString::new(text).map_err(|_| failed(WHAT, "the text has a zero in it"));
    let (source, name) = (c_string(text)?, c_string("togi.cu")?);
    let options: Vec<CString> = options(target, more).iter().map(|o| c_string(o)).collect::<Result<_, _>>()?;
    let pointers: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
    let mut program = Program { nvrtc, handle: ptr::null_mut() };
    // SAFETY: text, name and options live until the program is compiled, and it is compiled with no headers. Sizes are asked
    // for before what they are the sizes of is written.
    unsafe {
        let made = (nvrtc.create)(&raw mut program.handle, source.as_ptr(), name.as_ptr(), 0, ptr::null(), ptr::null());
        check(nvrtc, made, WHAT)?;
        let compiled = (nvrtc.compile)(program.handle, pointers.len() as c_int, pointers.as_ptr());
        let log = bytes(|size| (nvrtc.log_size)(program.handle, size), |to| (nvrtc.log)(program.handle, to))
            .map_or_else(|_| String::new(), |log| String::from_utf8_lossy(&log).trim_end_matches('\0').to_owned());
        check(nvrtc, compiled, WHAT).map_err(|error| failed(WHAT, &format!("{error}\n{log}")))?;
        let image = if target.exact {
            bytes(|size| (nvrtc.cubin_size)(program.handle, size), |to| (nvrtc.cubin)(program.handle, to))
        } else {
            bytes(|size| (nvrtc.ptx_size)(program.handle, size), |to| (nvrtc.ptx)(program.handle, to))
        };
        let image = image.or_else(|code| check(nvrtc, code, WHAT).map(|()| Vec::new()))?;
        if image.is_empty() {
            return Err(failed(WHAT, "NVRTC gave nothing"));
        }
        Ok((image, log))
    }
}

/// Bytes whose number one call gives and another writes; the code where one fails.
fn bytes(size: impl FnOnce(*mut usize) -> c_int, write: impl FnOnce(*mut c_char) -> c_int) -> Result<Vec<u8>, c_int> {
    let mut count = 0;
    let code = size(&raw mut count);
    if code != 0 {
        return Err(code);
    }
    let mut bytes = vec![0u8; count];
    let code = write(bytes.as_mut_ptr().cast());
    if code == 0 { Ok(bytes) } else { Err(code) }
}

fn options(target: Target, more: &[&str]) -> Vec<String> {
    let mut options = vec![target.option(), "--std=c++17".to_owned()];
    options.extend(more.iter().map(|&option| option.to_owned()));
    options
}

/// The image of the kernels for activations of `kind`, from the folder `kept` or compiled and put there, where there is one; `loads` says whether
/// the driver takes an image.
///
/// # Errors
/// When the kernels do not compile, or the driver does not take what was compiled.
pub fn image<M>(
    nvrtc: &Nvrtc,
    kind: Kind,
    target: Target,
    kept: Option<&Path>,
    loads: impl Fn(&[u8]) -> Result<M, DeviceError>,
) -> Result<M, DeviceError> {
    let text = ops::text(kind);
    let key = format!("{:?} {:?}\n{text}", version(nvrtc)?, options(target, &[]));
    let path = kept.map(|folder| folder.join(format!("{}.kernels", blake3::hash(key.as_bytes()).to_hex())));
    if let Some(path) = &path
        && let Ok(image) = std::fs::read(path)
    {
        match loads(&image) {
            Ok(module) => return Ok(module),
            Err(error) => tracing::warn!("{}: {error}; it is compiled again", path.display()),
        }
    }
    tracing::info!("compiling the GPU's kernels for {kind}; they are kept for the next time");
    let (image, _) = compile(nvrtc, &text, target, &[])?;
    let module = loads(&image)?;
    if let (Some(path), Some(folder)) = (path, kept)
        && let Err(error) = keep(&path, folder, &image)
    {
        tracing::warn!("the compiled kernels cannot be kept in {}: {error}", folder.display());
    }
    Ok(module)
}

/// Writes a file whole or not at all.
fn keep(path: &Path, folder: &Path, image: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(image)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::device::cuda::library::nvrtc;

    #[test]
    fn a_gpu_gets_its_own_code_or_that_of_the_newest_older_one() {
        let known = [75, 80, 90, 120];
        assert_eq!(choose(&known, (9, 0)), Some(Target { architecture: 90, exact: true }));
        assert_eq!(choose(&known, (10, 3)), Some(Target { architecture: 90, exact: false }));
        assert_eq!(choose(&known, (7, 0)), None);
    }

    /// How many kernels a text has: three of attention for each size that it is made in.
    fn kernels(text: &str) -> usize {
        let count = |begin: &str| text.lines().filter(|line| line.starts_with(begin)).count();
        count("KERNEL(") + 3 * (count("ATTENTION(") + count("CORE_ATTENTION("))
    }

    /// NVRTC, or `None` where there is none and none is required.
    fn compiler() -> Option<Nvrtc> {
        match nvrtc(13) {
            Ok(nvrtc) => Some(nvrtc),
            Err(error) => {
                assert!(std::env::var_os("TOGI_REQUIRE_NVRTC").is_none(), "{error}");
                eprintln!("skipped: {error}");
                None
            }
        }
    }

    #[test]
    fn nvrtc_compiles_every_kernel_for_every_gpu_without_a_warning_or_a_spill() {
        let Some(nvrtc) = compiler() else { return };
        for architecture in [80, 90, 120] {
            for kind in [Kind::F32, Kind::Bf16, Kind::F64] {
                let target = Target { architecture, exact: true };
                let (image, log) =
                    compile(&nvrtc, &ops::text(kind), target, &["--ptxas-options=-v"]).expect("compiled");
                assert!(image.starts_with(b"\x7fELF"), "no cubin");
                assert!(!log.contains("warning"), "sm_{architecture}, {kind}:\n{log}");
                let there = log.matches("Compiling entry function").count();
                assert_eq!(there, kernels(&ops::text(kind)), "sm_{architecture}, {kind}:\n{log}");
                for line in log.lines().filter(|line| line.contains("spill stores")) {
                    assert!(
                        line.contains(" 0 bytes spill stores, 0 bytes spill loads"),
                        "sm_{architecture}, {kind}:\n{log}"
                    );
                }
                assert!(log.contains("0 bytes spill stores"), "the compiler says nothing of spills:\n{log}");
            }
        }
    }

    #[test]
    fn an_error_in_the_text_is_told_with_its_line() {
        let Some(nvrtc) = compiler() else { return };
        let target = Target { architecture: 90, exact: false };
        let error =
            compile(&nvrtc, "__global__ void f() {\n  nothing();\n}", target, &[]).expect_err("no such function");
        assert!(error.to_string().contains("togi.cu(2)"), "{error}");
    }

    #[test]
    fn compiled_kernels_are_kept_and_compiled_again_when_they_do_not_load() {
        let Some(nvrtc) = compiler() else { return };
        let folder = tempfile::tempdir().expect("a folder");
        let kept = folder.path().join("kernels");
        let target = Target { architecture: 90, exact: false };
        let size = |image: &[u8]| {
            if image.len() < 10 { Err(failed("load", "torn")) } else { Ok(image.len()) }
        };
        let first = image(&nvrtc, Kind::F64, target, Some(&kept), size).expect("compiled");
        let file = std::fs::read_dir(&kept).expect("a folder").next().expect("a file").expect("a file").path();
        assert_eq!(std::fs::metadata(&file).expect("a file").len() as usize, first);
        std::fs::write(&file, "marked by the test").expect("written");
        assert_eq!(image(&nvrtc, Kind::F64, target, Some(&kept), size).expect("read"), 18, "the file is read");
        std::fs::write(&file, "torn").expect("written");
        assert_eq!(image(&nvrtc, Kind::F64, target, Some(&kept), size).expect("compiled again"), first);
        assert_eq!(std::fs::metadata(&file).expect("a file").len() as usize, first, "and replaced");
        assert_eq!(std::fs::read_dir(&kept).expect("a folder").count(), 1, "nothing else is left");
    }
}
