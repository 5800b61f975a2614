//! Keeping quick what runs a million times.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use devices::virtio::event_loop::{FakeLoop, Handler};

/// Lets `handler` deal with all that is due, which must come to an end.
///
/// # Panics
///
/// If it does not: a device that spins.
pub fn settle(event_loop: &mut FakeLoop, handler: &mut dyn Handler) {
    for _ in 0..1000 {
        match event_loop.turn(handler, 0) {
            Ok(0) => return,
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => panic!("the loop fails: {e}"),
        }
    }
    panic!("the device spins");
}

/// Reads and throws away what waits in a descriptor that does not block.
pub fn drain(fd: &OwnedFd) {
    let mut scrap = [0; 4096];
    for _ in 0..1000 {
        if !matches!(rustix::io::read(fd.as_fd(), &mut scrap), Ok(1..)) {
            return;
        }
    }
    panic!("descriptor {} has no end", fd.as_raw_fd());
}
