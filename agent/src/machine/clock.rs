//! The machine's clock.

// For `adjtime`, which has no wrapper.
#![allow(unsafe_code)]

use std::{
    io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use agent_protocol::message::{FailureKind, SetClock};
use nix::libc;
use rustix::time::{ClockId, Timespec, clock_settime};

use crate::failure::ToFailure;

/// A difference below this is slewed away, so that time neither jumps nor goes back.
const SMALL: Duration = Duration::from_millis(500);

/// The clock could not be set.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClockError {
    #[error("Failed to set the clock")]
    Set(#[source] io::Error),
}

impl ToFailure for ClockError {
    fn kind(&self) -> FailureKind {
        FailureKind::System
    }
}

/// Sets the clock, or lets it run faster or slower for a while.
pub(crate) fn set(request: &SetClock) -> Result<(), ClockError> {
    let wanted = Duration::from_nanos(request.now_ns);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let late = wanted >= now;
    let difference = wanted.abs_diff(now);
    let result = if difference < SMALL { slew(difference, late) } else { step(wanted) };
    result.map_err(ClockError::Set)
}

fn step(wanted: Duration) -> io::Result<()> {
    let time = Timespec::try_from(wanted).map_err(|_| io::ErrorKind::InvalidInput)?;
    Ok(clock_settime(ClockId::Realtime, time)?)
}

fn slew(difference: Duration, forward: bool) -> io::Result<()> {
    let micros = i64::from(difference.subsec_micros());
    let delta = libc::timeval { tv_sec: 0, tv_usec: if forward { micros } else { -micros } };
    // SAFETY: reads one value that lives here; the old one is not wanted.
    match unsafe { libc::adjtime(&raw const delta, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
