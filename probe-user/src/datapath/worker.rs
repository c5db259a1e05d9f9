//! Threads that wait for file descriptors, and end when nobody wants them any more.

use std::{
    ffi::c_int,
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
    thread,
};

/// For [`readable`].
const FOR_EVER: c_int = -1;

/// What such a thread does.
pub(super) trait Work: Send + 'static {
    /// What it waits for to become readable. They stay open as long as this is there.
    fn descriptors(&self) -> Vec<RawFd>;

    /// Does what there is to do at the descriptor with this index. What is left over makes it readable
    /// again: it is better to come back here than to stay for long.
    fn work(&mut self, index: usize);
}

/// The thread; it ends when this is dropped.
pub(super) struct Worker {
    stop: OwnedFd,
    thread: Option<thread::JoinHandle<()>>,
}

impl Worker {
    /// Starts it.
    ///
    /// # Errors
    /// Where the system gives no descriptor or no thread.
    pub(super) fn start(name: &str, mut work: impl Work) -> io::Result<Self> {
        // SAFETY: the call takes two numbers.
        let stop = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if stop < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new, and nobody else's.
        let stop = unsafe { OwnedFd::from_raw_fd(stop) };
        let stopped = stop.try_clone()?;
        let thread =
            thread::Builder::new().name(name.to_owned()).spawn(move || run(&stopped, &mut work))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: the pointer leads to as many octets as are written. It cannot fail: the counter of an
        // eventfd overflows only after 2^64 of these.
        unsafe { libc::write(self.stop.as_raw_fd(), one.as_ptr().cast(), one.len()) };
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn run(stop: &OwnedFd, work: &mut impl Work) {
    let mut all = vec![stop.as_raw_fd()];
    all.extend(work.descriptors());
    loop {
        for ready in readable(&all, FOR_EVER) {
            match ready.checked_sub(1) {
                None => return,
                Some(index) => work.work(index),
            }
        }
    }
}

/// Waits until one of these descriptors is readable, for at most some milliseconds, and returns the indexes
/// of those that are, in their order.
pub(super) fn readable(descriptors: &[RawFd], wait: c_int) -> Vec<usize> {
    let awaited = |fd: &RawFd| libc::pollfd { fd: *fd, events: libc::POLLIN, revents: 0 };
    let mut polled: Vec<_> = descriptors.iter().map(awaited).collect();
    // SAFETY: the pointer leads to as many elements.
    let ready = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, wait) };
    if ready <= 0 {
        // Nothing, or a signal; nothing else can happen to a list of open descriptors.
        return Vec::new();
    }
    let is_ready = |(_, one): &(usize, libc::pollfd)| one.revents != 0;
    polled.into_iter().enumerate().filter(is_ready).map(|(index, _)| index).collect()
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, io::Write as _, os::unix::net::UnixStream, sync::mpsc};

    use super::*;

    struct Reader(Vec<UnixStream>, mpsc::Sender<(usize, u8)>);

    impl Work for Reader {
        fn descriptors(&self) -> Vec<RawFd> {
            self.0.iter().map(std::os::fd::AsRawFd::as_raw_fd).collect()
        }

        fn work(&mut self, index: usize) {
            let mut octet = [0];
            self.0[index].read_exact(&mut octet).unwrap();
            self.1.send((index, octet[0])).unwrap();
        }
    }

    #[test]
    fn it_works_until_it_is_dropped() {
        let (mut first, its) = UnixStream::pair().unwrap();
        let (mut second, others) = UnixStream::pair().unwrap();
        let (done, seen) = mpsc::channel();
        let worker = Worker::start("reader", Reader(vec![its, others], done)).unwrap();
        second.write_all(&[7]).unwrap();
        assert_eq!(seen.recv(), Ok((1, 7)));
        // What is not taken at once is there the next time.
        first.write_all(&[8, 9]).unwrap();
        assert_eq!((seen.recv(), seen.recv()), (Ok((0, 8)), Ok((0, 9))));
        drop(worker);
        assert!(seen.recv().is_err(), "the thread has ended, and so has its end of the channel");
        assert!(first.write_all(&[1]).is_err(), "so have its descriptors");
    }
}
