//! A busy or stopped agent invents no loss: numbers and times are set in the kernel.

use std::{
    hint::black_box,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::Result;
use lab::{Mesh, Signal};
use probe_user::verdict::State;
use tests::agents::{healthy_pair, lost, path, since};

/// Two busy loops for each core, until dropped.
struct Load<'a>(&'a AtomicBool);

impl<'a> Load<'a> {
    fn start<'scope>(stop: &'a AtomicBool, scope: &'scope thread::Scope<'scope, 'a>) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..2 * cores {
            scope.spawn(|| {
                let mut number = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    number = black_box(number.wrapping_mul(31).wrapping_add(1));
                }
            });
        }
        Self(stop)
    }
}

impl Drop for Load<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn an_agent_stopped_for_two_seconds_among_busy_loops_reports_no_loss() -> Result<()> {
    let (_lab, a, b) = healthy_pair(&Mesh::default())?;
    let whole = [path(&a)?.probes, path(&b)?.probes];
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let load = Load::start(&stop, scope);
        for _ in 0..2 {
            let before = path(&a)?.probes;
            a.process().signal(Signal::Stop);
            thread::sleep(Duration::from_secs(2));
            a.process().signal(Signal::Continue);
            thread::sleep(Duration::from_secs(2));
            let after = path(&a)?.probes;
            assert!(after.answered > before.answered, "it goes on: {before:?} {after:?}");
            let due = (after.answered - before.answered) as f64 / 40.0;
            assert!(due < 3.0, "{due} s of probes in 2 s: what was missed is not made up for");
        }
        drop(load);
        for (agent, before) in [&a, &b].into_iter().zip(whole) {
            let seen = since(&before, agent)?;
            assert_eq!(lost(&seen), 0, "{seen:?}");
            let path = path(agent)?;
            assert_eq!(path.state, State::Healthy);
            for direction in [&path.forward, &path.reverse] {
                assert_eq!(direction.transitions.unhealthy, 0, "{path:?}");
            }
        }
        Ok(())
    })
}
