//! Signals to this process, as events.

use std::sync::mpsc::Sender;
use std::thread;

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH};
use signal_hook::iterator::Signals;

/// A signal that a user or the system sends to a foreground command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGINT, SIGQUIT, SIGTERM or SIGHUP: end. The number is kept for the exit status.
    End(i32),
    /// SIGWINCH: the terminal has another size.
    Resized,
}

/// From now on signals do not end this process but arrive in `events`.
pub(crate) fn forward<E: From<Signal> + Send + 'static>(events: Sender<E>) -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH])
        .context("failed to take over signals")?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for number in signals.forever() {
            let signal = if number == SIGWINCH { Signal::Resized } else { Signal::End(number) };
            if events.send(signal.into()).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

/// From now on a signal that ends this process leaves the terminal as it was before.
pub(crate) fn restore_terminal_before_the_end() -> anyhow::Result<()> {
    let mut signals =
        Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM]).context("failed to take over signals")?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if let Some(number) = signals.forever().next() {
            super::terminal::restore_for_good();
            // What follows on the terminal does not begin behind the question.
            crate::output::note("");
            std::process::exit(exit_status(number).into());
        }
    })?;
    Ok(())
}

/// The exit status of a process that a signal ended, as shells give it.
pub(crate) fn exit_status(number: i32) -> u8 {
    128u8.saturating_add(u8::try_from(number).unwrap_or(127))
}
