//! HMAC-SHA-256 over the base of an authenticated test packet (RFC 8762, section 4.4).
//!
//! One tag takes three compressions of SHA-256: two for the 96 octets, one for the outer hash. State and
//! block lie in a map, not on the stack, which has no room for them beside the callers' own.

use aya_ebpf::{macros::map, maps::PerCpuArray};
use probe_ebpf::{
    checksum::Sum,
    frame::BytesMut,
    hmac::{BLOCK_LENGTH, ROUNDS, State},
    stamp::HMAC_AT,
};

use super::{packet::Packet, state};

/// What one tag is worked out in.
#[repr(C)]
#[derive(Clone, Copy)]
struct Work {
    /// The 96 octets that the HMAC covers, as words.
    message: [u32; HMAC_AT / 4],
    state: State,
    block: [u32; 16],
}

/// One place for each program: TC on its way out may be interrupted by XDP on the same CPU.
#[map]
static WORK: PerCpuArray<Work> = PerCpuArray::with_max_entries(2, 0);

/// The programs that sign.
#[derive(Clone, Copy)]
pub(crate) enum Program {
    /// XDP.
    Ingress = 0,
    /// TC.
    Egress = 1,
}

/// The 96 octets of a packet that its HMAC covers, ready to be signed with any key.
#[derive(Clone, Copy)]
pub(crate) struct Message(Program);

impl Message {
    /// Loads the authenticated packet at an offset.
    #[inline(always)]
    pub(crate) fn load(program: Program, packet: &Packet, at: usize) -> Option<Self> {
        let work = WORK.get_ptr_mut(program as u32)?;
        let words = packet.words::<{ HMAC_AT / 4 }>(at)?;
        let mut word = 0;
        while word < HMAC_AT / 4 {
            // SAFETY: the map gave a pointer to a whole element, which is this CPU's and this
            // program's.
            unsafe { (*work).message[word] = u32::from_be_bytes(words.get(word)) };
            word += 1;
        }
        Some(Self(program))
    }

    /// The tag that a key gives; `None` where there is no such key.
    #[inline(always)]
    pub(crate) fn tag(self, key: u32) -> Option<Tag> {
        if linkprobe_hmac(self.0 as u32, key) != 0 {
            return None;
        }
        let work = WORK.get_ptr_mut(self.0 as u32)?;
        // SAFETY: as above.
        let state = unsafe { &(*work).state };
        Some(Tag([state[0], state[1], state[2], state[3]]))
    }

    /// Whether a key gives this tag.
    #[inline(always)]
    pub(crate) fn has(self, key: u32, tag: Tag) -> bool {
        self.tag(key).is_some_and(|own| {
            let Tag([a, b, c, d]) = own;
            (a ^ tag.0[0]) | (b ^ tag.0[1]) | (c ^ tag.0[2]) | (d ^ tag.0[3]) == 0
        })
    }
}

/// A tag, as four words.
#[derive(Clone, Copy)]
pub(crate) struct Tag([u32; 4]);

impl Tag {
    /// The tag of the authenticated packet at an offset.
    #[inline(always)]
    pub(crate) fn read(packet: &Packet, at: usize) -> Option<Self> {
        let words = packet.words::<4>(at + HMAC_AT)?;
        Some(Self([0, 1, 2, 3].map(|word| u32::from_be_bytes(words.get(word)))))
    }

    /// Writes the tag into the packet at an offset.
    #[inline(always)]
    pub(crate) fn write(self, packet: &mut Packet, at: usize) -> Option<()> {
        let [a, b, c, d] = self.0;
        packet.write(at + HMAC_AT, a.to_be_bytes())?;
        packet.write(at + HMAC_AT + 4, b.to_be_bytes())?;
        packet.write(at + HMAC_AT + 8, c.to_be_bytes())?;
        packet.write(at + HMAC_AT + 12, d.to_be_bytes())
    }

    /// Its sum, for the checksum.
    #[inline(always)]
    pub(crate) fn sum(self) -> Sum {
        let [a, b, c, d] = self.0.map(u32::to_be);
        Sum::ZERO.add_partial(a).add_partial(b).add_partial(c).add_partial(d)
    }
}

/// Works out the tag of the message that is loaded, into the first half of the state. Returns 0, or -1
/// where there is no such key.
///
/// The verifier looks at this function once and for all, not anew for each way that leads to it.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn linkprobe_hmac(program: u32, key: u32) -> i32 {
    let (Some(work), Some(key)) = (WORK.get_ptr_mut(program), state::key(key)) else { return -1 };
    // A place without a key holds zeros, and nothing is signed with those.
    if key.inner[0] | key.inner[1] == 0 {
        return -1;
    }
    // SAFETY: the map gave a pointer to a whole element, which is this CPU's and this program's.
    let work = unsafe { &mut *work };
    work.state = key.inner;
    let mut word = 0;
    while word < 16 {
        work.block[word] = work.message[word];
        word += 1;
    }
    linkprobe_sha256(work);
    word = 0;
    while word < 8 {
        work.block[word] = work.message[16 + word];
        word += 1;
    }
    // The inner padding and the message.
    finish(work, (BLOCK_LENGTH + HMAC_AT) as u32);
    word = 0;
    while word < 8 {
        work.block[word] = work.state[word];
        word += 1;
    }
    work.state = key.outer;
    // The outer padding and the inner hash.
    finish(work, BLOCK_LENGTH as u32 + 32);
    0
}

/// Takes in the last block, of which eight words are there, for a message of this many octets.
#[inline(always)]
fn finish(work: &mut Work, octets: u32) {
    work.block[8] = 1 << 31;
    let mut word = 9;
    while word < 15 {
        work.block[word] = 0;
        word += 1;
    }
    work.block[15] = octets * 8;
    linkprobe_sha256(work);
}

/// Takes the block into the state (FIPS 180-4, section 6.2.2), and uses the block up.
///
/// A function of its own, so that it is there once; inside, the rounds are unrolled: what would be moved
/// from one working variable to the next just changes its name. The schedule stays in the map, by
/// volatile access: left to itself, the compiler works it out ahead, and runs out of stack.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn linkprobe_sha256(work: *mut Work) -> i32 {
    // SAFETY: the verifier sees to it that the pointer is null or leads to a whole `Work`.
    let Some(work) = (unsafe { work.as_mut() }) else { return -1 };
    let schedule = (&raw mut work.block).cast::<u32>();
    // SAFETY: the index is below 16, and the block has 16 words.
    let scheduled = |round: usize| unsafe { schedule.add(round & 15).read_volatile() };
    let state = (&raw mut work.state).cast::<u32>();
    // SAFETY: the index is below 8, and the state has 8 words.
    let before = |word: usize| unsafe { state.add(word).read_volatile() };
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] =
        [before(0), before(1), before(2), before(3), before(4), before(5), before(6), before(7)];
    macro_rules! round {
        ($a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident, $round:expr) => {
            let mut word = scheduled($round);
            if $round >= 16 {
                let far = twice(scheduled($round + 1));
                let near = twice(scheduled($round + 14));
                let far = (far >> 7) as u32 ^ (far >> 18) as u32 ^ (far as u32 >> 3);
                let near = (near >> 17) as u32 ^ (near >> 19) as u32 ^ (near as u32 >> 10);
                word =
                    word.wrapping_add(far).wrapping_add(scheduled($round + 9)).wrapping_add(near);
                // SAFETY: as in `scheduled`.
                unsafe { schedule.add($round & 15).write_volatile(word) };
            }
            let sum = twice($e);
            let sum = ((sum >> 6) ^ (sum >> 11) ^ (sum >> 25)) as u32;
            $h = $h
                .wrapping_add(sum)
                .wrapping_add($g ^ ($e & ($f ^ $g)))
                .wrapping_add(ROUNDS[$round])
                .wrapping_add(word);
            $d = $d.wrapping_add($h);
            let sum = twice($a);
            let sum = ((sum >> 2) ^ (sum >> 13) ^ (sum >> 22)) as u32;
            $h = $h.wrapping_add(sum).wrapping_add(($a & $b) | ($c & ($a | $b)));
        };
    }
    macro_rules! eight_rounds {
        ($($first:expr),*) => {$(
            round!(a b c d e f g h, $first);
            round!(h a b c d e f g, $first + 1);
            round!(g h a b c d e f, $first + 2);
            round!(f g h a b c d e, $first + 3);
            round!(e f g h a b c d, $first + 4);
            round!(d e f g h a b c, $first + 5);
            round!(c d e f g h a b, $first + 6);
            round!(b c d e f g h a, $first + 7);
        )*};
    }
    eight_rounds!(0, 8, 16, 24, 32, 40, 48, 56);
    work.state[0] = before(0).wrapping_add(a);
    work.state[1] = before(1).wrapping_add(b);
    work.state[2] = before(2).wrapping_add(c);
    work.state[3] = before(3).wrapping_add(d);
    work.state[4] = before(4).wrapping_add(e);
    work.state[5] = before(5).wrapping_add(f);
    work.state[6] = before(6).wrapping_add(g);
    work.state[7] = before(7).wrapping_add(h);
    0
}

/// A word beside itself: shifted to the right, its lower half is the word rotated. BPF has no rotation.
#[inline(always)]
fn twice(word: u32) -> u64 {
    u64::from(word) << 32 | u64::from(word)
}
