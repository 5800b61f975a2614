//! File descriptors that are read and written without blocking, whatever their kind.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fcntl_getfl, fcntl_setfl, fstat, open};
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::bound::Bound;

/// Bytes that go to a descriptor that cannot be made non-blocking: a pipe that polls as writable
/// has room for as many (PIPE_BUF).
const POLLED: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The open file is ours alone, and non-blocking; or it is a file that never blocks.
    Plain,
    /// A socket: each call says that it must not block.
    Socket,
    /// The open file belongs to others as well, who would be surprised by a change of its flags.
    Polled,
}

/// A descriptor and the way to use it without blocking.
#[derive(Debug)]
pub(super) struct Descriptor {
    fd: OwnedFd,
    kind: Kind,
    bound: Option<Bound>,
}

impl Descriptor {
    /// A descriptor whose open file nobody else uses.
    pub(super) fn own(fd: OwnedFd) -> io::Result<Self> {
        let kind = match file_type(&fd)? {
            FileType::Socket => Kind::Socket,
            _ => Kind::Plain,
        };
        if kind == Kind::Plain {
            fcntl_setfl(&fd, fcntl_getfl(&fd)? | OFlags::NONBLOCK)?;
        }
        Ok(Self { fd, kind, bound: None })
    }

    /// A descriptor that was inherited, such as a standard stream. `access` is how it is used.
    ///
    /// Its open file is shared with the shell and others, so its flags must stay. A terminal or
    /// pipe can be opened a second time instead.
    pub(super) fn inherited(fd: OwnedFd, access: OFlags) -> io::Result<Self> {
        let kind = match file_type(&fd)? {
            FileType::Socket => Kind::Socket,
            FileType::RegularFile | FileType::BlockDevice | FileType::Directory => Kind::Plain,
            _ => {
                let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
                let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
                if let Ok(fd) = open(path, flags, Mode::empty()) {
                    return Ok(Self { fd, kind: Kind::Plain, bound: None });
                }
                Kind::Polled
            }
        };
        Ok(Self { fd, kind, bound: None })
    }

    /// The same; if it is a file, that has at most `limit` bytes.
    pub(super) fn limited(mut self, limit: Option<u64>) -> io::Result<Self> {
        let stat = fstat(&self.fd)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
            self.bound = limit.map(|limit| Bound::new(limit, stat.st_size));
        }
        Ok(self)
    }

    /// Reads what there is; `WouldBlock` if nothing, 0 at the end.
    pub(super) fn read(&self, data: &mut [u8]) -> io::Result<usize> {
        let n = match self.kind {
            Kind::Plain => rustix::io::read(&self.fd, data)?,
            Kind::Socket => recv(&self.fd, data, RecvFlags::DONTWAIT)?.0,
            Kind::Polled => {
                self.poll(PollFlags::IN)?;
                rustix::io::read(&self.fd, data)?
            }
        };
        Ok(n)
    }

    /// Writes what fits; `WouldBlock` if nothing.
    pub(super) fn write(&self, data: &[u8]) -> io::Result<usize> {
        let n = match self.kind {
            Kind::Plain => match &self.bound {
                Some(bound) => bound.write(&self.fd, data)?,
                None => rustix::io::write(&self.fd, data)?,
            },
            Kind::Socket => send(&self.fd, data, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?,
            Kind::Polled => {
                self.poll(PollFlags::OUT)?;
                rustix::io::write(&self.fd, &data[..data.len().min(POLLED)])?
            }
        };
        Ok(n)
    }

    fn poll(&self, wanted: PollFlags) -> io::Result<()> {
        let mut fds = [PollFd::new(&self.fd, wanted)];
        match poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        }
    }
}

fn file_type(fd: &OwnedFd) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(fstat(fd)?.st_mode))
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
