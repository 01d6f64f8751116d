//! Files that are written whole or not at all, and that a group may share.
//!
//! Everything togi leaves on a disk for later goes through here: a temporary file beside the target, synced, renamed
//! over it, and the folder synced, so that a power cut leaves the old file or the new one and never half of either.
//! New files and folders follow the folder they lie in: where that is writable for a group, so are they.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Says which operation failed on which file, why, and what might help.
#[derive(Debug, thiserror::Error)]
#[error("could not {action} {}: {cause}{}", path.display(), advice(cause))]
pub struct FileError {
    /// What was tried, as the words after "could not".
    pub action: &'static str,
    /// The file or folder it was tried on.
    pub path: PathBuf,
    /// The system's reason.
    pub cause: io::Error,
}

impl FileError {
    /// Returns a function that turns an I/O error into one that names `action` and `path`; for `map_err`.
    pub fn on(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self { action, path, cause }
    }
}

/// Returns what a person can do about an error of the file system, for the few kinds where that is clear.
fn advice(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some space and run it again",
        io::ErrorKind::PermissionDenied => "; check who may write there (ls -ld shows it)",
        io::ErrorKind::ReadOnlyFilesystem => "; the disk is mounted read-only",
        _ => "",
    }
}

/// Replaces the file at `path` with `bytes`, whole or not at all.
///
/// A file that was there keeps its permissions, and one reached over a symbolic link is replaced where it lies.
///
/// # Errors
///
/// Where the folder cannot be written or the disk is full; the old file is then as it was.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = parent(&real);
    let before = fs::metadata(&real).ok();
    let failed = |cause| FileError { action: "write", path: path.to_owned(), cause };
    let mut file = tempfile::Builder::new()
        .prefix(".togi-")
        .suffix(".partial")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    match before {
        Some(before) => {
            // Another member of the group may own the old file; what cannot be carried over is left at the default.
            let _ = std::os::unix::fs::chown(file.path(), None, Some(before.gid()));
            let _ = file.as_file().set_permissions(before.permissions());
        }
        None => share(file.path())?,
    }
    file.as_file().sync_all().map_err(failed)?;
    file.persist(&real).map_err(|error| failed(error.error))?;
    sync_dir(folder)
}

/// Opens the file at `path` for appending, created (and shared with the group where the folder is) if it is missing.
///
/// # Errors
///
/// Where it cannot be opened.
pub fn append(path: &Path) -> Result<File, FileError> {
    let new = !path.exists();
    let file = OpenOptions::new().append(true).create(true).open(path).map_err(FileError::on("open", path))?;
    if new {
        share(path)?;
    }
    Ok(file)
}

/// Creates the folder `path` and those above it that are missing; fine where it is there already.
///
/// # Errors
///
/// Where one of them cannot be created.
pub fn create_dir_all(path: &Path) -> Result<(), FileError> {
    if path.is_dir() {
        return Ok(());
    }
    let above = parent(path);
    if above != path {
        create_dir_all(above)?;
    }
    match create_dir(path) {
        Err(error) if error.cause.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        done => done,
    }
}

/// Creates the folder `path`. Of several that try at once, exactly one succeeds.
///
/// # Errors
///
/// Where it exists (`AlreadyExists`) or cannot be created.
pub fn create_dir(path: &Path) -> Result<(), FileError> {
    fs::create_dir(path).map_err(FileError::on("create the folder", path))?;
    share(path)
}

/// Makes `link` a symbolic link to `target` (taken as it is, so it may be relative to the link's folder), in the place
/// of a link that was there, at one stroke.
///
/// # Errors
///
/// Where the folder cannot be written, or where `link` is a folder and no link.
pub fn symlink(target: &Path, link: &Path) -> Result<(), FileError> {
    let mut name = std::ffi::OsString::from(".");
    name.push(link.file_name().unwrap_or_default());
    name.push(format!("-{}.partial", std::process::id()));
    let temporary = link.with_file_name(name);
    let _ = fs::remove_file(&temporary);
    std::os::unix::fs::symlink(target, &temporary).map_err(FileError::on("link", link))?;
    fs::rename(&temporary, link).map_err(|cause| {
        let _ = fs::remove_file(&temporary);
        FileError { action: "replace the link", path: link.to_owned(), cause }
    })?;
    sync_dir(parent(link))
}

/// Moves `from` to `to` in the same folder and syncs the folder.
///
/// # Errors
///
/// As [`fs::rename`].
pub fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    fs::rename(from, to).map_err(FileError::on("move into place", to))?;
    sync_dir(parent(to))
}

/// Syncs every file and folder under `path`, itself included, to the disk.
///
/// # Errors
///
/// Where one cannot be opened or synced.
pub fn sync_tree(path: &Path) -> Result<(), FileError> {
    let failed = FileError::on("read the folder", path);
    let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(failed)?;
    for entry in entries {
        let path = entry.path();
        let kind = entry.file_type().map_err(FileError::on("read", &path))?;
        if kind.is_dir() {
            sync_tree(&path)?;
        } else if kind.is_file() {
            File::open(&path).and_then(|file| file.sync_all()).map_err(FileError::on("sync", &path))?;
        }
    }
    sync_dir(path)
}

/// Syncs a folder, so that the names in it outlive a power cut.
///
/// # Errors
///
/// Where the folder cannot be opened or its disk fails.
pub fn sync_dir(path: &Path) -> Result<(), FileError> {
    let file = File::open(path).map_err(FileError::on("open the folder", path))?;
    match rustix::fs::fsync(&file) {
        // Some file systems do not sync folders and say so; then there is nothing to do.
        Ok(()) | Err(rustix::io::Errno::INVAL) => Ok(()),
        Err(error) => Err(FileError { action: "sync the folder", path: path.to_owned(), cause: error.into() }),
    }
}

/// Returns whether several users write in `folder`: it is writable for its group and not a place for everybody's
/// temporary files.
#[must_use]
pub fn is_shared(folder: &Path) -> bool {
    const GROUP_WRITE: u32 = 0o020;
    const STICKY: u32 = 0o1000;
    fs::metadata(folder).is_ok_and(|found| found.mode() & GROUP_WRITE != 0 && found.mode() & STICKY == 0)
}

/// Gives a new file or folder to the group of its folder, writable, where that folder [is shared](is_shared).
///
/// # Errors
///
/// Where the permissions of what one has just created cannot be set.
pub fn share(path: &Path) -> Result<(), FileError> {
    let folder = parent(path);
    if !is_shared(folder) {
        return Ok(());
    }
    let failed = || FileError::on("share with the group", path);
    let above = fs::metadata(folder).map_err(failed())?;
    let own = fs::metadata(path).map_err(failed())?;
    if own.gid() != above.gid() {
        // Refused to those who are not in that group; the others still can write what is theirs.
        let _ = std::os::unix::fs::chown(path, None, Some(above.gid()));
    }
    // Folders also carry set-group-id, so that what other programs put there belongs to the same group.
    let mode = own.mode() & 0o7777 | if own.is_dir() { 0o2070 } else { 0o060 };
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed())
}

/// Returns the folder that `path` lies in; `.` for a bare name.
#[must_use]
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_file_is_replaced_and_no_temporary_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.toml");
        write(&path, b"one").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(mode(&path), 0o640, "the permissions somebody chose stay");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn writing_through_a_link_keeps_the_link() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        write(&real, b"one").unwrap();
        symlink(Path::new("real"), &link).unwrap();
        write(&link, b"two").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&real).unwrap(), b"two");
    }

    #[test]
    fn what_lies_in_a_shared_folder_is_shared() {
        let dir = tempfile::tempdir().unwrap();
        let desk = dir.path().join("desk");
        create_dir(&desk).unwrap();
        assert_eq!(mode(&desk) & 0o2020, 0, "the folder above is private");
        fs::set_permissions(&desk, Permissions::from_mode(0o775)).unwrap();
        create_dir_all(&desk.join("runs/one")).unwrap();
        write(&desk.join("runs/one/plan"), b"").unwrap();
        append(&desk.join("runs/one/log")).unwrap();
        assert_eq!(mode(&desk.join("runs/one")) & 0o2070, 0o2070);
        assert_eq!(mode(&desk.join("runs/one/plan")) & 0o060, 0o060);
        assert_eq!(mode(&desk.join("runs/one/log")) & 0o060, 0o060);
    }

    #[test]
    fn an_error_names_the_file_and_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("missing/a.toml");
        let message = write(&path, b"").unwrap_err().to_string();
        assert!(message.contains("missing/a.toml") && message.contains("No such file"), "{message}");
    }
}
