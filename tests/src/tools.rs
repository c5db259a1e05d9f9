//! Programs that `cargo xtask setup` installs for the tests.

use std::{
    env,
    path::{Path, PathBuf},
};

/// A program by its path below the directory of tools; where it is not there, the one of that name in the
/// `PATH`.
///
/// # Panics
/// Where the path names no file.
#[must_use]
pub fn tool(path: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let installed = root.join("target/tools").join(path);
    if installed.is_file() {
        return installed;
    }
    PathBuf::from(installed.file_name().expect("the name of a program"))
}
