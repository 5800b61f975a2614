//! The small init of containers that ask for one (`--init`): the program's parent, which reaps
//! what others leave behind and passes signals on.

// For `sigwait`, which has no wrapper that knows real-time signals.
#![allow(unsafe_code)]

use std::{convert::Infallible, io, os::fd::AsFd};

use nix::{libc, sys::signal::SigSet};
use rustix::process::{Pid, WaitOptions, wait};

use super::LaunchError;
use crate::{
    child::{self, Channel, fork_again},
    failure::ToFailure,
};

/// Becomes the init: runs `execute` in a child and ends as that does. Returns if that cannot be
/// started.
pub(super) fn run(
    channel: &Channel,
    execute: impl FnOnce() -> Result<Infallible, LaunchError>,
) -> Result<Infallible, LaunchError> {
    let own = SigSet::all();
    own.thread_block().map_err(|errno| LaunchError::Init(errno.into()))?;
    let program = start(channel, execute).map_err(LaunchError::Init)?;
    // Closes this copy of the channel, so that the agent sees the program's `execve`.
    child::close_all_but(&[]);
    let everything = SigSet::all();
    loop {
        let mut signal = 0;
        // SAFETY: both point to values that live here.
        let waited = unsafe { libc::sigwait(everything.as_ref(), &raw mut signal) };
        if waited != 0 {
            continue;
        }
        if signal == libc::SIGCHLD {
            if let Some(code) = reap(program) {
                // Not by returning: what callers hold has been closed.
                child::leave(i32::from(code));
            }
        } else {
            // SAFETY: sends a signal and touches no memory. That the program has ended in this
            // moment is no fault.
            unsafe { libc::kill(program.as_raw_nonzero().get(), signal) };
        }
    }
}

fn start(
    channel: &Channel,
    execute: impl FnOnce() -> Result<Infallible, LaunchError>,
) -> io::Result<Pid> {
    fork_again(&[channel.as_fd()], || {
        // Signals act again in the program.
        let unblocked = SigSet::empty().thread_set_mask();
        let error = match unblocked {
            Ok(()) => match execute() {
                Err(error) => error,
            },
            Err(errno) => LaunchError::Init(errno.into()),
        };
        let _ = channel.send(agent_protocol::message::Reply::Failure(error.to_failure()), &[]);
        1
    })
}

/// Takes in all that have ended; the status that a shell would give if the program is among them.
fn reap(program: Pid) -> Option<u8> {
    let mut code = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == program {
            let signal = status.terminating_signal().map(|signal| 128 + signal);
            let number = signal.or(status.exit_status()).unwrap_or(0);
            code = Some(u8::try_from(number & 0xff).unwrap_or(u8::MAX));
        }
    }
    code
}
