//! The client against a server that misbehaves in every way it may.

use super::Settings;

/// Settings that wait for nothing.
pub(super) fn settings(base_url: &str) -> Settings {
    let table =
        format!("base_url = \"{base_url}\"\nmodel = \"m\"\nbackoff_seconds = 0.001\nbackoff_max_seconds = 0.004");
    Settings::from_table("test", &table.parse().unwrap()).unwrap()
}
