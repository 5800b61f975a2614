//! Threads that carry bytes between the user and a machine's console.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use super::terminal::{Escape, Typed};

const CHUNK: usize = 64 << 10;

/// Copies `from` to `to` until either ends, passing on what there is at once.
pub(crate) fn copy(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                to.write_all(buffer.get(..count).unwrap_or_default())?;
                to.flush()?;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            // The other side of a console ends without ceremony.
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
            Err(e) => return Err(e),
        }
    }
}

/// Sends what the user types to `console`; `quit` is called when the user asks to leave.
pub(crate) fn keyboard(
    mut console: UnixStream,
    escape: bool,
    quit: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    thread::Builder::new().name("keyboard".to_owned()).spawn(move || {
        if !escape {
            // Input from a file just ends; the machine goes on.
            return drop(copy(io::stdin().lock(), console));
        }
        let (mut buffer, mut filter) = ([0; 4096], Escape::default());
        let mut stdin = io::stdin().lock();
        loop {
            let count = match stdin.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(count) => count,
            };
            let (bytes, leave) = match filter.feed(buffer.get(..count).unwrap_or_default()) {
                Typed::Bytes(bytes) => (bytes, false),
                Typed::Quit(bytes) => (bytes, true),
            };
            if console.write_all(&bytes).is_err() {
                return;
            }
            if leave {
                return quit();
            }
        }
    })?;
    Ok(())
}

/// Shows a console's output until it ends; `gone` is called when nobody takes it any more.
pub(crate) fn screen(
    console: UnixStream,
    to: impl Write + Send + 'static,
    gone: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("screen".to_owned()).spawn(move || {
        if copy(console, to).is_err() {
            gone();
        }
    })
}

/// Keeps the last of a console's output, until it ends.
pub(crate) fn keep(console: UnixStream) -> io::Result<JoinHandle<Vec<u8>>> {
    thread::Builder::new().name("console".to_owned()).spawn(move || {
        let mut tail = Tail::default();
        // An output that breaks off is kept as far as it came.
        let _ = copy(console, &mut tail);
        tail.0.into()
    })
}

/// The last bytes written to it.
#[derive(Default)]
struct Tail(VecDeque<u8>);

impl Write for Tail {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.extend(data);
        let excess = self.0.len().saturating_sub(CHUNK);
        self.0.drain(..excess);
        Ok(data.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_of_a_flood_is_kept() {
        let (mut guest, host) = UnixStream::pair().unwrap();
        let thread = keep(host).unwrap();
        for _ in 0..20 {
            guest.write_all(&[b'x'; 10_000]).unwrap();
        }
        guest.write_all(b"the end").unwrap();
        drop(guest);
        let kept = thread.join().unwrap();
        assert_eq!(kept.len(), CHUNK);
        assert!(kept.ends_with(b"xthe end"));
    }
}
