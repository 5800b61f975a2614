//! The agent's event loop: one thread that owns everything.
//!
//! ```text
//!  listener ──► Connection (fresh) ──Open──► Connection (control) ──Exec──► Session ◄── SIGCHLD
//!                     │                                                        │
//!                     └──Attach──► Pump ◄───────── a stream taken out of ──────┘
//! ```

mod connection;
mod containers;
mod files;
mod inline;
mod requests;
mod signals;
mod tasks;
pub(crate) mod transport;

use std::{
    collections::HashMap,
    io,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use agent_protocol::{
    message::{Exec, Failure, Hello, PowerMode, Reply, Started},
    version,
};
use rustix::{
    process::{Pid, WaitStatus},
    time::{ClockId, clock_gettime},
};

use crate::{
    container::{Asked, Containers, setup::Machine},
    machine::power_button::PowerButton,
    network,
    program::file_limit::FileLimit,
    reactor::{Reactor, Side, Token, Wake},
    session::{
        Sessions,
        inline::Inline,
        pump::{Flow, Pump},
        spawn,
    },
};
use connection::{Connection, Input, Stage};
use signals::Signals;
use tasks::Task;
use transport::Transport;

/// The most connections that carry frames at once.
const MAX_CONNECTIONS: usize = 1024;

/// How many requests of one connection are carried out before others get their turn.
const TURN: usize = 32;

/// How long containers may take to be gone when everything ends.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Why the server stopped.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    /// The host or the machine's user asked for it.
    Power(PowerMode),
    /// The command given on the kernel's command line ended.
    Command(WaitStatus),
    /// That command could not be started; a shell would report this exit status.
    NoCommand(u8),
}

/// The server could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("Failed to set up the event loop")]
    Reactor(#[source] io::Error),
    #[error("Failed to take over signals")]
    Signals(#[source] io::Error),
    #[error("Failed to listen for the host")]
    Listen(#[source] io::Error),
}

/// Everything the agent serves.
pub(crate) struct Server {
    reactor: Reactor,
    transport: Transport,
    listener: Option<(Token, OwnedFd)>,
    signals: (Token, Signals),
    power_button: Option<(Token, PowerButton)>,
    connections: HashMap<Token, Connection>,
    pumps: HashMap<Token, Pump>,
    inlines: HashMap<Token, Inline>,
    /// Connections with replies that go out together, when all who were woken had their turn.
    unsent: Vec<Token>,
    sessions: Sessions,
    machine: Machine,
    containers: Containers,
    /// Whose control group's events these are.
    groups: HashMap<Token, String>,
    tasks: HashMap<Token, Task>,
    /// Children that let go of a container's file systems, until they are reaped.
    releasing: HashMap<Pid, Option<Asked>>,
    file_limit: FileLimit,
    /// Network cards that containers do not see.
    spare_cards: Option<network::Spare>,
    console_command: Option<Pid>,
    hello: Hello,
    end: Option<End>,
}

impl Server {
    /// Takes over the signals that the server handles. `started` is when the agent started, in
    /// time since boot.
    pub(crate) fn new(
        transport: Transport,
        machine: Machine,
        started: Duration,
    ) -> Result<Self, StartError> {
        let mut reactor = Reactor::new().map_err(StartError::Reactor)?;
        let signals = Signals::take().map_err(StartError::Signals)?;
        let token = reactor.token();
        reactor.watch(&signals, token, Side::Source).map_err(StartError::Signals)?;
        Ok(Self {
            reactor,
            transport,
            listener: None,
            signals: (token, signals),
            power_button: None,
            connections: HashMap::new(),
            pumps: HashMap::new(),
            inlines: HashMap::new(),
            unsent: Vec::new(),
            sessions: Sessions::default(),
            machine,
            containers: Containers::default(),
            groups: HashMap::new(),
            tasks: HashMap::new(),
            releasing: HashMap::new(),
            file_limit: FileLimit::raise(),
            spare_cards: None,
            console_command: None,
            hello: hello(started),
            end: None,
        })
    }

    /// Listens for the host, then calls it. That nobody answers the call is no error: the host may
    /// call later.
    pub(crate) fn open(&mut self) -> Result<(), StartError> {
        let listener = self.transport.listen().map_err(StartError::Listen)?;
        let token = self.reactor.token();
        self.reactor.watch(&listener, token, Side::Source).map_err(StartError::Listen)?;
        self.listener = Some((token, listener));
        self.hello.ready_us = micros(since_boot());
        match self.transport.call() {
            Ok(Some(stream)) => self.adopt(stream, Stage::Calling),
            Ok(None) => {}
            Err(error) => crate::say!("failed to call the host: {error}"),
        }
        Ok(())
    }

    /// Powers off when the button is pressed.
    pub(crate) fn obey(&mut self, button: PowerButton) -> io::Result<()> {
        let token = self.reactor.token();
        self.reactor.watch(&button, token, Side::Source)?;
        self.power_button = Some((token, button));
        Ok(())
    }

    /// Runs a command on `terminal`, with which the server ends.
    pub(crate) fn run_on(&mut self, exec: &Exec, terminal: &OwnedFd) -> Result<(), Failure> {
        self.console_command = Some(spawn::spawn_on(exec, terminal, &self.file_limit)?);
        Ok(())
    }

    /// Serves until the machine is to end.
    pub(crate) fn run(&mut self) -> io::Result<End> {
        let mut wakes = Vec::new();
        let end = loop {
            self.turn(&mut wakes, None)?;
            if let Some(end) = self.end {
                break end;
            }
        };
        self.end_containers();
        let started = Instant::now();
        while !self.containers_are_gone() {
            let Some(left) = LAST_WORDS.checked_sub(started.elapsed()) else {
                crate::say!("containers do not end; ending without them");
                break;
            };
            self.turn(&mut wakes, Some(left))?;
        }
        self.machine.leave();
        Ok(end)
    }

    fn turn(&mut self, wakes: &mut Vec<Wake>, most: Option<Duration>) -> io::Result<()> {
        self.reactor.wait(wakes, most)?;
        for wake in wakes {
            self.dispatch(*wake);
        }
        while let Some(token) = self.unsent.pop() {
            let Some(connection) = self.connections.get_mut(&token) else { continue };
            if connection.flush().is_err() {
                self.close(token);
            }
        }
        Ok(())
    }

    fn dispatch(&mut self, wake: Wake) {
        let token = wake.token;
        if self.connections.contains_key(&token) {
            self.serve(wake);
        } else if self.pumps.contains_key(&token) {
            self.pump(wake);
        } else if self.inlines.contains_key(&token) {
            self.send_output(token);
        } else if self.tasks.contains_key(&token) {
            self.hear(token);
        } else if let Some(id) = self.groups.get(&token) {
            self.group_changed(&id.clone());
        } else if token == self.signals.0 {
            self.handle_signals();
        } else if self.listener.as_ref().is_some_and(|(listener, _)| *listener == token) {
            self.accept();
        } else if let Some((button_token, button)) = &self.power_button
            && *button_token == token
            && button.pressed()
        {
            self.end = Some(End::Power(PowerMode::PowerOff));
        }
        // Anyone else has ended earlier in this round.
    }

    fn accept(&mut self) {
        while let Some((_, listener)) = &self.listener {
            match self.transport.accept(listener) {
                Ok(Some(stream)) if self.connections.len() < MAX_CONNECTIONS => {
                    self.adopt(stream, Stage::Fresh);
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // Out of descriptors, most likely: the next caller is the next try.
                    crate::say!("failed to accept a connection: {error}");
                    return;
                }
            }
        }
    }

    fn adopt(&mut self, stream: OwnedFd, stage: Stage) {
        let token = self.reactor.token();
        let mut connection = Connection::new(stream, stage);
        if stage == Stage::Calling {
            connection.queue(0, Reply::Hello(self.hello.clone()));
        }
        match self.reactor.watch(connection.stream(), token, Side::Source) {
            Ok(()) => drop(self.connections.insert(token, connection)),
            Err(error) => crate::say!("failed to watch a connection: {error}"),
        }
    }

    /// Reads and carries out requests until there are none.
    fn serve(&mut self, wake: Wake) {
        let token = wake.token;
        for _ in 0..TURN {
            let Some(connection) = self.connections.get_mut(&token) else { return };
            if connection.stage == Stage::Calling {
                if wake.hung_up {
                    self.connections.remove(&token);
                    return;
                }
                connection.stage = Stage::Control;
            }
            if connection.flush().is_err() {
                return self.close(token);
            }
            if connection.is_behind() {
                return;
            }
            match connection.next() {
                Input::Message(message) => self.request(token, message),
                Input::Blocked => return,
                Input::Ended => return self.close(token),
            }
        }
        self.reactor.again(token);
    }

    fn reply(&mut self, token: Token, id: u64, reply: Reply) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        connection.queue(id, reply);
        if !self.unsent.contains(&token) {
            self.unsent.push(token);
        }
    }

    fn close(&mut self, token: Token) {
        if let Some(mut connection) = self.connections.remove(&token) {
            // Whoever is turned away is told why, if there is anybody still.
            let _ = connection.flush();
            self.sessions.abandon(token);
            self.abandon_inlines(token);
        }
    }

    fn add_pump(&mut self, pump: Pump) {
        let token = self.reactor.token();
        let watched = self
            .reactor
            .watch(pump.source(), token, Side::Source)
            .and_then(|()| self.reactor.watch(pump.sink(), token, Side::Sink));
        match watched {
            Ok(()) => {
                self.pumps.insert(token, pump);
                self.pump(Wake { token, hung_up: false, side: Side::Source });
            }
            Err(error) => crate::say!("failed to watch a stream: {error}"),
        }
    }

    fn pump(&mut self, wake: Wake) {
        let Some(pump) = self.pumps.get_mut(&wake.token) else { return };
        // Bytes left in a source can still be read; into a sink nothing can be written.
        let flow = match wake.side {
            Side::Sink if wake.hung_up => {
                pump.refuse();
                Flow::Ended
            }
            _ => pump.run(),
        };
        match flow {
            Flow::Blocked => {}
            Flow::More => self.reactor.again(wake.token),
            Flow::Ended => {
                let Some(pump) = self.pumps.remove(&wake.token) else { return };
                for fd in [pump.source(), pump.sink()] {
                    // Others of the same file may live on, and the number may come again. A file
                    // whose watching failed is not watched.
                    let _ = self.reactor.unwatch(fd);
                }
                if let Some(owner) = pump.owner {
                    self.sessions.detach(owner, pump.rest());
                }
            }
        }
    }
}

/// That a command runs.
fn describe_start(session: u64, pid: Pid) -> Reply {
    let pid = pid.as_raw_nonzero().get().unsigned_abs();
    Reply::Started(Started { session, pid })
}

fn hello(started: Duration) -> Hello {
    Hello {
        versions: Some(version::OURS),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        kernel_release: rustix::system::uname().release().to_string_lossy().into_owned(),
        started_us: micros(started),
        ready_us: 0,
    }
}

/// The time since the kernel started.
pub(crate) fn since_boot() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
