//! Data centers in network namespaces, joined by a WAN that can be made sick.
//!
//! Demo, tests and benches build on it. It needs root, and it touches nothing but namespaces that it has
//! made itself.
//!
//! ```no_run
//! use std::time::Duration;
//! use lab::{Lab, Loss};
//!
//! # fn main() -> anyhow::Result<()> {
//! let lab = Lab::builder().sites(&["fra", "nyc"]).build()?;
//! lab.delay("fra", "nyc", Duration::from_millis(10))?;
//! lab.loss("fra", "nyc", Loss::Random(0.3))?;
//! let socket = lab.site("fra")?.run(|| std::net::UdpSocket::bind("10.77.1.2:0"))??;
//! println!("{:?}", lab.counters("fra", "nyc")?);
//! # Ok(())
//! # }
//! ```
//!
//! Site S, counted from 1, has the interface `wan0` with 10.77.S.2/24 and fd77:0:0:S::2/64; the WAN has
//! the same with ::1 and .1, and routes. The addresses are the same in every lab; the namespaces are
//! named `lp-PID-N-SITE`, those of the hosts of an overlay `lp-PID-N-SITE-h`. All of it is taken away when
//! the [`Lab`] is dropped, when the process panics or is asked to end by a signal, and, where it was killed,
//! before the next lab is built.
//!
//! - [`lab`]: what to build, and the faults.
//! - [`site`]: a data center: its addresses, link and processes.
//! - [`overlay`]: tunnels between the sites, and hosts behind them.
//! - [`ways`]: which way packets of the overlay go, at any time.
//! - [`switch`]: a route that is put in and taken away at once.
//! - [`stream`]: a TCP connection that knows how long it has stood still.
//! - [`pair`]: two machines and a cable, without a WAN, where only they are to cost.
//! - [`machine`]: a namespace with processes in it.
//! - [`namespace`]: a network namespace, for sockets and commands inside.
//! - [`process`]: a process in a site.
//! - [`agent`]: agents that probe one another.
//! - [`events`]: what they tell as it happens.
//! - [`impairment`]: loss, and the true count of it.
//! - [`clock`]: the only clocks.
//! - `netlink`: how the kernel is asked about routes.
//! - `relay`: delay and jitter.
//! - `registry`: who takes what away, and when.

pub mod agent;
pub mod clock;
pub mod events;
pub mod impairment;
pub mod lab;
pub mod machine;
pub mod namespace;
mod netlink;
pub mod overlay;
pub mod pair;
pub mod process;
mod registry;
mod relay;
pub mod site;
pub mod stream;
pub mod switch;
pub mod ways;

pub use agent::{Agent, Mesh};
pub use impairment::{Counters, Loss};
pub use lab::{Builder, Lab};
pub use machine::Machine;
pub use namespace::Namespace;
pub use overlay::Host;
pub use pair::Pair;
pub use process::{Process, Signal};
pub use site::{Link, Site};
pub use stream::Stream;
pub use switch::Switch;
pub use ways::Way;
