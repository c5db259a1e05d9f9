//! Programs on interfaces, and what is in their way.

use std::{ffi::CString, fmt, io};

use aya::{
    Ebpf,
    programs::{
        ProgramError, SchedClassifier, TcAttachType, Xdp, XdpMode, loaded_programs, tc,
        tc::SchedClassifierLink, xdp::XdpLink,
    },
    util::KernelVersion,
};
use futures_util::TryStreamExt as _;
use probe_ebpf::maps::program;
use rtnetlink::packet_route::link::{LinkAttribute, LinkXdp};

/// The first kernel with TCX.
const TCX_SINCE: KernelVersion = KernelVersion::new(6, 6, 0);

/// Why a program cannot be attached to an interface.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such interface.
    #[error("there is no interface `{0}` on this host (`ip link` lists them)")]
    NoInterface(String),
    /// Another program is there already.
    #[error(
        "interface `{interface}` already has the XDP program {program}; linkprobe does not replace \
         it: detach it first (`ip link set dev {interface} xdp off`, or stop what attached it)"
    )]
    Occupied {
        /// The interface.
        interface: String,
        /// Name and number of the other program.
        program: String,
    },
    /// The kernel refuses, for another reason.
    #[error("cannot attach `{program}` to interface `{interface}`: {source}")]
    Refused {
        /// Which of our programs.
        program: &'static str,
        /// The interface.
        interface: String,
        /// What the kernel said.
        source: Box<ProgramError>,
    },
}

/// How the datapath runs on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver, before the kernel allocates anything for the packet.
    Native,
    /// In the network stack: correct, but slower; the driver has no XDP, or not in this set-up.
    Generic,
    /// Not at all: UDP sockets do the work.
    Socket,
}

impl Mode {
    /// The name in metrics and logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Socket => "socket",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

/// What is on one interface: both programs, which go when this is dropped.
pub struct Attachment {
    /// The interface's name.
    pub interface: String,
    /// How XDP runs there.
    pub mode: Mode,
    /// Whether the TC program is attached by TCX; else it is a filter of the clsact qdisc, if there is one.
    pub tcx: bool,
    /// The interface's index and what holds the programs there; `None` where there are none.
    links: Option<Links>,
    /// Whether it may be without the programs: it is a tunnel, which comes and goes.
    is_optional: bool,
}

struct Links {
    index: u32,
    _ingress: XdpLink,
    _egress: SchedClassifierLink,
}

impl Attachment {
    /// What stands for sockets, which listen on all interfaces.
    pub(super) fn of_sockets() -> Self {
        let interface = "any".to_owned();
        Self { interface, mode: Mode::Socket, tcx: false, links: None, is_optional: false }
    }

    /// What stands for an interface that is not there yet.
    pub(super) fn awaited(interface: &str) -> Self {
        let interface = interface.to_owned();
        Self { interface, mode: Mode::Generic, tcx: false, links: None, is_optional: true }
    }

    /// The same, of an interface that need not be there.
    pub(super) fn optional(self) -> Self {
        Self { is_optional: true, ..self }
    }

    /// Whether it is one that need not be there.
    pub(super) const fn is_optional(&self) -> bool {
        self.is_optional
    }

    /// The index of the interface that was attached to, if one was.
    pub(super) fn index(&self) -> Option<u32> {
        self.links.as_ref().map(|links| links.index)
    }

    /// Whether the interface that was attached to is no longer there.
    #[must_use]
    pub fn lost(&self) -> bool {
        let is_lost = |links: &Links| index_of(&self.interface).ok() != Some(links.index);
        !self.is_optional && self.links.as_ref().is_some_and(is_lost)
    }

    /// The interface's name, if the interface that has it now is not the one that was attached to.
    #[must_use]
    pub fn replaced(&self) -> Option<String> {
        let index = index_of(&self.interface).ok()?;
        let differs = match &self.links {
            Some(links) => links.index != index,
            None => self.is_optional,
        };
        differs.then(|| self.interface.clone())
    }
}

/// Loads both programs into the kernel.
pub(super) fn load(ebpf: &mut Ebpf) -> Result<(), super::Error> {
    let refused = |program: &'static str| {
        move |source: ProgramError| super::Error::Verify { program, source: Box::new(source) }
    };
    ingress(ebpf)?.load().map_err(refused(program::INGRESS))?;
    egress(ebpf)?.load().map_err(refused(program::EGRESS))
}

pub(super) fn ingress(ebpf: &mut Ebpf) -> Result<&mut Xdp, super::Error> {
    let found = ebpf.program_mut(program::INGRESS);
    found.and_then(|found| found.try_into().ok()).ok_or(super::Error::Missing(program::INGRESS))
}

pub(super) fn egress(ebpf: &mut Ebpf) -> Result<&mut SchedClassifier, super::Error> {
    let found = ebpf.program_mut(program::EGRESS);
    found.and_then(|found| found.try_into().ok()).ok_or(super::Error::Missing(program::EGRESS))
}

/// Attaches both programs to an interface.
pub(super) fn attach(ebpf: &mut Ebpf, interface: &str) -> Result<Attachment, super::Error> {
    let index = index_of(interface)?;
    let refused = |program: &'static str, source: ProgramError| Error::Refused {
        program,
        interface: interface.to_owned(),
        source: Box::new(source),
    };
    if let Some(program) = occupant(interface) {
        return Err(Error::Occupied { interface: interface.to_owned(), program }.into());
    }

    let xdp = ingress(ebpf)?;
    let (link, mode) = match xdp.attach_to_if_index(index, XdpMode::Driver) {
        Ok(link) => (link, Mode::Native),
        Err(native) => match xdp.attach_to_if_index(index, XdpMode::Skb) {
            Ok(link) => {
                tracing::debug!(interface, error = %native, "native XDP is not to be had");
                (link, Mode::Generic)
            }
            Err(_) => return Err(refused(program::INGRESS, native).into()),
        },
    };
    let ingress_link = xdp.take_link(link).map_err(|source| refused(program::INGRESS, source))?;

    let tcx = KernelVersion::current().is_ok_and(|kernel| kernel >= TCX_SINCE);
    if !tcx {
        // The qdisc may be somebody else's and stays in any case. A filter of ours that is still
        // there is one that an agent left behind when it was killed.
        tc::qdisc_add_clsact(interface).ok();
        tc::qdisc_detach_program(interface, TcAttachType::Egress, program::EGRESS).ok();
    }
    let tc = egress(ebpf)?;
    let link = tc
        .attach(interface, TcAttachType::Egress)
        .map_err(|source| refused(program::EGRESS, source))?;
    let egress_link = tc.take_link(link).map_err(|source| refused(program::EGRESS, source))?;
    Ok(Attachment {
        interface: interface.to_owned(),
        mode,
        tcx,
        links: Some(Links { index, _ingress: ingress_link, _egress: egress_link }),
        is_optional: false,
    })
}

/// The number of an interface.
///
/// # Errors
/// Where there is none of that name.
pub fn index_of(interface: &str) -> Result<u32, Error> {
    let none = || Error::NoInterface(interface.to_owned());
    let name = CString::new(interface).map_err(|_| none())?;
    // SAFETY: the name ends with a zero byte.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(none()),
        index => Ok(index),
    }
}

/// The XDP program that is on an interface, as "`name` (id 7)".
fn occupant(interface: &str) -> Option<String> {
    let id = ask(interface)
        .inspect_err(|error| tracing::debug!(interface, %error, "cannot ask for XDP programs"))
        .ok()??;
    let name = loaded_programs()
        .flatten()
        .find(|program| program.id() == id)
        .and_then(|program| program.name_as_str().map(ToOwned::to_owned))
        .unwrap_or_else(|| "without a name".to_owned());
    Some(format!("`{name}` (id {id})"))
}

/// Asks the kernel on a runtime of its own, on a thread of its own: whoever calls this may hold locks
/// that the agent's other tasks wait for, and must not depend on them.
fn ask(interface: &str) -> io::Result<Option<u32>> {
    let ask = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(program_id(interface))
    };
    std::thread::scope(|scope| scope.spawn(ask).join())
        .unwrap_or_else(|_| Err(io::Error::other("the thread that asks has panicked")))
}

async fn program_id(interface: &str) -> io::Result<Option<u32>> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let connection = tokio::spawn(connection);
    let link = handle.link().get().match_name(interface.to_owned()).execute().try_next().await;
    connection.abort();
    let link = link.map_err(io::Error::other)?;
    Ok(link.into_iter().flat_map(|link| link.attributes).find_map(|attribute| match attribute {
        LinkAttribute::Xdp(parts) => parts.into_iter().find_map(|part| match part {
            LinkXdp::ProgId(id) | LinkXdp::DrvProgId(id) | LinkXdp::SkbProgId(id) if id != 0 => {
                Some(id)
            }
            _ => None,
        }),
        _ => None,
    }))
}
