//! Taps: Ethernet interfaces of the host kernel (Linux, networking/tuntap.rst).

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use self::ioctl::{InterfaceFlags, TapFlags};
use super::{NetBackend, Offloads};

mod ioctl;

/// The device that makes taps.
const TUN: &str = "/dev/net/tun";
/// Length of the header in front of each frame: a `virtio_net_hdr_v1`.
const HEADER_LEN: i32 = 12;
/// The longest name of an interface (IFNAMSIZ, less the NUL).
const MAX_NAME: usize = 15;

const USO: Offloads = Offloads::USO4.union(Offloads::USO6);

/// Why a tap cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenTapError {
    /// The name is empty, too long or has characters that no interface may have.
    #[error("invalid tap name {name:?}: 1 to 15 bytes, without '/', ':' and white space")]
    InvalidName {
        /// The name.
        name: String,
    },
    /// The kernel's tun device cannot be opened.
    #[error("failed to open {TUN} for tap {name}")]
    Device {
        /// The tap's name.
        name: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The interface does not exist and cannot be made, belongs to somebody else, or is in use.
    #[error("failed to attach to tap {name}")]
    Attach {
        /// The tap's name.
        name: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A setting was refused.
    #[error("failed to {operation} of tap {name}")]
    Configure {
        /// What was to be done.
        operation: &'static str,
        /// The tap's name.
        name: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A descriptor that was handed over is no tap.
    #[error("descriptor {fd} is not a tap")]
    NotATap {
        /// Number of the descriptor.
        fd: i32,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A descriptor that was handed over carries no frame headers.
    #[error("descriptor {fd} of {name} was not opened with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR")]
    WrongKind {
        /// Number of the descriptor.
        fd: i32,
        /// The interface's name.
        name: String,
    },
}

/// One queue of a tap.
#[derive(Debug)]
pub struct Tap {
    fd: OwnedFd,
    name: String,
    supported: Offloads,
}

impl Tap {
    /// Attaches to the tap `name` with `queues` queues (at least one). The kernel makes the
    /// interface if there is none and the process may.
    pub fn open(name: &str, queues: u16) -> Result<Vec<Self>, OpenTapError> {
        let invalid = |c: char| c == '/' || c == ':' || c == '%' || c == '\0' || c.is_whitespace();
        if name.is_empty() || name.len() > MAX_NAME || name.contains(invalid) || name == ".." {
            return Err(OpenTapError::InvalidName { name: name.to_owned() });
        }
        let several = queues > 1;
        let first = match Self::attach(name, several) {
            // An interface that was made for several queues does not take a single one.
            Err(OpenTapError::Attach { source, .. })
                if !several && source.raw_os_error() == Some(libc::EINVAL) =>
            {
                Self::attach(name, true)?
            }
            other => other?,
        };
        let mut taps = vec![first];
        for _ in 1..queues {
            taps.push(Self::attach(name, true)?);
        }
        Ok(taps)
    }

    fn attach(name: &str, several: bool) -> Result<Self, OpenTapError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(TUN)
            .map_err(|source| OpenTapError::Device { name: name.to_owned(), source })?;
        let mut flags = TapFlags::TAP | TapFlags::NO_PI | TapFlags::VNET_HDR;
        flags.set(TapFlags::MULTI_QUEUE, several);
        ioctl::attach(file.as_fd(), name, flags)
            .map_err(|source| OpenTapError::Attach { name: name.to_owned(), source })?;
        Self::configure(file.into(), name.to_owned())
    }

    /// Takes a queue of a tap that is already open (`IFF_TAP | IFF_NO_PI | IFF_VNET_HDR`).
    pub fn from_fd(fd: OwnedFd) -> Result<Self, OpenTapError> {
        let number = std::os::fd::AsRawFd::as_raw_fd(&fd);
        let InterfaceFlags { name, flags } = ioctl::interface(fd.as_fd())
            .map_err(|source| OpenTapError::NotATap { fd: number, source })?;
        if !flags.contains(TapFlags::TAP | TapFlags::NO_PI | TapFlags::VNET_HDR) {
            return Err(OpenTapError::WrongKind { fd: number, name });
        }
        let nonblocking = fcntl_getfl(&fd).and_then(|f| fcntl_setfl(&fd, f | OFlags::NONBLOCK));
        nonblocking.map_err(|e| OpenTapError::Configure {
            operation: "make the descriptor non-blocking",
            name: name.clone(),
            source: e.into(),
        })?;
        Self::configure(fd, name)
    }

    fn configure(fd: OwnedFd, name: String) -> Result<Self, OpenTapError> {
        if let Err(source) = ioctl::set_header_len(fd.as_fd(), HEADER_LEN) {
            return Err(OpenTapError::Configure {
                operation: "set the header length",
                name,
                source,
            });
        }
        let supported = probe_offloads(fd.as_fd());
        if let Err(source) = ioctl::set_offloads(fd.as_fd(), Offloads::empty()) {
            return Err(OpenTapError::Configure { operation: "clear the offloads", name, source });
        }
        Ok(Self { fd, name, supported })
    }

    /// The interface's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What the kernel takes: there is no way to ask but to try. The next call sets what is wanted.
fn probe_offloads(fd: BorrowedFd<'_>) -> Offloads {
    let base = Offloads::CSUM | Offloads::TSO4 | Offloads::TSO6 | Offloads::TSO_ECN;
    // Linux 6.2 and later knows USO.
    let wishes = [base, base | Offloads::UFO, base | USO];
    let accepted = |wish: &&Offloads| ioctl::set_offloads(fd, **wish).is_ok();
    wishes.iter().filter(accepted).fold(Offloads::empty(), |all, wish| all | *wish)
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl NetBackend for Tap {
    fn supported_offloads(&self) -> Offloads {
        self.supported
    }

    fn set_offloads(&self, offloads: Offloads) -> io::Result<()> {
        let mut offloads = offloads & self.supported;
        // The kernel takes both families or none.
        if !offloads.contains(USO) {
            offloads.remove(USO);
        }
        ioctl::set_offloads(self.fd.as_fd(), offloads)
    }

    fn set_enabled(&self, enabled: bool) -> io::Result<()> {
        ioctl::set_enabled(self.fd.as_fd(), enabled)
    }
}

#[cfg(test)]
mod tests;
