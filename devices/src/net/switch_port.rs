//! Ports of a user-mode switch: sequential packets of a unix socket, one for each frame.
//!
//! ```text
//!  card                                switch
//!   │ hello: "BHSW", version, 0, name ──► │
//!   │ ◄── 1, link, version                │   welcome, or 2 and a text: refused
//!   │ ◄──────────── frames ─────────────► │   each behind a virtio_net_hdr_v1
//!   │ 4, offloads ───────────────────►    │   what the driver takes over
//!   │ ◄── 3, link                         │   the cable is pulled or plugged in
//! ```
//!
//! Words are shorter than the header of a frame, by which they are told apart. When the switch has
//! no room for a frame, the socket says so, and the frame stays in the driver's queue.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::net::sockopt::{Timeout, set_socket_send_buffer_size, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv,
    send, socket_with,
};

use super::{NetBackend, Offloads};

/// How a hello begins: magic, version 1, nothing.
const HELLO: [u8; 8] = [b'B', b'H', b'S', b'W', 1, 0, 0, 0];
const WELCOME: u8 = 1;
const REFUSED: u8 = 2;
const LINK: u8 = 3;
const OFFLOADS: u8 = 4;

/// How long the switch may take to answer. It does nothing that waits.
const PATIENCE: Duration = Duration::from_secs(5);
/// What the kernel may hold of what the switch has not taken; the kernel's own limit may be lower.
const SEND_BUFFER: usize = 1 << 20;
/// The longest answer to a hello.
const MAX_ANSWER: usize = 256;

/// Why a port of a switch cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ConnectPortError {
    /// There is no switch, or it does not answer.
    #[error("failed to {operation} the switch at {} for port {port}", path.display())]
    System {
        /// What was tried.
        operation: &'static str,
        /// The switch's socket.
        path: PathBuf,
        /// The port.
        port: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The switch says no.
    #[error("the switch at {} refused port {port}: {reason}", path.display())]
    Refused {
        /// The switch's socket.
        path: PathBuf,
        /// The port.
        port: String,
        /// Why, in its words.
        reason: String,
    },
}

/// A port of a switch.
#[derive(Debug)]
pub struct SwitchPort {
    fd: OwnedFd,
    path: PathBuf,
    port: String,
    plugged_in: bool,
}

impl SwitchPort {
    /// Connects to the switch that listens at `path`, as the card of `port`.
    ///
    /// # Errors
    /// Names the socket and the port.
    pub fn connect(path: &Path, port: &str) -> Result<Self, ConnectPortError> {
        let mut operation = "connect to";
        let answered = (|| {
            let kind = SocketType::SEQPACKET;
            let fd = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
            set_socket_timeout(&fd, Timeout::Send, Some(PATIENCE))?;
            set_socket_timeout(&fd, Timeout::Recv, Some(PATIENCE))?;
            // It works with less.
            let _ = set_socket_send_buffer_size(&fd, SEND_BUFFER);
            connect(&fd, &SocketAddrUnix::new(path)?)?;
            operation = "greet";
            send(&fd, &[&HELLO, port.as_bytes()].concat(), SendFlags::NOSIGNAL)?;
            let mut answer = vec![0; MAX_ANSWER];
            let (len, _) = recv(&fd, &mut answer[..], RecvFlags::empty())?;
            answer.truncate(len);
            fcntl_setfl(&fd, fcntl_getfl(&fd)? | OFlags::NONBLOCK)?;
            Ok((fd, answer))
        })();
        let (path, port) = (path.to_owned(), port.to_owned());
        let (fd, answer) = match answered {
            Ok(answered) => answered,
            Err(source) => return Err(ConnectPortError::System { operation, path, port, source }),
        };
        let reason = match answer.as_slice() {
            [WELCOME, link, ..] => {
                return Ok(Self { fd, path, port, plugged_in: *link != 0 });
            }
            [REFUSED, reason @ ..] => String::from_utf8_lossy(reason).into_owned(),
            _ => "it hung up".to_owned(),
        };
        Err(ConnectPortError::Refused { path, port, reason })
    }
}

impl AsFd for SwitchPort {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl NetBackend for SwitchPort {
    /// Nothing is segmented: frames may be as long as an IP packet can be.
    fn supported_offloads(&self) -> Offloads {
        Offloads::CSUM
    }

    fn set_offloads(&self, offloads: Offloads) -> io::Result<()> {
        let word = [OFFLOADS, (offloads & Offloads::CSUM).bits() as u8];
        let sent = send(&self.fd, &word, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        match sent.map_err(io::Error::from) {
            // The switch has gone, which shows when frames are read; the next one is told.
            Err(error) if super::is_gone(&error) => Ok(()),
            result => result.map(drop),
        }
    }

    /// There is one queue.
    fn set_enabled(&self, _enabled: bool) -> io::Result<()> {
        Ok(())
    }

    fn is_plugged_in(&self) -> bool {
        self.plugged_in
    }

    fn cable_word(&self, message: &[u8]) -> Option<bool> {
        match message {
            [LINK, up] => Some(*up != 0),
            _ => None,
        }
    }

    fn reconnect(&self) -> Option<io::Result<Arc<dyn NetBackend>>> {
        let again = Self::connect(&self.path, &self.port);
        Some(again.map(|port| Arc::new(port) as Arc<dyn NetBackend>).map_err(io::Error::other))
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::{accept, bind, listen};

    use super::*;

    /// A switch that takes one card and gives it `answer`.
    fn switch(answer: &'static [u8]) -> (tempfile::TempDir, PathBuf, OwnedFd) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ports");
        let kind = SocketType::SEQPACKET;
        let fd = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap();
        bind(&fd, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        listen(&fd, 1).unwrap();
        let listener = fd.try_clone().unwrap();
        std::thread::spawn(move || {
            let card = accept(&listener).unwrap();
            let mut hello = [0; 100];
            let (len, _) = recv(&card, &mut hello, RecvFlags::empty()).unwrap();
            assert_eq!(&hello[..len], b"BHSW\x01\0\0\0web");
            send(&card, answer, SendFlags::empty()).unwrap();
        });
        (folder, path, fd)
    }

    #[test]
    fn welcome_says_whether_the_cable_is_plugged_in() {
        for (answer, up) in [(&[1, 1, 1], true), (&[1, 0, 1], false)] {
            let (_folder, path, _fd) = switch(answer);
            assert_eq!(SwitchPort::connect(&path, "web").unwrap().is_plugged_in(), up);
        }
    }

    #[test]
    fn refusal_gives_the_switchs_reason() {
        let (_folder, path, _fd) = switch(b"\x02port web has a card already");
        let error = SwitchPort::connect(&path, "web").unwrap_err().to_string();
        assert!(error.ends_with("refused port web: port web has a card already"), "{error}");
    }

    #[test]
    fn switch_that_is_not_there_is_named() {
        let error = SwitchPort::connect(Path::new("/nowhere/ports"), "web").unwrap_err();
        let expected = "failed to connect to the switch at /nowhere/ports for port web";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn words_of_the_cable_are_told_from_others() {
        let (_folder, path, _fd) = switch(&[1, 1, 1]);
        let port = SwitchPort::connect(&path, "web").unwrap();
        assert_eq!(port.cable_word(&[3, 0]), Some(false));
        assert_eq!(port.cable_word(&[3, 1]), Some(true));
        assert_eq!((port.cable_word(&[9, 1]), port.cable_word(&[3])), (None, None));
    }
}
