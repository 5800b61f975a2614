//! The user's terminal.

use std::io::{self, IsTerminal};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// Whether both ends of the conversation are a terminal.
pub(crate) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Rows and columns of the terminal on standard output.
pub(crate) fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// Puts the terminal into raw mode until it is dropped.
///
/// Whoever holds it must not end by a signal's default action: see
/// [`signals`](super::signals).
pub(crate) struct RawMode(Termios);

impl RawMode {
    /// Raw mode for the terminal on standard input; `None` if that is none.
    pub(crate) fn enter() -> io::Result<Option<Self>> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Some(Self(before)))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.0);
    }
}

/// What the user typed, after the escape is dealt with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// Bytes for the guest.
    Bytes(Vec<u8>),
    /// Bytes for the guest, then the escape.
    Quit(Vec<u8>),
}

/// Looks for the escape, Ctrl-] twice in a row, in what is typed. A single one goes to the guest
/// when something else follows.
#[derive(Debug, Default)]
pub(crate) struct Escape {
    pending: bool,
}

/// Ctrl-].
const ESCAPE: u8 = 0x1d;

impl Escape {
    /// How to tell the user.
    pub(crate) const HINT: &'static str = "Ctrl-] Ctrl-] leaves";

    /// Takes the next bytes typed.
    pub(crate) fn feed(&mut self, typed: &[u8]) -> Typed {
        let mut bytes = Vec::with_capacity(typed.len() + 1);
        for byte in typed {
            match (*byte, std::mem::take(&mut self.pending)) {
                (ESCAPE, true) => return Typed::Quit(bytes),
                (ESCAPE, false) => self.pending = true,
                (other, pending) => {
                    if pending {
                        bytes.push(ESCAPE);
                    }
                    bytes.push(other);
                }
            }
        }
        Typed::Bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_twice_quits_even_across_reads() {
        let mut escape = Escape::default();
        assert_eq!(escape.feed(b"ab\x1d"), Typed::Bytes(b"ab".to_vec()));
        assert_eq!(escape.feed(b"\x1dcd"), Typed::Quit(Vec::new()));
    }

    #[test]
    fn single_escape_reaches_the_guest_with_what_follows() {
        let mut escape = Escape::default();
        assert_eq!(escape.feed(b"\x1d"), Typed::Bytes(Vec::new()));
        assert_eq!(escape.feed(b"x\x1dy"), Typed::Bytes(b"\x1dx\x1dy".to_vec()));
    }
}
