//! Tells the library where `probe-user`'s build script has put the BPF objects.

fn main() {
    let directory = std::env::var("DEP_LINKPROBE_BPF_OBJECTS")
        .expect("probe-user declares `links = \"linkprobe_bpf\"` and hands on `objects`");
    println!("cargo::rerun-if-changed={directory}/impair-bpf");
    println!("cargo::rustc-env=LAB_OBJECTS={directory}");
}
