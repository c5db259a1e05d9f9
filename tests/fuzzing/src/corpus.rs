//! The inputs that are kept: octets that a fuzzer has found to lead to new places in the code.

use std::{fs, io, path::PathBuf};

/// All inputs that are kept for a target, in the order of their names.
///
/// # Errors
/// Where the directory cannot be read.
pub fn of(target: &str) -> io::Result<Vec<(String, Vec<u8>)>> {
    let directory =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut inputs = fs::read_dir(directory)?
        .map(|entry| {
            let entry = entry?;
            Ok((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?))
        })
        .collect::<io::Result<Vec<_>>>()?;
    inputs.sort();
    Ok(inputs)
}
