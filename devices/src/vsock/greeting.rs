//! The line that a host program says first: `CONNECT <port>\n`.

use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

/// Longer than any valid line: `CONNECT 4294967295\r\n` has 20 bytes.
const MAX_LINE: usize = 32;

/// A first line in the making. What follows it stays in the socket.
#[derive(Debug, Default)]
pub struct Greeting {
    line: [u8; MAX_LINE],
    len: usize,
}

/// How far a [`Greeting`] got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GreetingStep {
    /// The line is not complete; there is no more to read now.
    Incomplete,
    /// The program wants this port of the guest.
    Connect(u32),
    /// The program left, or said something else.
    Refused,
}

impl Greeting {
    /// Reads what `stream`, which does not block, has of the line and not a byte more.
    pub fn read(&mut self, stream: impl AsFd) -> GreetingStep {
        loop {
            let Some(room) = self.line.get_mut(self.len..).filter(|r| !r.is_empty()) else {
                return GreetingStep::Refused;
            };
            let seen = match receive(&stream, room, RecvFlags::PEEK) {
                Ok(0) => return GreetingStep::Refused,
                Ok(seen) => room.get(..seen).unwrap_or_default(),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return GreetingStep::Incomplete,
                Err(_) => return GreetingStep::Refused,
            };
            let end = seen.iter().position(|b| *b == b'\n');
            let wanted = end.map_or(seen.len(), |at| at + 1);
            let Some(room) = room.get_mut(..wanted) else { return GreetingStep::Refused };
            match receive(&stream, room, RecvFlags::empty()) {
                Ok(n) if n == wanted => self.len += n,
                _ => return GreetingStep::Refused,
            }
            if end.is_some() {
                let line = self.line.get(..self.len).unwrap_or_default();
                return parse(line).map_or(GreetingStep::Refused, GreetingStep::Connect);
            }
        }
    }
}

fn receive(stream: impl AsFd, room: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
    loop {
        match recv(&stream, &mut *room, flags) {
            Ok((count, _)) => return Ok(count),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

fn parse(line: &[u8]) -> Option<u32> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_ascii_whitespace();
    let verb = words.next()?;
    let port = words.next()?;
    let only_digits = port.bytes().all(|b| b.is_ascii_digit());
    let whole = verb.eq_ignore_ascii_case("connect") && words.next().is_none() && only_digits;
    whole.then(|| port.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    fn pair() -> (UnixStream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (ours, theirs)
    }

    #[test]
    fn line_in_pieces_gives_the_port_and_leaves_what_follows() {
        let (mut ours, mut theirs) = pair();
        let mut greeting = Greeting::default();
        theirs.write_all(b"CONN").unwrap();
        assert_eq!(greeting.read(&ours), GreetingStep::Incomplete);
        theirs.write_all(b"ECT 52\nhello").unwrap();
        assert_eq!(greeting.read(&ours), GreetingStep::Connect(52));
        let mut rest = [0; 5];
        ours.read_exact(&mut rest).unwrap();
        assert_eq!(&rest, b"hello");
    }

    #[test]
    fn leaving_before_the_line_ends_is_refused() {
        let (ours, mut theirs) = pair();
        theirs.write_all(b"CONNECT 5").unwrap();
        drop(theirs);
        assert_eq!(Greeting::default().read(&ours), GreetingStep::Refused);
    }

    #[test]
    fn endless_line_is_refused() {
        let (ours, mut theirs) = pair();
        theirs.write_all(&[b'C'; 4096]).unwrap();
        assert_eq!(Greeting::default().read(&ours), GreetingStep::Refused);
    }

    #[test]
    fn other_lines_are_refused() {
        assert_eq!(parse(b"CONNECT 4294967295\n"), Some(u32::MAX));
        assert_eq!(parse(b"connect 7\r\n"), Some(7));
        assert_eq!(parse(b"CONNECT 4294967296\n"), None);
        assert_eq!(parse(b"CONNECT -1\n"), None);
        assert_eq!(parse(b"CONNECT +1\n"), None);
        assert_eq!(parse(b"CONNECT\n"), None);
        assert_eq!(parse(b"CONNECT 1 2\n"), None);
        assert_eq!(parse(b"GET / HTTP/1.1\n"), None);
        assert_eq!(parse(b"\xff\xfe\n"), None);
    }
}
