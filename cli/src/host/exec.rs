//! Running a command in a guest, with this process's streams as its own.

use std::io::{self, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use agent_protocol::client::{CallError, Client, ExecHandle, ExecSession, ExecSpec};
use clap::Args;
use vm_spec::{Component, VmSpec};

use super::pump;
use super::terminal::{self, RawMode};

/// How a command runs in the guest.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ExecOptions {
    /// Set an environment variable of the command
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,
    /// Working directory of the command
    #[arg(short, long, value_name = "DIR")]
    pub(crate) workdir: Option<String>,
    /// User to run the command as: name or number, with :GROUP if wanted
    #[arg(short, long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Give the command a terminal (default: when both ends of this one are a terminal)
    #[arg(short, long, overrides_with = "no_tty")]
    pub(crate) tty: bool,
    /// Give the command pipes, even on a terminal
    #[arg(short = 'T', long)]
    pub(crate) no_tty: bool,
}

impl ExecOptions {
    /// The command as the agent takes it.
    pub(crate) fn spec(&self, command: &[String]) -> anyhow::Result<ExecSpec> {
        let Some((program, arguments)) = command.split_first() else {
            anyhow::bail!("no command to run");
        };
        let mut spec = ExecSpec::new(program).args(arguments);
        for variable in &self.env {
            let Some((name, value)) = variable.split_once('=') else {
                anyhow::bail!("--env {variable}: expected NAME=VALUE");
            };
            spec = spec.env(name, value);
        }
        if let Some(folder) = &self.workdir {
            spec = spec.cwd(folder);
        }
        if let Some(user) = &self.user {
            spec = spec.user(user);
        }
        if self.wants_terminal() {
            let (rows, columns) = terminal::size().unwrap_or((24, 80));
            spec = spec.terminal(rows, columns);
        }
        Ok(spec)
    }

    fn wants_terminal(&self) -> bool {
        self.tty || !self.no_tty && terminal::is_interactive()
    }
}

/// A command that runs with this process's streams.
pub(crate) struct Running {
    /// Signals and resizes it.
    pub(crate) handle: ExecHandle,
    raw: Option<RawMode>,
    outputs: Vec<JoinHandle<io::Result<()>>>,
    session: ExecSession,
}

impl Running {
    /// Starts the command and connects the streams.
    pub(crate) fn start(client: &Client, spec: &ExecSpec) -> anyhow::Result<Self> {
        let mut session = client.exec(spec)?;
        let handle = session.handle();
        let mut outputs = Vec::new();
        let mut raw = None;
        if let Some(terminal) = session.terminal.take() {
            raw = RawMode::enter()?;
            outputs.push(output(terminal.try_clone()?, io::stdout())?);
            input(terminal)?;
        }
        if let Some(stdin) = session.stdin.take() {
            input(stdin)?;
        }
        if let Some(stdout) = session.stdout.take() {
            outputs.push(output(stdout, io::stdout())?);
        }
        if let Some(stderr) = session.stderr.take() {
            outputs.push(output(stderr, io::stderr())?);
        }
        Ok(Self { handle, raw, outputs, session })
    }

    /// Waits for the command's end and the last of its output; gives the status that a shell
    /// would: the command's own, or 128 and the signal's number.
    pub(crate) fn wait(mut self) -> Result<u8, CallError> {
        let status = self.session.wait();
        for output in self.outputs {
            // Output that nobody takes any more does not change how the command ended.
            let _ = output.join();
        }
        drop(self.raw);
        status.map(|status| status.shell_code())
    }
}

/// The socket on which the agent in a machine is reached.
pub(crate) fn agent_socket(spec: &VmSpec) -> Option<PathBuf> {
    spec.components.values().find_map(|component| match component {
        Component::VsockUnix(unix) => Some(unix.path.clone()),
        _ => None,
    })
}

/// The exit status for a command that did not run: 127 and 126 as shells have them, 125 for what
/// is not the command's own fault.
pub(crate) fn failure_status(error: &anyhow::Error) -> u8 {
    error.downcast_ref::<CallError>().map_or(125, CallError::shell_code)
}

fn input(to: UnixStream) -> io::Result<()> {
    thread::Builder::new().name("input".to_owned()).spawn(move || {
        // A command that reads no more is not at fault; its input just ends.
        let _ = pump::copy(io::stdin().lock(), &to);
        let _ = to.shutdown(Shutdown::Write);
    })?;
    Ok(())
}

fn output(
    from: UnixStream,
    to: impl Write + Send + 'static,
) -> io::Result<JoinHandle<io::Result<()>>> {
    thread::Builder::new().name("output".to_owned()).spawn(move || pump::copy(from, to))
}
