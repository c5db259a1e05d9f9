//! What build scripts and the `xtask` command share.

pub mod bpf;
