//! What the kernel hands to the userspace reflector: requests that it has verified and numbered, with
//! TLVs that it cannot answer.

use std::{
    mem::size_of,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd},
};

use aya::{
    Ebpf,
    maps::{MapData, RingBuf},
};
use probe_ebpf::maps::{Deferred, name};

use super::Error;

/// The queue of such requests.
pub struct Queue(RingBuf<MapData>);

/// One of them.
#[derive(Clone, Debug)]
pub struct Request {
    /// What the kernel says of it.
    pub header: Deferred,
    /// The UDP payload, as it came.
    pub payload: Vec<u8>,
}

impl Queue {
    pub(super) fn open(ebpf: &mut Ebpf) -> Result<Self, Error> {
        let map = ebpf.take_map(name::DEFERRED).ok_or(Error::Missing(name::DEFERRED))?;
        let ring =
            RingBuf::try_from(map).map_err(|source| Error::Map { map: name::DEFERRED, source })?;
        Ok(Self(ring))
    }

    /// The oldest request, if there is one.
    pub fn take(&mut self) -> Option<Request> {
        let entry = self.0.next()?;
        let (header, payload) = entry.split_at_checked(size_of::<Deferred>())?;
        // SAFETY: the slice has the size of the structure, for which every pattern of bits is valid.
        let header = unsafe { header.as_ptr().cast::<Deferred>().read_unaligned() };
        let payload = payload.get(..usize::from(header.length))?.to_vec();
        Some(Request { header, payload })
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the ring owns the descriptor, and `self` is borrowed as long as it is lent.
        unsafe { BorrowedFd::borrow_raw(self.0.as_raw_fd()) }
    }
}
