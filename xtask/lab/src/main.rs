//! What runs on the lab without being a test.

fn main() {}
