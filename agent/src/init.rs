//! The agent as PID 1. Nothing here may end the process but through [`power::end`]: the kernel
//! panics when its first process ends.

use std::{error::Error, panic, process::ExitCode, time::Duration};

use agent_protocol::message::{Exec, Failure, FailureKind, PowerMode};
use rustix::process::WaitStatus;

use crate::{
    container,
    failure::failure,
    machine::{
        command_line::Options, console, modules, mounts, power, power_button::PowerButton, root,
    },
    network,
    server::{End, Server, StartError, since_boot, transport::Transport},
};

/// Runs the machine to its end.
pub(crate) fn run() -> ExitCode {
    let started = since_boot();
    panic::set_hook(Box::new(|panic| {
        crate::say!("{panic}");
        finish(PowerMode::Reboot);
    }));
    let options = prepare();
    let mode = match serve(&options, started) {
        Ok(End::Power(mode)) => mode,
        Ok(End::Command(status)) => {
            crate::say!("command ended with {}", describe(status));
            PowerMode::PowerOff
        }
        Ok(End::NoCommand(code)) => {
            crate::say!("command ended with exit status {code}");
            PowerMode::PowerOff
        }
        Err(error) => {
            crate::say!("{error}; ending the machine");
            PowerMode::Reboot
        }
    };
    finish(mode);
    // The kernel refused. Ending here makes it panic, which is at least seen.
    ExitCode::FAILURE
}

/// Ends the machine. Returns only if that fails.
fn finish(mode: PowerMode) {
    let Err(error) = power::end(mode);
    crate::say!("failed to end the machine: {error}");
}

/// Makes the machine what programs expect.
fn prepare() -> Options {
    let covered = root::cover();
    let failures = mounts::mount_standard();
    // Without a console there is no place to say that there is none.
    let _ = console::ensure_standard_descriptors();
    for failure in &failures {
        crate::say!("{}", chain(failure));
    }
    complain("lay a root over the first one: containers will fail", covered);
    let options = Options::read().unwrap_or_else(|error| {
        crate::say!("failed to read the kernel's command line: {error}");
        Options::default()
    });
    for mistake in &options.mistakes {
        crate::say!("ignoring bulkhead.{mistake}: no such option or value");
    }
    modules::load();
    complain("bring up the loopback interface", network::up());
    complain("set the host name", rustix::system::sethostname(options.hostname.as_bytes()));
    complain("take over Ctrl-Alt-Del", power::handle_ctrl_alt_del());
    options
}

fn complain<E: std::fmt::Display>(task: &str, result: Result<(), E>) {
    if let Err(error) = result {
        crate::say!("failed to {task}: {error}");
    }
}

/// Serves the host, if it can be reached, and runs the console's command, if there is one.
fn serve(options: &Options, started: Duration) -> Result<End, String> {
    let transport = Transport::to_host(options.port, options.ready_port);
    let machine = container::of_the_machine();
    let mut server = Server::new(transport, machine, started).map_err(|error| chain(&error))?;
    if let Err(error) = server.open() {
        say_unreachable(&error, options);
    }
    match PowerButton::listen() {
        Ok(Some(button)) => complain("watch the power button", server.obey(button)),
        Ok(None) => {}
        Err(error) => crate::say!("failed to watch the power button: {error}"),
    }
    if !options.command.is_empty()
        && let Err(failure) = run_on_console(&mut server, &options.command)
    {
        crate::say!("{}", failure.message);
        return Ok(End::NoCommand(shell_code(&failure)));
    }
    server.run().map_err(|error| format!("event loop failed: {error}"))
}

/// The status by which shells report that a command could not be run.
fn shell_code(failure: &Failure) -> u8 {
    match failure.kind() {
        FailureKind::ProgramNotFound => 127,
        FailureKind::NotExecutable => 126,
        _ => 125,
    }
}

fn say_unreachable(error: &StartError, options: &Options) {
    crate::say!("no vsock, so the host cannot reach this machine: {}", chain(error));
    if options.command.is_empty() {
        crate::say!("give a command after -- on the kernel's command line to run it here");
    }
}

fn run_on_console(server: &mut Server, command: &[String]) -> Result<(), Failure> {
    let argv = command.iter().map(|word| word.as_bytes().to_vec()).collect();
    let terminal = console::open_terminal().map_err(|error| {
        failure(FailureKind::System, format!("Failed to open the console: {error}"))
    })?;
    server.run_on(&Exec { argv, ..Exec::default() }, &terminal)
}

fn describe(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (_, Some(signal)) => format!("signal {signal}"),
        _ => format!("wait status {:#x}", status.as_raw()),
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
