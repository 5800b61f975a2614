//! Pseudo-terminals.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use agent_protocol::message;
use rustix::{
    fs::{Gid, OFlags, fchown, fcntl_getfl, fcntl_setfl},
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use super::user::User;

/// The group `tty`, to which terminals belong.
const TTY: u32 = 5;

/// The agent's end of a terminal.
pub(crate) struct Terminal {
    main: OwnedFd,
}

impl Terminal {
    /// Makes a terminal of the given size that belongs to `user`; returns the agent's end and the
    /// command's.
    pub(super) fn open(
        size: message::Terminal,
        user: Option<&User>,
    ) -> io::Result<(Self, OwnedFd)> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let main = openpt(flags)?;
        grantpt(&main)?;
        unlockpt(&main)?;
        let peer = ioctl_tiocgptpeer(&main, flags)?;
        if let Some(user) = user {
            fchown(&peer, Some(user.uid), Some(Gid::from_raw(TTY)))?;
        }
        let terminal = Self { main };
        terminal.resize(size)?;
        Ok((terminal, peer))
    }

    /// The end that a child has made and sent.
    pub(crate) fn received(main: OwnedFd) -> io::Result<Self> {
        fcntl_setfl(&main, fcntl_getfl(&main)? | OFlags::NONBLOCK)?;
        Ok(Self { main })
    }

    /// Sets the size; the kernel tells the programs in it.
    pub(crate) fn resize(&self, size: message::Terminal) -> io::Result<()> {
        let limit = |value| u16::try_from(value).unwrap_or(u16::MAX);
        let size = Winsize {
            ws_row: limit(size.rows),
            ws_col: limit(size.columns),
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        Ok(tcsetwinsize(&self.main, size)?)
    }

    /// Another descriptor of our end.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        self.main.try_clone()
    }
}

impl AsFd for Terminal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.main.as_fd()
    }
}
