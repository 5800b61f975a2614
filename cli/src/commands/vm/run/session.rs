//! A machine in the foreground: its console or its command on this process's streams, and every
//! way for it to end.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Child;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use agent_protocol::client::{Client, Connector, ExecHandle, ReadyListener};
use agent_protocol::message::PowerMode;
use anyhow::{Context, bail};
use rustix::process::{Pid, Signal as SignalNumber, kill_process};

use super::Args;
use crate::host::exec::{self, ExecOptions, Running};
use crate::host::machines::MachineFolder;
use crate::host::monitor::{Console, Ended, Launch};
use crate::host::pump;
use crate::host::signals::{self, Signal};
use crate::host::terminal::{self, Escape, RawMode};
use crate::output;

/// A guest that has not called by then never will. Emulated machines are slow.
const BOOT_LIMIT: Duration = Duration::from_secs(180);

/// What can happen.
enum Event {
    Signal(Signal),
    MonitorEnded(Ended),
    /// The agent called, or did not.
    Ready(anyhow::Result<Client>),
    /// The command began, and can be signalled.
    Started(ExecHandle),
    CommandEnded(anyhow::Result<u8>),
    /// The user left the console.
    Left,
}

impl From<Signal> for Event {
    fn from(signal: Signal) -> Self {
        Self::Signal(signal)
    }
}

/// What becomes of the console's output.
enum Screen {
    Shown(JoinHandle<std::io::Result<()>>),
    Kept(JoinHandle<Vec<u8>>),
}

/// A running machine.
pub(super) struct Session {
    folder: MachineFolder,
    monitor: u32,
    sender: Sender<Event>,
    events: Receiver<Event>,
    screen: Screen,
    raw: Option<RawMode>,
    command: Vec<String>,
    options: ExecOptions,
    running: Option<ExecHandle>,
    status: Option<u8>,
    asked_to_end: Option<i32>,
}

impl Session {
    /// Starts the monitor, with everything that listens to it in place before.
    pub(super) fn start(
        args: &Args,
        folder: &MachineFolder,
        vsock: Option<PathBuf>,
        arguments: Vec<String>,
    ) -> anyhow::Result<Self> {
        let (sender, events) = mpsc::channel();
        signals::forward(sender.clone())?;
        let has_command = !args.command.is_empty();
        let listener = match (has_command, vsock) {
            (false, _) => None,
            (true, Some(path)) => Some(ReadyListener::bind(&Connector::new(path))?),
            (true, None) => bail!("a command needs --initrd with the agent, and a vsock device"),
        };
        let (ours, theirs) = UnixStream::pair()?;
        let console = Console::Attached(theirs);
        let child = Launch { folder, console, ends_with_us: true, arguments }.spawn()?;
        let monitor = child.id();
        watch_monitor(child, sender.clone());
        if let Some(listener) = listener {
            watch_agent(listener, sender.clone());
        }
        let mut raw = None;
        let screen = if !has_command {
            let interactive = terminal::is_interactive();
            if interactive {
                output::note(&format!("{}: {}.", folder.name(), Escape::HINT));
                raw = RawMode::enter()?;
            }
            let leave = sender.clone();
            pump::keyboard(ours.try_clone()?, interactive, move || drop(leave.send(Event::Left)))?;
            Screen::Shown(pump::screen(ours)?)
        } else if args.show_console {
            let copy = move || pump::copy(ours, std::io::stderr());
            Screen::Shown(thread::spawn(copy))
        } else {
            Screen::Kept(pump::keep(ours)?)
        };
        Ok(Self {
            folder: folder.clone(),
            monitor,
            sender,
            events,
            screen,
            raw,
            command: args.command.clone(),
            options: args.exec.clone(),
            running: None,
            status: None,
            asked_to_end: None,
        })
    }

    /// Deals with events until the monitor has ended; gives the exit status.
    pub(super) fn run(mut self) -> anyhow::Result<u8> {
        let ended = loop {
            match self.events.recv()? {
                Event::MonitorEnded(ended) => break ended,
                Event::Ready(client) => self.run_command(client),
                Event::Started(handle) => self.running = Some(handle),
                Event::CommandEnded(Ok(status)) => self.status = Some(status),
                Event::CommandEnded(Err(error)) => self.fail(&error),
                Event::Signal(Signal::Resized) => self.resize(),
                Event::Signal(Signal::End(number)) => self.end(number),
                Event::Left => self.kill(),
            }
        };
        drop(self.raw.take());
        self.finish(ended)
    }

    fn run_command(&mut self, client: anyhow::Result<Client>) {
        let (command, options) = (self.command.clone(), self.options.clone());
        let sender = self.sender.clone();
        thread::spawn(move || {
            let result = client.and_then(|client| {
                let running = Running::start(&client, &options.spec(&command)?)?;
                let _ = sender.send(Event::Started(running.handle.clone()));
                let status = running.wait()?;
                // The machine was made for this command. If it ends before it answers, good.
                let _ = client.power_off(PowerMode::PowerOff);
                Ok(status)
            });
            let _ = sender.send(Event::CommandEnded(result));
        });
    }

    /// The command did not run to its end: nor does the machine.
    fn fail(&mut self, error: &anyhow::Error) {
        output::report(error);
        self.status = Some(exec::failure_status(error));
        self.kill();
    }

    fn resize(&self) {
        if let (Some(handle), Some((rows, columns))) = (&self.running, terminal::size()) {
            // A command that just ended has no terminal to resize.
            let _ = handle.resize(rows, columns);
        }
    }

    /// A signal: for the command first, then for the machine.
    fn end(&mut self, number: i32) {
        let first = self.asked_to_end.replace(number).is_none();
        match &self.running {
            Some(handle) if first => {
                let number = u32::try_from(number).unwrap_or_default();
                if handle.signal_group(number).is_err() {
                    self.kill();
                }
            }
            _ => self.kill(),
        }
    }

    fn kill(&self) {
        let pid = i32::try_from(self.monitor).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // One that has ended is reported by the thread that waits for it.
            let _ = kill_process(pid, SignalNumber::TERM);
        }
    }

    fn finish(self, ended: Ended) -> anyhow::Result<u8> {
        let kept = match self.screen {
            Screen::Shown(thread) => {
                let _ = thread.join();
                Vec::new()
            }
            Screen::Kept(thread) => thread.join().unwrap_or_default(),
        };
        let orderly = matches!(ended, Ended::Machine(vm_spec::MachineEnd::PowerOff));
        if let Some(status) = self.status {
            return Ok(status);
        }
        if let Some(number) = self.asked_to_end {
            return Ok(signals::exit_status(number));
        }
        if !self.command.is_empty() {
            // What the guest said is all there is to see why.
            let _ = std::io::stderr().write_all(&kept);
            let log = std::fs::read_to_string(self.folder.log_file()).unwrap_or_default();
            let _ = std::io::stderr().write_all(log.as_bytes());
            let described = ended.describe(&self.folder.log_file());
            bail!("the command did not run to its end. {described}");
        }
        if !orderly {
            let log = std::fs::read_to_string(self.folder.log_file()).unwrap_or_default();
            let _ = std::io::stderr().write_all(log.as_bytes());
            output::note(&ended.describe(&self.folder.log_file()));
        }
        Ok(ended.exit_status())
    }
}

fn watch_monitor(mut child: Child, sender: Sender<Event>) {
    thread::spawn(move || {
        let ended = child.wait().map_or(Ended::Failed(1), Ended::from);
        let _ = sender.send(Event::MonitorEnded(ended));
    });
}

fn watch_agent(listener: ReadyListener, sender: Sender<Event>) {
    thread::spawn(move || {
        let client = listener.accept(BOOT_LIMIT).context("the agent in the guest did not call");
        let _ = sender.send(Event::Ready(client));
    });
}
