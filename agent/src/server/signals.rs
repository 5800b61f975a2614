//! Signals as events: ended children, and requests to end the machine.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use agent_protocol::message::{Done, Exited, PowerMode, Reply};
use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};
use rustix::process::{WaitOptions, WaitStatus, wait};

use super::{End, Server};

/// The bit of a wait status that says that the kernel dumped core (wait(2), `WCOREDUMP`).
const CORE_DUMPED: i32 = 0x80;

/// The signals that arrive as events from now on. They stay blocked in this process and are unblocked
/// in each child.
pub(super) struct Signals {
    events: SignalFd,
}

impl Signals {
    pub(super) fn take() -> io::Result<Self> {
        let mut handled = SigSet::empty();
        for signal in [Signal::SIGCHLD, Signal::SIGINT, Signal::SIGTERM] {
            handled.add(signal);
        }
        // Blocked and never read: writing to what has been closed is an error, not an end.
        let mut blocked = handled;
        blocked.add(Signal::SIGPIPE);
        blocked.thread_block()?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Self { events: SignalFd::with_flags(&handled, flags)? })
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

impl Server {
    pub(super) fn handle_signals(&mut self) {
        while let Ok(Some(signal)) = self.signals.1.events.read_signal() {
            let number = i32::try_from(signal.ssi_signo).unwrap_or(0);
            match Signal::try_from(number) {
                // Ctrl-Alt-Del on the keyboard.
                Ok(Signal::SIGINT) => self.end = Some(End::Power(PowerMode::Reboot)),
                Ok(Signal::SIGTERM) => self.end = Some(End::Power(PowerMode::PowerOff)),
                _ => {}
            }
        }
        // One signal may stand for many children.
        self.reap();
    }

    /// Takes in all children that have ended, those adopted from other processes included.
    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if self.console_command == Some(pid) {
                self.end = Some(End::Command(status));
            }
            self.hear_last(pid);
            if let Some(asked) = self.releasing.remove(&pid) {
                self.answer(asked, Reply::Done(Done {}));
            }
            self.first_reaped(pid, status);
            let Some((session, owner)) = self.sessions.reaped(pid) else { continue };
            if let Some((token, request)) = owner {
                self.reply(token, request, Reply::Exited(exited(session, status)));
            }
        }
    }
}

fn exited(session: u64, status: WaitStatus) -> Exited {
    let number = |value: Option<i32>| value.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    Exited {
        session,
        code: number(status.exit_status()),
        signal: number(status.terminating_signal()),
        core_dumped: status.signaled() && status.as_raw() & CORE_DUMPED != 0,
    }
}
