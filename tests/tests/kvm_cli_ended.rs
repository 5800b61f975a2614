//! Machines in the background: how they are ended, and what is left of them until it is removed.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::json;
use tests::{Cli, Process, Terminal, TinyGuest, wait_for_end};

/// How long each step may take on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(30);

/// A command line with a machine in the background called `one`.
fn detached(guest: TinyGuest) -> anyhow::Result<Cli> {
    let cli = Cli::new()?;
    detach(&cli, guest)?;
    Ok(cli)
}

fn detach(cli: &Cli, guest: TinyGuest) -> anyhow::Result<()> {
    let kernel = guest.write_kernel(cli.folder())?.display().to_string();
    let run = ["vm", "run", "--name", "one", "--memory", "32M", "--kernel", &kernel, "--detach"];
    assert_eq!(cli.text(&run)?, "one");
    Ok(())
}

/// The process of the monitor.
fn monitor(cli: &Cli) -> anyhow::Result<Pid> {
    let pid = cli.list()?[0]["pid"].as_i64().context("no machine is listed")?;
    Pid::from_raw(pid.try_into()?).context("0 is no process")
}

/// Types on the machine's console and gives what it said, until it ended.
fn type_until_the_end(cli: &Cli, text: &str) -> anyhow::Result<String> {
    let mut command = cli.command(&[], &["vm", "console", "one"]);
    let mut console = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut keyboard = console.stdin.take().context("there is no keyboard")?;
    keyboard.write_all(text.as_bytes())?;
    Ok(String::from_utf8(console.wait_with_output()?.stdout)?)
}

#[test]
fn machine_that_ended_by_itself_is_looked_at_and_removed() -> anyhow::Result<()> {
    let cli = detached(TinyGuest::Attentive)?;
    assert_eq!(type_until_the_end(&cli, "xyp")?, "hello\nxy");
    // The console ends a moment before the monitor does.
    wait_until_ended(&cli)?;

    assert_eq!(cli.text(&["vm", "ls", "--quiet"])?, "");
    let machine = cli.list()?[0].clone();
    assert_eq!((&machine["name"], &machine["state"]), (&json!("one"), &json!("Ended")));
    assert_eq!((&machine["end"]["end"], &machine["end"]["status"]), (&json!("panic"), &json!(102)));
    let table = cli.text(&["vm", "ls", "--all"])?;
    assert!(table.contains("ended") && table.contains("panic (102), "), "{table}");

    let inspected = cli.text(&["vm", "inspect", "one"])?;
    assert!(inspected.contains("The guest had a kernel panic"), "{inspected}");
    assert!(cli.text(&["vm", "logs", "one"])?.contains("The guest had a kernel panic"));
    let events = cli.text(&["vm", "events", "one"])?;
    assert!(events.contains("  started") && events.contains("  exited  end=panic"), "{events}");
    let failure = cli.failure(&["vm", "console", "one"])?;
    assert_eq!(failure, "bulkhead: one has ended; see: bulkhead vm inspect one");

    assert_eq!(cli.text(&["vm", "rm", "one"])?, "one");
    assert_eq!(cli.list()?, json!([]));
    Ok(())
}

fn wait_until_ended(cli: &Cli) -> anyhow::Result<()> {
    let machine = cli.list()?[0].clone();
    let Some(pid) = machine["pid"].as_i64() else { return Ok(()) };
    let pid = Pid::from_raw(pid.try_into()?).context("0 is no process")?;
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(monitor) => wait_for_end(&monitor, LIMIT),
        Err(_) => Ok(()),
    }
}

#[test]
fn stop_presses_the_power_button_and_events_tell() -> anyhow::Result<()> {
    let cli = detached(TinyGuest::Attentive)?;
    let mut command = cli.command(&[], &["vm", "events", "one"]);
    let events = command.stdout(Stdio::piped()).spawn()?;
    assert_eq!(cli.text(&["vm", "stop", "one"])?, "one");
    let events = String::from_utf8(events.wait_with_output()?.stdout)?;
    let last = events.lines().last().context("there are no events")?;
    assert!(last.contains("  exited  end=power-button") && last.contains("status=101"), "{events}");
    assert_eq!(cli.list()?[0]["end"]["end"], "power-button");
    Ok(())
}

#[test]
fn guest_that_ignores_its_power_button_is_ended() -> anyhow::Result<()> {
    let cli = detached(TinyGuest::Deaf)?;
    let output = cli.run(&["vm", "stop", "--timeout", "1", "one"])?;
    assert!(output.status.success());
    let errors = String::from_utf8(output.stderr)?;
    assert_eq!(errors, "one did not power off within 1s and is ended\n");
    assert_eq!(cli.list()?[0]["end"]["end"], "stopped");
    Ok(())
}

#[test]
fn monitor_that_stands_still_is_killed() -> anyhow::Result<()> {
    let cli = detached(TinyGuest::Deaf)?;
    let monitor = monitor(&cli)?;
    kill_process(monitor, Signal::STOP)?;
    assert_eq!(cli.text(&["vm", "kill", "one"])?, "one");
    let end = cli.list()?[0]["end"].clone();
    assert_eq!((&end["end"], &end["status"]), (&json!(null), &json!(null)));
    let message = end["message"].as_str().context("there is no message")?;
    assert!(message.starts_with("The monitor was killed or failed"), "{message}");
    Ok(())
}

#[test]
fn running_machine_is_removed_by_force_only() -> anyhow::Result<()> {
    let cli = detached(TinyGuest::Deaf)?;
    let failure = cli.failure(&["vm", "rm", "one"])?;
    assert_eq!(failure, "bulkhead: one is running; end it before with: bulkhead vm stop one");
    assert_eq!(cli.text(&["vm", "prune"])?, "", "it runs");
    assert_eq!(cli.text(&["vm", "rm", "--force", "one"])?, "one");
    assert_eq!(cli.list()?, json!([]));
    Ok(())
}

#[test]
fn prune_removes_what_has_ended_and_a_new_machine_replaces_it() -> anyhow::Result<()> {
    let cli = detached(TinyGuest::Deaf)?;
    cli.text(&["vm", "kill", "one"])?;
    detach(&cli, TinyGuest::Deaf)?;
    assert_eq!(cli.list()?[0]["state"], "Running");
    cli.text(&["vm", "kill", "one"])?;
    assert_eq!(cli.text(&["vm", "prune"])?, "one");
    assert_eq!(cli.machines().read_dir()?.count(), 0);
    Ok(())
}

#[test]
fn console_is_chosen_by_its_device() -> anyhow::Result<()> {
    let cli = detached(TinyGuest::Attentive)?;
    let failure = cli.failure(&["vm", "console", "--device", "hvc9", "one"])?;
    assert!(failure.contains("hvc9 is no console; there are: com1"), "{failure}");
    let mut command = cli.command(&[], &["vm", "console", "--device", "com1", "one"]);
    let mut terminal = Terminal::new()?;
    let mut console = Process::spawn(terminal.connect(&mut command)?)?;
    terminal.wait_for("hello", LIMIT)?;
    terminal.write("\x1d\x1d")?;
    assert_eq!(console.wait(LIMIT)?.code(), Some(0));
    Ok(())
}

#[test]
fn console_is_left_and_entered_again_while_the_machine_goes_on() -> anyhow::Result<()> {
    let cli = detached(TinyGuest::Attentive)?;
    for _ in 0..2 {
        let mut terminal = Terminal::new()?;
        let mut command = cli.command(&["setsid", "--ctty"], &["vm", "console", "one"]);
        let mut console = Process::spawn(terminal.connect(&mut command)?)?;
        terminal.wait_for("hello", LIMIT)?;
        terminal.write("abc")?;
        terminal.wait_for("abc", LIMIT)?;
        assert!(terminal.is_raw()?);
        terminal.write("\x1d\x1d")?;
        assert_eq!(console.wait(LIMIT)?.code(), Some(0));
        terminal.wait_for("one goes on.", LIMIT)?;
        assert!(terminal.is_restored()?);
    }
    assert_eq!(cli.text(&["vm", "rm", "--force", "one"])?, "one");
    Ok(())
}
