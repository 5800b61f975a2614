//! Signals from outside: SIGHUP, SIGINT and SIGTERM end the machine in good order.

use std::process;

use anyhow::Context;
use nix::sys::signal::{SigSet, Signal, raise};

/// Those that end the machine.
const ENDING: [Signal; 3] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM];

/// The signals that end the machine, which no thread takes but the one that waits for them.
pub(crate) struct Ending(SigSet);

impl Ending {
    /// Takes them over. To be called before threads are started, as each would take them.
    pub(crate) fn take_over() -> anyhow::Result<Self> {
        let ending: SigSet = ENDING.into_iter().collect();
        let mut blocked = ending;
        // A write beyond the limit of file sizes then fails, and does not end the process.
        blocked.add(Signal::SIGXFSZ);
        blocked.thread_block().context("failed to take over signals")?;
        Ok(Self(ending))
    }

    /// Waits for one.
    pub(crate) fn wait(&self) -> anyhow::Result<Signal> {
        self.0.wait().context("failed to wait for signals")
    }

    /// Ends the process as if `signal` had not been taken over.
    pub(crate) fn die(&self, signal: Signal) -> ! {
        let _ = self.0.thread_unblock();
        let _ = raise(signal);
        // It was ignored when this process was started.
        process::exit(128 + signal as i32);
    }
}
