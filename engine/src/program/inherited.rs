//! The socket that systemd passes: socket activation.
#![allow(unsafe_code)]

use std::env;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;

use anyhow::{Context, ensure};
use rustix::io::{FdFlags, fcntl_setfd};

/// The first descriptor that is passed (`SD_LISTEN_FDS_START`).
const FIRST: i32 = 3;

/// The listening socket, if one is passed. To be called once, before anything is opened.
pub(super) fn listener() -> anyhow::Result<Option<UnixListener>> {
    let number = |name| env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    if number("LISTEN_PID") != Some(std::process::id()) {
        return Ok(None);
    }
    let count = number("LISTEN_FDS").unwrap_or(0);
    if count == 0 {
        return Ok(None);
    }
    ensure!(count == 1, "{count} sockets were passed, and one is expected");
    // SAFETY: the service manager says that the descriptor is there and is this process's; it is
    // taken once, and nothing has been opened yet that could have got its number otherwise.
    let fd = unsafe { OwnedFd::from_raw_fd(FIRST) };
    // Machines and the switch must not hold it.
    fcntl_setfd(&fd, FdFlags::CLOEXEC).context("failed to take the socket that was passed")?;
    let listener = UnixListener::from(fd);
    listener.local_addr().context("the descriptor that was passed is no unix socket")?;
    Ok(Some(listener))
}
