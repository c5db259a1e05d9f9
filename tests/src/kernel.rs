//! The programs, run on one packet at a time by `BPF_PROG_TEST_RUN`.

use aya::{TestRun as _, TestRunOptions};
use probe_ebpf::{
    checksum::Sum,
    frame::{Address, Bytes as _, IPV4_LENGTH, IpVersion, Udp},
    hmac::Key,
    maps::Counter,
    ntp::Format,
    stamp::{self, Request},
};
use probe_user::datapath::{Datapath, Options, ReflectorOptions};

use crate::golden::octets;

/// XDP: to the network stack.
pub const XDP_PASS: u32 = 2;
/// XDP: the packet ends here.
pub const XDP_DROP: u32 = 1;
/// XDP: back to where it came from.
pub const XDP_TX: u32 = 3;
/// XDP: to another interface.
pub const XDP_REDIRECT: u32 = 4;

/// The reflector's port in these tests.
pub const REFLECTOR_PORT: u16 = 862;
/// The source port of the only flow in these tests.
pub const SOURCE_PORT: u16 = 50_000;
/// Slots per session in these tests.
pub const SLOTS: u32 = 16;

/// The loaded programs, attached to nothing.
pub struct Kernel {
    /// Their maps.
    pub datapath: Datapath,
}

impl Kernel {
    /// Loads the programs. 192.0.2.1, 192.0.2.2 and 2001:db8::2 are addresses of this host.
    ///
    /// # Panics
    /// Where they do not load: not root, most of the time.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "loads programs into the kernel")]
    pub fn new() -> Self {
        Self::with_timestamps(Format::Ntp)
    }

    /// The same, with timestamps of this format.
    ///
    /// # Panics
    /// As [`Kernel::new`].
    #[must_use]
    pub fn with_timestamps(timestamps: Format) -> Self {
        let mut datapath = Datapath::load(Options {
            sessions: 0x1234,
            slots: SLOTS,
            peers: 4,
            reflector_port: REFLECTOR_PORT,
            first_source_port: SOURCE_PORT,
            source_ports: 1,
            timestamps,
        })
        .expect("the programs load (this test needs root)");
        let v6 = "2001:db8::2".parse::<std::net::IpAddr>().unwrap();
        let v4 = [1, 2].map(|host| Address::v4([192, 0, 2, host]));
        let local = [v4[0], v4[1], Address::from(v6)];
        datapath.set_local_addresses(local.into()).unwrap();
        Self { datapath }
    }

    /// The same, with keys in places 1, 2 and so on, and a reflector that answers nothing but what is
    /// signed with one of them.
    ///
    /// # Panics
    /// As [`Kernel::new`].
    #[must_use]
    pub fn authenticated(keys: &[Key]) -> Self {
        let mut kernel = Self::new();
        let keys: Vec<(u8, Key)> = (1..).zip(keys.iter().copied()).collect();
        kernel.datapath.set_keys(&keys);
        let options = ReflectorOptions { authenticated_only: true, ..ReflectorOptions::default() };
        kernel.datapath.set_reflector(&options).unwrap();
        kernel
    }

    /// Runs the XDP program on a frame: its action, and the frame as it is then.
    ///
    /// # Panics
    /// Where the kernel does not run it: frames under 14 octets are no frames to it.
    pub fn ingress(&mut self, frame: &[u8]) -> (u32, Vec<u8>) {
        let mut out = vec![0; frame.len() + 256];
        let options =
            TestRunOptions { data_in: Some(frame), data_out: Some(&mut out), ..Default::default() };
        let result = self.datapath.ingress().unwrap().test_run(options).expect("XDP runs");
        out.truncate(result.data_size_out as usize);
        (result.return_value, out)
    }

    /// Runs the TC program on a frame: the frame as it is then. It never holds one back.
    ///
    /// # Panics
    /// Where the kernel does not run it, or the program says anything but "go on".
    pub fn egress(&mut self, frame: &[u8]) -> Vec<u8> {
        self.egress_from(frame, 0)
    }

    /// The same for a frame that has come in by the interface with this index: 0 for none.
    ///
    /// # Panics
    /// As [`Kernel::egress`].
    pub fn egress_from(&mut self, frame: &[u8], interface: u32) -> Vec<u8> {
        // `struct __sk_buff` up to `ingress_ifindex`, which is its tenth field.
        let mut context = [0; 40];
        context[36..].copy_from_slice(&interface.to_ne_bytes());
        let mut out = vec![0; frame.len() + 256];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ctx_in: Some(&context),
            ..Default::default()
        };
        let result = self.datapath.egress().unwrap().test_run(options).expect("TC runs");
        assert_eq!(result.return_value as i32, -1, "TC_ACT_UNSPEC, whatever the packet");
        out.truncate(result.data_size_out as usize);
        out
    }

    /// How often something was counted.
    #[must_use]
    pub fn count(&self, counter: Counter) -> u64 {
        let counters = self.datapath.counters();
        counters.into_iter().find(|(known, _)| *known == counter).map_or(0, |(_, count)| count)
    }

    /// Runs XDP on a frame, and says what was counted for it.
    pub fn counted(&mut self, frame: &[u8]) -> (u32, Vec<u8>, Vec<Counter>) {
        let before = self.datapath.counters();
        let (action, out) = self.ingress(frame);
        let after = self.datapath.counters();
        let counted = before
            .into_iter()
            .zip(after)
            .flat_map(|((counter, before), (_, after))| {
                std::iter::repeat_n(counter, (after - before) as usize)
            })
            .collect();
        (action, out, counted)
    }
}

/// What the agent hands to its socket, in the headers of this frame: a packet with the SSID and zeros.
///
/// # Panics
/// Where the frame holds no UDP datagram, or too short a one.
#[must_use]
pub fn template(hex: &str, ssid: u16) -> Vec<u8> {
    let mut frame = octets(hex);
    let at = Udp::find(&frame[..]).expect("a UDP frame").payload_at();
    let template = Request { sequence: 0, timestamp: 0, error_estimate: 0, ssid };
    frame[at..at + stamp::LENGTH].copy_from_slice(&template.encode());
    mend_checksums(&mut frame);
    frame
}

/// Whether the checksums of a UDP frame are right, as any receiver would check them.
///
/// # Panics
/// Where the frame holds no UDP datagram.
#[must_use]
pub fn checksums_are_right(frame: &[u8]) -> bool {
    let udp = Udp::find(frame).expect("a UDP frame");
    let header = &frame[udp.ip_at..udp.ip_at + IPV4_LENGTH];
    let ip = udp.version == IpVersion::V6 || Sum::ZERO.add_slice(header).folded() == [0xff, 0xff];
    let datagram = &frame[udp.udp_at..udp.udp_at + usize::from(udp.length)];
    let sum = udp.pseudo_header(frame).unwrap().add_slice(datagram);
    ip && sum.folded() == [0xff, 0xff] && udp.checksum(frame) != Some([0, 0])
}

/// Puts the right checksums into a UDP frame that a test has changed.
///
/// # Panics
/// Where the frame holds no UDP datagram.
pub fn mend_checksums(frame: &mut [u8]) {
    let udp = Udp::find(&*frame).expect("a UDP frame");
    if udp.version == IpVersion::V4 {
        let at = udp.ip_at + probe_ebpf::frame::ipv4::CHECKSUM;
        frame[at..at + 2].fill(0);
        let sum = Sum::ZERO.add_slice(&frame[udp.ip_at..udp.ip_at + IPV4_LENGTH]);
        frame[at..at + 2].copy_from_slice(&sum.checksum());
    }
    let at = udp.udp_at + probe_ebpf::frame::udp::CHECKSUM;
    frame[at..at + 2].fill(0);
    let pseudo_header = udp.pseudo_header(&*frame).unwrap();
    let datagram = &frame[udp.udp_at..udp.udp_at + usize::from(udp.length)];
    let sum = pseudo_header.add_slice(datagram).udp_checksum();
    frame[at..at + 2].copy_from_slice(&sum);
}

/// The number that stands at an offset of the UDP payload.
///
/// # Panics
/// Where it does not.
#[must_use]
pub fn payload<const N: usize>(frame: &[u8], offset: usize) -> [u8; N] {
    let udp = Udp::find(frame).expect("a UDP frame");
    frame.read(udp.payload_at() + offset).expect("the payload is long enough")
}

/// The frame with another UDP payload, its lengths and checksums mended.
///
/// # Panics
/// Where the frame holds no UDP datagram.
#[must_use]
pub fn with_payload(frame: &[u8], payload: &[u8]) -> Vec<u8> {
    let udp = Udp::find(frame).unwrap();
    let mut frame = frame[..udp.payload_at()].to_vec();
    frame.extend_from_slice(payload);
    let length = |octets: usize| u16::try_from(octets).unwrap().to_be_bytes();
    frame[udp.udp_at + 4..][..2].copy_from_slice(&length(8 + payload.len()));
    let (at, octets) = match udp.version {
        IpVersion::V4 => (udp.ip_at + 2, IPV4_LENGTH + 8 + payload.len()),
        IpVersion::V6 => (udp.ip_at + 4, 8 + payload.len()),
    };
    frame[at..at + 2].copy_from_slice(&length(octets));
    mend_checksums(&mut frame);
    frame
}
