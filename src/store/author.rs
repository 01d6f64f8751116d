//! Who acts: the account that runs the process, and nothing that can be typed.

use nix::unistd::{Uid, User};

use super::StoreError;

/// The name of the account whose rights this process has; its number where the system has no name for it.
///
/// # Errors
/// Where the system's list of accounts cannot be read.
pub fn account() -> Result<String, StoreError> {
    let uid = Uid::effective();
    match User::from_uid(uid) {
        Ok(Some(user)) => Ok(user.name),
        Ok(None) => Ok(format!("uid-{uid}")),
        Err(error) => Err(StoreError::Account { uid: uid.as_raw(), reason: error.to_string() }),
    }
}
