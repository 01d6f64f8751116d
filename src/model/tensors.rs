//! Tensor files as they are written.

use std::collections::HashMap;
use std::fmt::Display;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use safetensors::{SafeTensorError, View};

/// Writes the safetensors file `path`, with the permissions of the file that is there or else of any new one. The library would
/// leave those of its temporary file, which nobody but its owner may read.
///
/// # Errors
/// When the file cannot be written; none is left behind then where there was none.
pub(crate) fn write<S, V, I>(tensors: I, metadata: HashMap<String, String>, path: &Path) -> Result<(), SafeTensorError>
where
    S: AsRef<str> + Ord + Display,
    V: View,
    I: IntoIterator<Item = (S, V)>,
{
    let (permissions, new) = match fs::metadata(path) {
        Ok(found) => (found.permissions(), false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (File::create(path)?.metadata()?.permissions(), true),
        Err(error) => return Err(error.into()),
    };
    let written = safetensors::serialize_to_file(tensors, Some(metadata), path)
        .and_then(|()| Ok(fs::set_permissions(path, permissions)?));
    if new && written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}
