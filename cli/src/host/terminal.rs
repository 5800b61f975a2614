//! The user's terminal.

use std::io::{self, IsTerminal};
use std::panic;
use std::sync::{Mutex, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// Whether both ends of the conversation are a terminal.
pub(crate) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Rows and columns of the terminal on standard output.
pub(crate) fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// The settings to go back to.
///
/// They are the process's, not a value's on some thread's stack: the process may end while
/// another thread holds the terminal, and on a panic nothing may be dropped at all.
static BEFORE: Mutex<Before> = Mutex::new(Before::Untouched);

enum Before {
    /// The terminal is as it was.
    Untouched,
    /// It is raw or silent, and was like this.
    Raw(Termios),
    /// The process is ending: hands off.
    Ending,
}

/// Puts the terminal into raw mode until it is dropped.
///
/// Whoever holds it must not end by a signal's default action: see
/// [`signals`](super::signals).
pub(crate) struct RawMode(());

impl RawMode {
    /// Raw mode for the terminal on standard input; `None` if that is none, or if it is raw
    /// already.
    pub(crate) fn enter() -> io::Result<Option<Self>> {
        let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*before, Before::Untouched) || !io::stdin().is_terminal() {
            return Ok(None);
        }
        let settings = tcgetattr(io::stdin())?;
        let mut raw = settings.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        *before = Before::Raw(settings);
        Ok(Some(Self(())))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore(Before::Untouched);
    }
}

/// Shows nothing of what is typed until it is dropped.
pub(crate) struct NoEcho(());

impl NoEcho {
    /// For the terminal on standard input; nothing where that is none.
    pub(crate) fn enter() -> io::Result<Self> {
        let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*before, Before::Untouched) && io::stdin().is_terminal() {
            let settings = tcgetattr(io::stdin())?;
            let mut silent = settings.clone();
            silent.local_modes.remove(LocalModes::ECHO);
            tcsetattr(io::stdin(), OptionalActions::Now, &silent)?;
            *before = Before::Raw(settings);
        }
        Ok(Self(()))
    }
}

impl Drop for NoEcho {
    fn drop(&mut self) {
        restore(Before::Untouched);
    }
}

/// Restores the terminal, whoever holds it, and lets nobody change it any more. To be called
/// before the process ends.
pub(crate) fn restore_for_good() {
    restore(Before::Ending);
}

fn restore(next: Before) {
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    let next = if matches!(*before, Before::Ending) { Before::Ending } else { next };
    if let Before::Raw(settings) = std::mem::replace(&mut *before, next) {
        // Not waiting for output to drain, which a stopped terminal never does. A terminal that
        // is gone needs no restoring.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &settings);
    }
}

/// From now on a panic restores the terminal before it is reported.
pub(crate) fn restore_on_panic() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        restore(Before::Untouched);
        report(info);
    }));
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
