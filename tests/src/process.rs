//! Processes that end with the test.

use std::env;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// A process that is killed and reaped with this value.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Readable once the process has ended.
    pidfd: OwnedFd,
}

impl Process {
    /// Starts a program.
    ///
    /// # Errors
    ///
    /// Names the program.
    pub fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        let child = command.spawn().with_context(|| format!("start {command:?}"))?;
        let pid = Pid::from_child(&child);
        Ok(Self { child, pidfd: pidfd_open(pid, PidfdFlags::empty())? })
    }

    /// Its number.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(kill_process(self.pid(), signal)?)
    }

    /// Waits at most `limit` until `event` is readable.
    ///
    /// # Errors
    ///
    /// It is not, or the process ended first.
    pub(crate) fn wait_unless_ended(
        &self,
        event: &impl AsFd,
        limit: Duration,
    ) -> anyhow::Result<()> {
        let timeout = Timespec::try_from(limit)?;
        let mut events =
            [PollFd::new(event, PollFlags::IN), PollFd::new(&self.pidfd, PollFlags::IN)];
        ensure!(poll(&mut events, Some(&timeout))? > 0, "nothing came within {limit:?}");
        ensure!(!events[0].revents().is_empty(), "process {:?} has ended", self.pid());
        Ok(())
    }

    /// Waits at most `limit` for the end.
    ///
    /// # Errors
    ///
    /// It did not come.
    pub fn wait(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        wait_for_end(&self.pidfd, limit).with_context(|| format!("process {:?}", self.pid()))?;
        Ok(self.child.wait()?)
    }
}

/// Waits at most `limit` for the end of a process that may be somebody else's child.
///
/// # Errors
///
/// It did not come.
pub fn wait_for_end(pidfd: &OwnedFd, limit: Duration) -> anyhow::Result<()> {
    let timeout = Timespec::try_from(limit)?;
    let ended = poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&timeout))?;
    ensure!(ended == 1, "it still ran after {limit:?}");
    Ok(())
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a process that has been reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the monitor on `folder/spec.json`; `serial` becomes its input and output.
pub(crate) fn spawn_monitor(folder: &Path, serial: UnixStream) -> anyhow::Result<Process> {
    let output = OwnedFd::from(serial.try_clone()?);
    Process::spawn(
        Command::new(monitor()?)
            .arg("--spec")
            .arg(folder.join("spec.json"))
            .arg("--api-sock")
            .arg(folder.join("api.sock"))
            .arg("--log-path")
            .arg(folder.join("log"))
            .args(["--level", "Info", "--exit-with-parent"])
            .stdin(Stdio::from(OwnedFd::from(serial)))
            .stdout(Stdio::from(output))
            .stderr(Stdio::from(File::create(folder.join("stderr"))?)),
    )
}

/// The monitor: `BULKHEAD_VMM`, else what cargo has built beside this test.
fn monitor() -> anyhow::Result<PathBuf> {
    env::var_os("BULKHEAD_VMM").map_or_else(|| program("bulkhead-vmm"), |path| Ok(path.into()))
}

/// The program `name` that cargo has built beside this test.
///
/// # Errors
///
/// When it was not built.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    // target/debug/deps/boot_ends-0123456789abcdef
    let me = env::current_exe()?;
    let built = me.ancestors().nth(2).context("this test is in no target folder")?;
    let program = built.join(name);
    ensure!(program.exists(), "{} is missing: cargo build -p {name}", program.display());
    Ok(program)
}
