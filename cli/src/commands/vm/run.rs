//! `bulkhead vm run`.

mod machine;
mod session;
mod verdict;

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use vm_spec::VmSpec;

use crate::host::exec::ExecOptions;
use crate::host::machines::{self, MachineFolder};
use crate::host::signals::{self, Signal};
use crate::output;
use launch::Process;
use launch::{Console, Ended, Launch};

pub(crate) const HELP: &str = "\
Examples:
  Boot a kernel and talk to it on the terminal (leave with Ctrl-] Ctrl-]):
    bulkhead vm run --kernel vmlinux --initrd initramfs.cpio
  Run one command in a fresh machine and get its output and exit status:
    bulkhead vm run --kernel vmlinux --initrd initramfs.cpio -- uname -a
  A disk and a network, in the background:
    bulkhead vm run --kernel vmlinux --disk path=rootfs.ext4,root --net tap=tap0 --detach

Exit status: that of the command, if there is one; 125 if it could not be run, 126 and 127 as
shells have them; 128 and the signal's number if a signal ended this program. Otherwise how the
machine ended: 0 power off, 100 restart, 101 power button, 102 kernel panic, 103 triple fault,
104 KVM internal error, 105 entry refused by KVM, 106 stopped from outside, 107 the monitor was
killed. 1 and 2 are errors before there was a machine.";

/// What to boot and what to do with it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name of the machine (default: one is made up)
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    machine: machine::MachineArgs,
    /// Leave the machine running in the background and print its name
    #[arg(short, long, conflicts_with = "command")]
    detach: bool,
    /// With --detach: wait until the agent in the guest takes commands
    #[arg(long, requires = "detach")]
    wait: bool,
    /// Show the console while a command runs, on standard error
    #[arg(long, requires = "command")]
    show_console: bool,
    #[command(flatten)]
    exec: ExecOptions,
    /// Seconds that the guest may take until its agent calls, where something waits for it
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    boot_timeout: u32,
    /// Do not confine the monitor's system calls (for debugging)
    #[arg(long)]
    no_seccomp: bool,
    /// Command to run in the guest; needs an initrd with the agent
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let name = args.name.clone().unwrap_or_else(make_name);
    let folder = MachineFolder::create(&machines::root(), &name, args.detach)?;
    let result = run_in(&args, &folder);
    if !matches!(result, Ok(Outcome::Detached)) {
        folder.remove();
    }
    match result? {
        Outcome::Detached => {
            output::line(folder.name())?;
            Ok(ExitCode::SUCCESS)
        }
        Outcome::Status(status) => Ok(status.into()),
    }
}

enum Outcome {
    Detached,
    Status(u8),
}

fn run_in(args: &Args, folder: &MachineFolder) -> anyhow::Result<Outcome> {
    let spec = args.machine.spec(folder, args.detach, !args.command.is_empty())?;
    // Found here, an error has the name of the option rather than a line of the monitor's log.
    vm_spec::Machine::try_from(spec.clone())?;
    let document = serde_json::to_vec_pretty(&spec)?;
    fs::write(folder.spec_file(), document).context("failed to write the machine's document")?;
    let arguments = if args.no_seccomp { vec!["--no-seccomp".to_owned()] } else { Vec::new() };
    if args.detach {
        return detach(args, folder, &spec, arguments);
    }
    let outcome = session::Session::start(args, folder, &spec, arguments)?.run()?;
    Ok(Outcome::Status(outcome))
}

/// Starts the monitor and waits until it says that the guest runs, or the agent in it calls.
fn detach(
    args: &Args,
    folder: &MachineFolder,
    spec: &VmSpec,
    mut arguments: Vec<String>,
) -> anyhow::Result<Outcome> {
    let agent = if args.wait { Some(session::listen(spec)?) } else { None };
    let (sender, events) = mpsc::channel();
    signals::forward(sender.clone())?;
    let path = ready_socket(folder);
    let ready = UnixDatagram::bind(&path)
        .with_context(|| format!("failed to make the socket {}", path.display()))?;
    arguments.extend(["--notify-socket".to_owned(), path.display().to_string()]);
    let program = launch::program();
    let console = Console::Kept;
    let launch = Launch { program: &program, folder, console, ends_with_us: false, arguments };
    let mut child = launch.spawn()?;
    let monitor = Process::open(child.id()).context("failed to watch the monitor")?;
    let ready_sender = sender.clone();
    let limit = Duration::from_secs(args.boot_timeout.into());
    thread::spawn(move || {
        let mut message = [0; 256];
        let ready = match (agent, ready.recv(&mut message)) {
            (_, Err(e)) => Err(e.into()),
            (None, Ok(_)) => Ok(()),
            (Some(agent), Ok(_)) => session::await_agent(&agent, limit, || {}).map(drop),
        };
        let _ = ready_sender.send(Event::Ready(ready));
    });
    thread::spawn(move || {
        let _ = sender.send(Event::Ended(child.wait().map_or(Ended::Failed(1), Ended::from)));
    });
    wait_for_readiness(folder, &events, &monitor)
}

fn wait_for_readiness(
    folder: &MachineFolder,
    events: &Receiver<Event>,
    monitor: &Process,
) -> anyhow::Result<Outcome> {
    let (mut signal, mut failure) = (None, None);
    loop {
        match events.recv()? {
            Event::Signal(Signal::Resized) => {}
            Event::Signal(Signal::End(number)) => {
                // What is not up yet is not wanted any more. It holds nothing worth a farewell.
                signal = Some(number);
                monitor.kill();
            }
            Event::Ready(Ok(())) => {
                // Nobody sends to it any more.
                let _ = fs::remove_file(ready_socket(folder));
                return Ok(Outcome::Detached);
            }
            Event::Ready(Err(error)) => {
                failure = Some(error);
                monitor.terminate();
            }
            Event::Ended(ended) => match (signal, failure) {
                (Some(number), _) => return Ok(Outcome::Status(signals::exit_status(number))),
                (None, Some(failure)) => return Err(failure),
                (None, None) => {
                    output::report(&anyhow!(ended.describe(&folder.log_file())));
                    // Even a machine that has powered off by now is not in the background.
                    return Ok(Outcome::Status(ended.exit_status().max(1)));
                }
            },
        }
    }
}

/// Where the monitor says that the guest runs.
fn ready_socket(folder: &MachineFolder) -> PathBuf {
    folder.api_socket().with_file_name("ready.sock")
}

/// What can happen while a machine goes to the background.
enum Event {
    Signal(Signal),
    Ready(anyhow::Result<()>),
    Ended(Ended),
}

impl From<Signal> for Event {
    fn from(signal: Signal) -> Self {
        Self::Signal(signal)
    }
}

fn make_name() -> String {
    let mut random = [0u8; 4];
    // Without randomness the process id does: names need to differ, not to be secret.
    if rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()).is_err() {
        random = std::process::id().to_le_bytes();
    }
    let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("vm-{digits}")
}
