//! Tells the library where `probe-user`'s build script has put the BPF objects.

fn main() {
    let directory = std::env::var("DEP_LINKPROBE_BPF_OBJECTS")
        .expect("probe-user declares `links = \"linkprobe_bpf\"` and hands on `objects`");
    for object in ["impair-bpf", "bench-bpf"] {
        println!("cargo::rerun-if-changed={directory}/{object}");
    }
    println!("cargo::rustc-env=LAB_OBJECTS={directory}");
}
