//! `bulkhead vm run` on a terminal: however it ends, it leaves the terminal as it was, and neither
//! a monitor nor a folder.

use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tests::{Cli, Process, Terminal, TinyGuest, wait_for_end};

/// How long each step may take on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(30);

/// A machine in the foreground.
struct Session {
    terminal: Terminal,
    process: Process,
    monitor: OwnedFd,
    cli: Cli,
}

impl Session {
    /// Its guest has greeted, and the terminal is raw.
    fn start() -> anyhow::Result<Self> {
        let (cli, mut terminal) = (Cli::new()?, Terminal::new()?);
        let kernel = TinyGuest::Attentive.write_kernel(cli.folder())?.display().to_string();
        let run = ["vm", "run", "--name", "one", "--memory", "32M", "--kernel", &kernel];
        let mut command = cli.command(&["setsid", "--ctty"], &run);
        let process = Process::spawn(terminal.connect(&mut command)?)?;
        terminal.wait_for("hello", LIMIT)?;
        let pid = cli.list()?[0]["pid"].as_i64().context("no machine is listed")?;
        let pid = Pid::from_raw(pid.try_into()?).context("0 is no process")?;
        let monitor = pidfd_open(pid, PidfdFlags::empty())?;
        assert!(terminal.is_raw()?);
        Ok(Self { terminal, process, monitor, cli })
    }

    /// The exit status, once everything is as it was before.
    fn end(&mut self) -> anyhow::Result<Option<i32>> {
        let status = self.process.wait(LIMIT)?;
        assert!(self.terminal.is_restored()?, "the terminal is not as it was");
        self.assert_nothing_is_left()?;
        Ok(status.code())
    }

    fn assert_nothing_is_left(&self) -> anyhow::Result<()> {
        wait_for_end(&self.monitor, LIMIT).context("the monitor")?;
        assert_eq!(self.cli.list()?, serde_json::json!([]));
        assert_eq!(self.cli.machines().read_dir()?.count(), 0, "folders of machines");
        Ok(())
    }
}

#[test]
fn escape_ends_the_machine() -> anyhow::Result<()> {
    let mut session = Session::start()?;
    session.terminal.write("\x1d\x1d")?;
    assert_eq!(session.end()?, Some(106));
    session.terminal.wait_for("the guest was stopped", LIMIT)
}

#[test]
fn control_c_and_a_single_escape_are_for_the_guest() -> anyhow::Result<()> {
    let mut session = Session::start()?;
    session.terminal.write("a\x03\x1db")?;
    session.terminal.wait_for("a\x03\x1db", LIMIT)?;
    session.terminal.write("\x1d\x1d")?;
    assert_eq!(session.end()?, Some(106));
    Ok(())
}

#[test]
fn panic_of_the_guest_is_told_on_a_restored_terminal() -> anyhow::Result<()> {
    let mut session = Session::start()?;
    session.terminal.write("p")?;
    assert_eq!(session.end()?, Some(102));
    session.terminal.wait_for("the guest had a kernel panic", LIMIT)
}

#[test]
fn sigterm_ends_the_machine() -> anyhow::Result<()> {
    let mut session = Session::start()?;
    session.process.signal(Signal::TERM)?;
    assert_eq!(session.end()?, Some(143));
    Ok(())
}

#[test]
fn sigint_ends_the_machine() -> anyhow::Result<()> {
    let mut session = Session::start()?;
    session.process.signal(Signal::INT)?;
    assert_eq!(session.end()?, Some(130));
    Ok(())
}

#[test]
fn sighup_ends_the_machine() -> anyhow::Result<()> {
    let mut session = Session::start()?;
    session.process.signal(Signal::HUP)?;
    assert_eq!(session.end()?, Some(129));
    Ok(())
}

#[test]
fn closed_terminal_ends_the_machine() -> anyhow::Result<()> {
    let Session { terminal, mut process, monitor, cli } = Session::start()?;
    let another = Terminal::new()?;
    drop(terminal);
    assert_eq!(process.wait(LIMIT)?.code(), Some(129));
    Session { terminal: another, process, monitor, cli }.assert_nothing_is_left()
}

#[test]
fn killed_command_line_leaves_no_monitor_and_no_folder() -> anyhow::Result<()> {
    let mut session = Session::start()?;
    session.process.signal(Signal::KILL)?;
    session.process.wait(LIMIT)?;
    session.assert_nothing_is_left()
}

#[test]
fn killed_monitor_is_told_on_a_restored_terminal_with_a_status_of_its_own() -> anyhow::Result<()> {
    let mut session = Session::start()?;
    pidfd_send_signal(&session.monitor, Signal::KILL)?;
    assert_eq!(session.end()?, Some(107));
    session.terminal.wait_for("the monitor was killed by signal 9", LIMIT)
}
