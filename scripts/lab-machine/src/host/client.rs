//! Runs one command in the lab, with this process's input, output, working
//! directory and environment.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::console;
use super::record::Record;
use crate::wire::{self, ExecRequest, Kind};

/// The command took longer than it may.
pub const EXIT_TIMEOUT: i32 = 124;
/// The lab itself failed.
pub const EXIT_LAB_FAILED: i32 = 125;

/// Silence after which the lab counts as hung, many heartbeats long.
const SILENCE_LIMIT: Duration = Duration::from_secs(90);

/// What to run, and within which bounds.
#[derive(Clone, Debug)]
pub struct Job {
    /// Program and arguments.
    pub arguments: Vec<OsString>,
    /// Ends the command after this time.
    pub timeout: Option<Duration>,
    /// Passes standard input on.
    pub stdin: bool,
    /// Seconds without sessions after which the lab ends.
    pub idle_seconds: u64,
}

enum Event {
    Frame(Kind, Vec<u8>),
    Closed(Option<io::Error>),
    Signal(i32),
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With this exit status.
    Exited(i32),
    /// Cut off by its time limit or a signal; the status to end with.
    CutOff(i32),
    /// The lab stopped answering or went away.
    LabLost,
}

/// Runs `job` in the lab at `record`; `console` is shown when it does not end
/// by itself.
pub fn run(record: &Record, job: &Job, console: &Path) -> Result<End> {
    let mut stream = record.connect().context("Failed to reach the lab")?;
    stream.set_nodelay(true)?;
    let hello = [&[wire::VERSION], record.token.as_bytes()].concat();
    wire::send(&mut stream, Kind::Hello, &hello)?;
    wire::send(&mut stream, Kind::Exec, &request(job)?.encode())?;
    let (sender, events) = sync_channel(64);
    read_frames(stream.try_clone()?, sender.clone());
    read_signals(sender)?;
    if job.stdin {
        send_stdin(stream.try_clone()?);
    } else {
        wire::send(&mut stream, Kind::StdinEnd, &[])?;
    }
    let end = follow(&events, job)?;
    if !matches!(end, End::Exited(_)) {
        console::show(console);
    }
    Ok(end)
}

fn request(job: &Job) -> Result<ExecRequest> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let variable = |(mut name, value): (OsString, OsString)| {
        name.push("=");
        name.push(value);
        name
    };
    Ok(ExecRequest {
        now: u64::try_from(now.as_nanos())?,
        idle_seconds: job.idle_seconds,
        directory: std::env::current_dir()?.into_os_string(),
        environment: std::env::vars_os().map(variable).collect(),
        arguments: job.arguments.clone(),
    })
}

fn follow(events: &Receiver<Event>, job: &Job) -> Result<End> {
    let deadline = job.timeout.map(|limit| Instant::now() + limit);
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let wait = left.map_or(SILENCE_LIMIT, |left| left.min(SILENCE_LIMIT));
        match events.recv_timeout(wait) {
            Ok(Event::Frame(kind, payload)) => {
                if let Some(end) = handle(kind, &payload)? {
                    return Ok(end);
                }
            }
            Ok(Event::Signal(signal)) => {
                say(&format!("ended by signal {signal}"));
                return Ok(End::CutOff(128 + signal));
            }
            Ok(Event::Closed(error)) => {
                let why = error.map(|error| format!(": {error}")).unwrap_or_default();
                say(&format!("the lab has gone{why}"));
                return Ok(End::LabLost);
            }
            Err(RecvTimeoutError::Timeout) if wait < SILENCE_LIMIT => {}
            Err(_) => {
                say("the lab no longer answers");
                return Ok(End::LabLost);
            }
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            say("the command took longer than it may");
            return Ok(End::CutOff(EXIT_TIMEOUT));
        }
    }
}

fn handle(kind: Kind, payload: &[u8]) -> Result<Option<End>> {
    match kind {
        Kind::Stdout => pass_on(&mut io::stdout().lock(), payload)?,
        Kind::Stderr => pass_on(&mut io::stderr().lock(), payload)?,
        Kind::Alive => {}
        Kind::Exit => {
            let bytes = payload.try_into().context("the exit status is no number")?;
            return Ok(Some(End::Exited(i32::from_le_bytes(bytes))));
        }
        Kind::Refused => bail!("{}", String::from_utf8_lossy(payload)),
        other => bail!("the lab sent {other:?}"),
    }
    Ok(None)
}

fn pass_on(output: &mut impl Write, payload: &[u8]) -> Result<()> {
    let written = output.write_all(payload).and_then(|()| output.flush());
    written.context("Failed to write the command's output")
}

fn read_frames(mut stream: TcpStream, sender: SyncSender<Event>) {
    thread::spawn(move || {
        loop {
            let event = match wire::receive(&mut stream) {
                Ok(Some((kind, payload))) => Event::Frame(kind, payload),
                Ok(None) => Event::Closed(None),
                Err(error) => Event::Closed(Some(error)),
            };
            let last = matches!(event, Event::Closed(_));
            if sender.send(event).is_err() || last {
                return;
            }
        }
    });
}

fn read_signals(sender: SyncSender<Event>) -> Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])
        .context("Failed to watch for signals")?;
    thread::spawn(move || {
        for signal in signals.forever() {
            if sender.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    });
    Ok(())
}

fn send_stdin(mut stream: TcpStream) {
    thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        let mut stdin = io::stdin().lock();
        loop {
            let count = stdin.read(&mut buffer).unwrap_or(0);
            let chunk = buffer.get(..count).unwrap_or_default();
            let kind = if count == 0 { Kind::StdinEnd } else { Kind::Stdin };
            if wire::send(&mut stream, kind, chunk).is_err() || count == 0 {
                return;
            }
        }
    });
}

fn say(text: &str) {
    let _ = writeln!(io::stderr(), "lab: {text}");
}
