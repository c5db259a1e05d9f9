//! `sim`: what `cargo xtask sim` and `cargo xtask bench health` run.

fn main() {
    let from: u64 = std::env::args().nth(1).map_or(0, |text| text.parse().unwrap());
    let seeds: u64 = std::env::args().nth(2).map_or(16, |text| text.parse().unwrap());
    if seeds == 0 {
        for m in sim::mutants::all() {
            let t = std::time::Instant::now();
            println!("{} {:?} {:?}", m.name, sim::mutants::hunt(&m, 3), t.elapsed());
        }
    }
    for seed in from..seeds {
        let outcome = sim::scenario::play(seed, 3, probe_user::health::defect::Defects::NONE);
        if let Some(violation) = &outcome.violation {
            println!("{seed} {:?} {violation}", sim::scenario::Kind::of(seed));
        }
    }
}
