//! The process of a monitor that somebody else started.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::ProcessId;

/// A process, and no other that may get its number later.
#[derive(Debug)]
pub struct Process(OwnedFd);

impl Process {
    /// That process; `None` if it has ended.
    pub fn of(id: ProcessId) -> io::Result<Option<Self>> {
        let process = match Self::open(id.pid) {
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
                return Ok(None);
            }
            process => process?,
        };
        // Asked after the opening: from here on the number cannot go to another.
        Ok(id.is_alive().then_some(process))
    }

    /// The process that has this number now.
    pub fn open(pid: u32) -> io::Result<Self> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self(pidfd_open(pid, PidfdFlags::empty())?))
    }

    /// Waits at most `limit` for its end; tells whether it has ended.
    pub fn wait(&self, limit: Duration) -> io::Result<bool> {
        let deadline = Instant::now().checked_add(limit);
        loop {
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            let timeout = left.and_then(|left| Timespec::try_from(left).ok());
            match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], timeout.as_ref()) {
                Err(rustix::io::Errno::INTR) => {}
                count => return Ok(count? > 0),
            }
        }
    }

    /// Asks it to end, as `kill` does.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        // One that has ended needs none, and whoever waits for it learns of that.
        let _ = pidfd_send_signal(&self.0, signal);
    }
}

impl AsFd for Process {
    /// The pidfd: readable once the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Process {
    /// The same, for event loops that take numbers.
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn end_of_a_process_is_waited_for() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::open(child.id()).unwrap();
        assert!(!process.wait(Duration::from_millis(1)).unwrap());
        process.kill();
        assert!(process.wait(Duration::from_secs(10)).unwrap());
        child.wait().unwrap();
    }

    #[test]
    fn id_of_an_earlier_process_of_that_number_opens_nothing() {
        let mut id = ProcessId::own().unwrap();
        assert!(Process::of(id).unwrap().is_some());
        id.started -= 1;
        assert!(Process::of(id).unwrap().is_none());
    }
}
