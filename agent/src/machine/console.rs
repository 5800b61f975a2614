//! The console: where messages go, and where a command from the kernel's command line runs.

use std::{fs, io, os::fd::OwnedFd, path::PathBuf};

use rustix::{
    fs::{Mode, OFlags, open},
    stdio::stdin,
};

/// Makes sure that the three standard descriptors are open, so that no later file becomes one of
/// them. A kernel without a console starts its first process without them; errors go to the
/// kernel's log then.
pub(crate) fn ensure_standard_descriptors() -> io::Result<()> {
    if rustix::io::fcntl_getfd(stdin()).is_ok() {
        return Ok(());
    }
    // The kernel opens all three or none, and each open takes the lowest number that is free.
    for fallback in ["/dev/null", "/dev/null", "/dev/kmsg"] {
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let file = open("/dev/console", flags, Mode::empty())
            .or_else(|_| open(fallback, flags, Mode::empty()))?;
        std::mem::forget(file);
    }
    Ok(())
}

/// Opens the terminal behind `/dev/console`, which itself cannot control a session.
pub(crate) fn open_terminal() -> io::Result<OwnedFd> {
    let active = fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default();
    // The last one is what /dev/console stands for.
    let path = match active.split_ascii_whitespace().next_back() {
        Some(name) => PathBuf::from("/dev").join(name),
        None => PathBuf::from("/dev/console"),
    };
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(open(&path, flags, Mode::empty())
        .or_else(|_| open("/dev/console", flags, Mode::empty()))
        .or_else(|_| open("/dev/null", flags, Mode::empty()))?)
}
