//! Where a job's control socket lies.
//!
//! A socket's path has at most 108 bytes (104 on some systems), which a project's folder can well exceed. So sockets lie
//! under the runtime directory with a short name that is a hash of the job's directory, and the file `socket` in that
//! directory says where. A project that several users share needs a folder that they can all enter, which the runtime
//! directory is not: there it is one of the group's own under `/tmp`.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::project::durable::{self, FileError};

/// The longest path of a socket that every system takes, in bytes.
const LONGEST: usize = 100;

/// Returns the path for the socket of the job in `dir`, in a folder that exists and that only those who may control the
/// job can enter.
pub(super) fn path(dir: &Path) -> Result<PathBuf, FileError> {
    let hash = blake3::hash(dir.as_os_str().as_bytes()).to_hex();
    let name = format!("{}.sock", hash.get(..16).unwrap_or_default());
    let group =
        if durable::is_shared(dir) { Some(fs::metadata(dir).map_err(FileError::on("read", dir))?.gid()) } else { None };
    let folder = folder(std::env::var_os("XDG_RUNTIME_DIR").as_deref(), name.len(), group);
    enter(&folder, group)?;
    Ok(folder.join(name))
}

/// Gives the socket itself to the group where the job is shared.
pub(super) fn share(socket: &Path, dir: &Path) -> Result<(), FileError> {
    let failed = || FileError::on("share the socket", socket);
    let mode = if durable::is_shared(dir) {
        let group = fs::metadata(dir).map_err(failed())?.gid();
        let _ = std::os::unix::fs::chown(socket, None, Some(group));
        0o660
    } else {
        0o600
    };
    fs::set_permissions(socket, Permissions::from_mode(mode)).map_err(failed())
}

/// Chooses the folder: under `runtime` if that is this user's, there, and short enough; else under `/tmp`.
fn folder(runtime: Option<&OsStr>, name: usize, group: Option<u32>) -> PathBuf {
    let user = rustix::process::getuid().as_raw();
    if let Some(group) = group {
        return PathBuf::from(format!("/tmp/togi-{user}-g{group}"));
    }
    let own = |path: &PathBuf| fs::metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == user);
    runtime
        .map(PathBuf::from)
        .filter(|path| path.is_absolute() && own(path))
        .map(|path| path.join("togi"))
        .filter(|path| path.as_os_str().len() + 1 + name <= LONGEST)
        .unwrap_or_else(|| PathBuf::from(format!("/tmp/togi-{user}")))
}

/// Creates `folder`, or makes sure that the one that is there is a folder of this user's that others cannot write in:
/// anybody can create that name under `/tmp` first.
fn enter(folder: &Path, group: Option<u32>) -> Result<(), FileError> {
    let failed = |cause| FileError { action: "use the folder for sockets", path: folder.to_owned(), cause };
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    let found = fs::symlink_metadata(folder).map_err(failed)?;
    if !found.is_dir() || found.uid() != rustix::process::getuid().as_raw() {
        return Err(failed(io::Error::other("it belongs to another user; have it removed")));
    }
    let mode = match group {
        Some(group) => {
            std::os::unix::fs::chown(folder, None, Some(group)).map_err(failed)?;
            0o750
        }
        None => 0o700,
    };
    fs::set_permissions(folder, Permissions::from_mode(mode)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtime_directory_is_used_where_it_can_be() {
        let runtime = tempfile::tempdir_in("/tmp").unwrap();
        let user = rustix::process::getuid().as_raw();
        let tmp = PathBuf::from(format!("/tmp/togi-{user}"));
        assert_eq!(folder(Some(runtime.path().as_os_str()), 21, None), runtime.path().join("togi"));
        assert_eq!(folder(None, 21, None), tmp);
        assert_eq!(folder(Some(OsStr::new("/no/such/folder")), 21, None), tmp);
        let deep = runtime.path().join("x".repeat(90));
        fs::create_dir(&deep).unwrap();
        assert_eq!(folder(Some(deep.as_os_str()), 21, None), tmp, "too long for a socket");
        let shared = folder(Some(runtime.path().as_os_str()), 21, Some(100));
        assert_eq!(shared, PathBuf::from(format!("/tmp/togi-{user}-g100")));
    }

    #[test]
    fn a_link_in_the_place_of_the_folder_is_refused() {
        let tmp = tempfile::tempdir().unwrap();
        let (real, link) = (tmp.path().join("real"), tmp.path().join("link"));
        enter(&real, None).unwrap();
        assert_eq!(fs::metadata(&real).unwrap().mode() & 0o777, 0o700);
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert!(enter(&link, None).unwrap_err().to_string().contains("link"));
    }
}
