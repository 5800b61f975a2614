//! A machine in the foreground: its console or its command on this process's streams, and every
//! way for it to end.

use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use agent_protocol::client::{CallError, Client, Connector, ExecHandle, GreetError, ReadyListener};
use agent_protocol::message::PowerMode;
use anyhow::{Context, bail};
use signal_hook::consts::{SIGHUP, SIGTERM};
use vm_spec::VmSpec;

use super::Args;
use super::verdict::{self, Facts};
use crate::commands::doctor::kvm;
use crate::host::exec::{ExecOptions, Running, agent_socket};
use crate::host::machines::MachineFolder;
use crate::host::pump;
use crate::host::signals::{self, Signal};
use crate::host::terminal::{self, Escape, RawMode};
use crate::output;
use launch::Process;
use launch::{Console, Ended, Launch};

/// A user who waits for longer than this wants to know for what.
const SLOW_BOOT: Duration = Duration::from_secs(15);
/// How long a guest may take to power off after its command.
const POWER_OFF_LIMIT: Duration = Duration::from_secs(30);
/// How long a command may take to end on a signal that means the end of this process.
const COMMAND_LIMIT: Duration = Duration::from_secs(10);
/// How long a machine may go on whose agent is gone.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(5);
/// How long a monitor may take to end its machine.
const MONITOR_LIMIT: Duration = Duration::from_secs(5);

/// What can happen.
enum Event {
    Signal(Signal),
    MonitorEnded(Ended),
    /// The agent has not called for a while.
    Slow,
    /// The agent called, or did not.
    Ready(anyhow::Result<Client>),
    /// The command began, and can be signalled.
    Started(ExecHandle),
    CommandEnded(anyhow::Result<u8>),
    /// The user left the console, or nobody reads it any more.
    Left,
}

impl From<Signal> for Event {
    fn from(signal: Signal) -> Self {
        Self::Signal(signal)
    }
}

/// What becomes of the console's output.
enum Screen {
    Shown(JoinHandle<()>),
    Kept(JoinHandle<Vec<u8>>),
}

/// A running machine.
pub(super) struct Session {
    folder: MachineFolder,
    monitor: Process,
    sender: Sender<Event>,
    events: Receiver<Event>,
    screen: Screen,
    raw: Option<RawMode>,
    command: Vec<String>,
    options: ExecOptions,
    running: Option<ExecHandle>,
    status: Option<u8>,
    failure: Option<anyhow::Error>,
    signal: Option<i32>,
    asked_monitor: bool,
    /// When patience ends.
    deadline: Option<Instant>,
}

impl Session {
    /// Starts the monitor, with everything that listens to it in place before.
    pub(super) fn start(
        args: &Args,
        folder: &MachineFolder,
        spec: &VmSpec,
        arguments: Vec<String>,
    ) -> anyhow::Result<Self> {
        let (sender, events) = mpsc::channel();
        signals::forward(sender.clone())?;
        let listener = if args.command.is_empty() { None } else { Some(listen(spec)?) };
        let (ours, theirs) = UnixStream::pair()?;
        let console = Console::Attached(theirs);
        let program = launch::program();
        let launch = Launch { program: &program, folder, console, ends_with_us: true, arguments };
        let child = launch.spawn()?;
        // It is not reaped yet, so the number is still its own.
        let monitor = Process::open(child.id()).context("failed to watch the monitor")?;
        watch_monitor(child, sender.clone());
        if let Some(listener) = listener {
            watch_agent(listener, Duration::from_secs(args.boot_timeout.into()), sender.clone());
        }
        let (screen, raw) = connect_console(args, folder, ours, &sender)?;
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
            failure: None,
            signal: None,
            asked_monitor: false,
            deadline: None,
        })
    }

    /// Deals with events until the monitor has ended; gives the exit status.
    pub(super) fn run(mut self) -> anyhow::Result<u8> {
        let ended = loop {
            match self.next()? {
                None => self.end_monitor(),
                Some(Event::MonitorEnded(ended)) => break ended,
                Some(event) => self.handle(event),
            }
        };
        self.await_command();
        drop(self.raw.take());
        Ok(self.finish(ended))
    }

    /// The next event; `None` when patience has ended.
    fn next(&mut self) -> anyhow::Result<Option<Event>> {
        let Some(deadline) = self.deadline else { return Ok(Some(self.events.recv()?)) };
        match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Err(RecvTimeoutError::Timeout) => {
                self.deadline = None;
                Ok(None)
            }
            event => Ok(Some(event?)),
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::MonitorEnded(_) => {}
            Event::Slow => {
                output::note(
                    "bulkhead: still waiting for the agent in the guest (--show-console shows why)",
                );
                if kvm::emulates() {
                    output::note(
                        "bulkhead: this KVM does not run stock kernels; see: bulkhead doctor",
                    );
                }
            }
            Event::Ready(client) => self.run_command(client),
            Event::Started(handle) => self.running = Some(handle),
            Event::CommandEnded(Ok(status)) => {
                self.status = Some(status);
                self.deadline = Instant::now().checked_add(POWER_OFF_LIMIT);
            }
            Event::CommandEnded(Err(error)) => {
                let lost = matches!(error.downcast_ref(), Some(CallError::Lost));
                self.failure = Some(error);
                if lost {
                    // Most likely the machine is ending, and is about to say how.
                    self.deadline = Instant::now().checked_add(LAST_WORDS_LIMIT);
                } else {
                    self.end_monitor();
                }
            }
            Event::Signal(Signal::Resized) => self.resize(),
            Event::Signal(Signal::End(number)) => self.end(number),
            Event::Left => self.end_monitor(),
        }
    }

    fn run_command(&mut self, client: anyhow::Result<Client>) {
        let (command, options) = (self.command.clone(), self.options.clone());
        let sender = self.sender.clone();
        thread::spawn(move || {
            let result = client.and_then(|client| {
                let running = Running::start(&client, &options.spec(&command)?)?;
                let _ = sender.send(Event::Started(running.handle.clone()));
                Ok((client, running.wait()?))
            });
            let (client, result) = match result {
                Ok((client, status)) => (Some(client), Ok(status)),
                Err(error) => (None, Err(error)),
            };
            // Before the machine can end.
            let _ = sender.send(Event::CommandEnded(result));
            if let Some(client) = client {
                // The machine was made for this command. If it ends before it answers, good.
                let _ = client.power_off(PowerMode::PowerOff);
            }
        });
    }

    /// Once the machine has ended, so does a command in it. What it said last is still printed.
    fn await_command(&mut self) {
        let limit = Duration::from_secs(2);
        while self.running.is_some() && self.status.is_none() && self.failure.is_none() {
            match self.events.recv_timeout(limit) {
                Ok(Event::CommandEnded(Ok(status))) => self.status = Some(status),
                Ok(Event::CommandEnded(Err(error))) => self.failure = Some(error),
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }

    fn resize(&self) {
        if let (Some(handle), Some((rows, columns))) = (&self.running, terminal::size()) {
            // A command that just ended has no terminal to resize.
            let _ = handle.resize(rows, columns);
        }
    }

    /// A signal: for the command first, then for the machine.
    fn end(&mut self, number: i32) {
        let first = self.signal.replace(number).is_none();
        let passed_on = first
            && self
                .running
                .as_ref()
                .is_some_and(|handle| handle.signal_group(number.unsigned_abs()).is_ok());
        if !passed_on {
            self.end_monitor();
        } else if matches!(number, SIGTERM | SIGHUP) {
            // These do not come from somebody who would look and try again.
            self.deadline = Instant::now().checked_add(COMMAND_LIMIT);
        }
    }

    /// Asks the monitor to end, and ends it if it was asked already.
    fn end_monitor(&mut self) {
        if std::mem::replace(&mut self.asked_monitor, true) {
            self.monitor.kill();
        } else {
            self.monitor.terminate();
            self.deadline = Instant::now().checked_add(MONITOR_LIMIT);
        }
    }

    fn finish(self, ended: Ended) -> u8 {
        let kept = match self.screen {
            Screen::Shown(thread) => {
                let _ = thread.join();
                Vec::new()
            }
            Screen::Kept(thread) => thread.join().unwrap_or_default(),
        };
        let verdict = Facts {
            ended,
            has_command: !self.command.is_empty(),
            status: self.status,
            failure: self.failure.as_ref(),
            signal: self.signal,
            log: &self.folder.log_file(),
        }
        .verdict();
        if let Some(message) = verdict.message {
            let answered = self.failure.as_ref().is_some_and(|e| e.is::<CallError>());
            if self.running.is_none() && !answered && !kept.is_empty() {
                // What the guest said is all there is to see why.
                output::note(&verdict::tail(&kept));
            }
            output::report(&message);
        }
        verdict.status
    }
}

/// Where the agent calls.
pub(super) fn listen(spec: &VmSpec) -> anyhow::Result<ReadyListener> {
    let Some(path) = agent_socket(spec) else {
        bail!(
            "a command is run by the agent in the guest: give an --initrd that has it \
             (guest-images/ makes one), or a --vsock device over which it is reached"
        );
    };
    Ok(ReadyListener::bind(&Connector::new(path))?)
}

/// Connects the machine's console with the terminal, or puts it aside for a command.
fn connect_console(
    args: &Args,
    folder: &MachineFolder,
    console: UnixStream,
    sender: &Sender<Event>,
) -> anyhow::Result<(Screen, Option<RawMode>)> {
    let sender = sender.clone();
    if !args.command.is_empty() {
        return Ok((
            match args.show_console {
                // Whether somebody sees it or not, the command goes on.
                true => Screen::Shown(pump::screen(console, std::io::stderr(), || {})?),
                false => Screen::Kept(pump::keep(console)?),
            },
            None,
        ));
    }
    let mut raw = None;
    let interactive = terminal::is_interactive();
    if interactive {
        output::note(&format!("{}: {}.", folder.name(), Escape::HINT));
        raw = RawMode::enter()?;
    }
    let leave = sender.clone();
    let left = move || drop(leave.send(Event::Left));
    pump::keyboard(console.try_clone()?, interactive, left)?;
    let gone = move || drop(sender.send(Event::Left));
    Ok((Screen::Shown(pump::screen(console, std::io::stdout(), gone)?), raw))
}

fn watch_monitor(mut child: Child, sender: Sender<Event>) {
    thread::spawn(move || {
        let ended = child.wait().map_or(Ended::Failed(1), Ended::from);
        let _ = sender.send(Event::MonitorEnded(ended));
    });
}

fn watch_agent(listener: ReadyListener, limit: Duration, sender: Sender<Event>) {
    thread::spawn(move || {
        let client = await_agent(&listener, limit, || drop(sender.send(Event::Slow)));
        let _ = sender.send(Event::Ready(client));
    });
}

/// Waits for the agent's call; `slow` is called when that takes long.
pub(super) fn await_agent(
    listener: &ReadyListener,
    limit: Duration,
    slow: impl FnOnce(),
) -> anyhow::Result<Client> {
    let soon = limit.min(SLOW_BOOT);
    let mut called = listener.accept(soon);
    if matches!(called, Err(GreetError::TimedOut(_))) && limit > soon {
        slow();
        called = listener.accept(limit.saturating_sub(soon));
    }
    called.with_context(|| {
        format!(
            "the agent in the guest did not call within {limit:?}: is it in the --initrd? (a slow \
             machine can be given more --boot-timeout)"
        )
    })
}
