//! What processes cost: CPU time and memory.
//!
//! The CPU clock of a process counts what its threads have run, system calls and the programs of the kernel in them,
//! to the nanosecond. On a veth a packet is sent, received, reflected and received again within the system call that
//! sends it, so all of that is the sender's. What the kernel puts off to `ksoftirqd` is in the clocks of these
//! threads.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use lab::Process;

/// The CPU time of some processes so far, in seconds.
pub(super) fn cpu(processes: &[Process]) -> Result<f64> {
    processes.iter().map(|process| clock(process.pid())).sum()
}

/// The threads of the kernel that do what it puts off, for all of the host.
pub(super) struct Softirqs(Vec<u32>);

impl Softirqs {
    /// Finds them.
    pub(super) fn find() -> Result<Self> {
        let mut pids = Vec::new();
        for entry in fs::read_dir("/proc").context("/proc")? {
            let entry = entry?;
            let Ok(pid) = entry.file_name().to_string_lossy().parse() else { continue };
            // A process may end meanwhile.
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            if name.starts_with("ksoftirqd/") {
                pids.push(pid);
            }
        }
        Ok(Self(pids))
    }

    /// Their CPU time so far, in seconds.
    pub(super) fn cpu(&self) -> Result<f64> {
        self.0.iter().map(|pid| clock(*pid)).sum()
    }
}

/// The CPU clock of a process, in seconds.
fn clock(pid: u32) -> Result<f64> {
    let mut id = 0;
    // SAFETY: the pointer is to a local variable that the call fills in.
    let error = unsafe { libc::clock_getcpuclockid(pid.cast_signed(), &raw mut id) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error))
            .with_context(|| format!("the CPU clock of process {pid}"));
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a local variable that the call fills in.
    if unsafe { libc::clock_gettime(id, &raw mut time) } != 0 {
        return Err(io::Error::last_os_error())
            .with_context(|| format!("the CPU clock of process {pid}"));
    }
    Ok(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
}

/// The memory of some processes in octets: their share of all pages that they have mapped. Those of BPF maps are in
/// [`maps`] instead.
pub(super) fn memory(processes: &[Process]) -> Result<f64> {
    let mut octets = 0;
    for process in processes {
        let file = root(process).join("smaps");
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        octets += share(&text);
    }
    Ok(octets as f64)
}

/// The memory of the BPF maps that some processes hold, in octets, each map once.
pub(super) fn maps(processes: &[Process]) -> Result<f64> {
    let mut maps = BTreeMap::new();
    for process in processes {
        let directory = root(process).join("fdinfo");
        for descriptor in
            fs::read_dir(&directory).with_context(|| directory.display().to_string())?
        {
            // A descriptor may be closed meanwhile.
            let text = fs::read_to_string(descriptor?.path()).unwrap_or_default();
            maps.extend(map(&text));
        }
    }
    Ok(maps.values().sum::<u64>() as f64)
}

/// The names of the files that tell of it.
fn root(process: &Process) -> PathBuf {
    Path::new("/proc").join(process.pid().to_string())
}

/// The sum of `Pss:` in a text of `smaps`, in octets, without what is mapped of BPF maps.
fn share(smaps: &str) -> u64 {
    let (mut octets, mut is_map) = (0, false);
    for line in smaps.lines() {
        if let Some(share) = line.strip_prefix("Pss:") {
            let kib = share.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0);
            octets += if is_map { 0 } else { kib * 1024 };
        } else if line.split(' ').next().is_some_and(|range| range.contains('-')) {
            is_map = line.ends_with("bpf-map");
        }
    }
    octets
}

/// The number of a map and its memory in octets, if a text of `fdinfo` is about one.
fn map(fdinfo: &str) -> Option<(u32, u64)> {
    let field = |name: &str| fdinfo.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    Some((field("map_id:")?.parse().ok()?, field("memlock:")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_maps_are_not_counted_twice() {
        let smaps = "7f00-7f10 rw-p 00000000 00:00 0 \nSize: 64 kB\nPss:                 12 kB\nPss_Dirty: 4 kB\n\
                     7f20-7f30 rw-s 00000000 00:0e 1 anon_inode:bpf-map\nPss:               4096 kB\n\
                     7f40-7f50 r--p 00000000 00:01 2 /usr/bin/linkprobe\nPss:                  3 kB\n";
        assert_eq!(share(smaps), 15 * 1024);
    }

    #[test]
    fn a_map_has_a_number_and_memory() {
        let text = "pos:\t0\nmap_type:\t2\nmemlock:\t4096\nmap_id:\t7\nfrozen:\t0\n";
        assert_eq!(map(text), Some((7, 4096)));
        assert_eq!(map("pos:\t0\nprog_id:\t7\nmemlock:\t4096\n"), None);
    }

    #[test]
    fn our_own_clock_advances() {
        let before = clock(std::process::id()).unwrap();
        let work = (0..5_000_000_u64).fold(0, |sum: u64, next| sum.wrapping_mul(31) ^ next);
        assert_ne!(work, 1);
        assert!(clock(std::process::id()).unwrap() > before);
    }
}
