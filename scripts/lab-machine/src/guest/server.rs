//! Accepts connections and runs one command for each.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::cgroup::{self, SessionCgroup};
use super::idle::IdleTimer;
use super::root;
use crate::wire::{self, ExecRequest, HEARTBEAT_SECONDS, Kind};

/// Until the first request says otherwise.
const FIRST_IDLE_LIMIT: Duration = Duration::from_secs(120);

static IDLE: IdleTimer = IdleTimer::new(FIRST_IDLE_LIMIT);

type Writer = Arc<Mutex<TcpStream>>;

/// Listens on `port` for ever; opens the port `ready` when it does, which the
/// host sees.
pub fn serve(port: u16, token_file: &Path, ready: &Path) -> Result<Infallible> {
    let token = std::fs::read(token_file)
        .with_context(|| format!("Failed to read {}", token_file.display()))?;
    cgroup::prepare().context("Failed to make the sessions' cgroup")?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
        .with_context(|| format!("Failed to listen on port {port}"))?;
    let _ready = std::fs::File::open(ready)
        .with_context(|| format!("Failed to open {}", ready.display()))?;
    thread::spawn(|| {
        IDLE.wait_until_idle();
        power_off();
    });
    loop {
        let (stream, _) = listener.accept().context("Failed to accept")?;
        let token = token.clone();
        thread::spawn(move || {
            if let Err(error) = converse(&stream, &token) {
                let _ = wire::send(&mut &stream, Kind::Refused, format!("{error:#}").as_bytes());
            }
            let _ = stream.shutdown(Shutdown::Both);
        });
    }
}

fn power_off() {
    // init ends the machine whatever still runs.
    let _ = Command::new("/bin/busybox").args(["poweroff", "-f"]).status();
}

fn converse(stream: &TcpStream, token: &[u8]) -> Result<()> {
    stream.set_nodelay(true)?;
    let hello = expect(stream, Kind::Hello)?;
    if hello.first() != Some(&wire::VERSION) {
        bail!("this lab speaks version {}", wire::VERSION);
    }
    if hello.get(1..) != Some(token) {
        bail!("wrong token");
    }
    let request = ExecRequest::decode(&expect(stream, Kind::Exec)?)?;
    let _busy = IDLE.enter(Duration::from_secs(request.idle_seconds));
    set_clock(request.now)?;
    root::mount_host()?;
    run(stream, &request)
}

fn expect(mut stream: &TcpStream, kind: Kind) -> Result<Vec<u8>> {
    match wire::receive(&mut stream)? {
        Some((found, payload)) if found == kind => Ok(payload),
        Some((found, _)) => bail!("expected {kind:?}, got {found:?}"),
        None => bail!("closed before {kind:?}"),
    }
}

/// Follows the host's clock: a restored lab's stopped when it was saved.
fn set_clock(now: u64) -> Result<()> {
    const NANOSECONDS: u64 = 1_000_000_000;
    let time = rustix::time::Timespec {
        tv_sec: i64::try_from(now / NANOSECONDS)?,
        tv_nsec: i64::try_from(now % NANOSECONDS)?,
    };
    let current = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    if current.tv_sec.abs_diff(time.tv_sec) > 1 {
        rustix::time::clock_settime(rustix::time::ClockId::Realtime, time)
            .context("Failed to set the clock")?;
    }
    Ok(())
}

fn run(stream: &TcpStream, request: &ExecRequest) -> Result<()> {
    let cgroup = Arc::new(SessionCgroup::create().context("Failed to create a cgroup")?);
    let mut child = spawn(&cgroup, request)?;
    let writer: Writer = Arc::new(Mutex::new(stream.try_clone()?));
    let stdin = child.stdin.take().context("the command has no stdin")?;
    let pumps = [
        pump(child.stdout.take(), Kind::Stdout, &writer),
        pump(child.stderr.take(), Kind::Stderr, &writer),
    ];
    thread::spawn({
        let (stream, cgroup) = (stream.try_clone()?, Arc::clone(&cgroup));
        move || {
            feed(&stream, stdin);
            // The client has gone, or has nothing more to say and waits: only a
            // closed connection ends the loop.
            let _ = cgroup.kill();
        }
    });
    let (finished, heart) = sync_channel(0);
    thread::spawn({
        let (writer, cgroup) = (Arc::clone(&writer), Arc::clone(&cgroup));
        move || beat(&heart, &writer, &cgroup)
    });
    let status = child.wait().context("Failed to wait for the command")?;
    cgroup.kill().context("Failed to end the session")?;
    for pump in pumps {
        let _ = pump.join();
    }
    drop::<SyncSender<()>>(finished);
    let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
    wire::send(&mut *writer, Kind::Exit, &exit_code(status).to_le_bytes())?;
    Ok(())
}

fn spawn(cgroup: &SessionCgroup, request: &ExecRequest) -> Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg("session")
        .args([cgroup.path().as_os_str(), &request.directory])
        .args(&request.arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for variable in &request.environment {
        let bytes = variable.as_bytes();
        if let Some(at) = bytes.iter().position(|byte| *byte == b'=') {
            let (name, value) = bytes.split_at(at);
            let value = value.get(1..).unwrap_or_default();
            command.env(std::ffi::OsStr::from_bytes(name), std::ffi::OsStr::from_bytes(value));
        }
    }
    command.spawn().context("Failed to start a session")
}

/// Sends what the command writes, until it closes its end.
fn pump(
    source: Option<impl Read + Send + 'static>,
    kind: Kind,
    writer: &Writer,
) -> thread::JoinHandle<()> {
    let writer = Arc::clone(writer);
    thread::spawn(move || {
        let Some(mut source) = source else { return };
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = source.read(&mut buffer) {
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            let sent = wire::send(&mut *writer, kind, buffer.get(..count).unwrap_or_default());
            if sent.is_err() {
                break;
            }
        }
    })
}

/// Passes the client's input on, until the client closes the connection.
fn feed(mut stream: &TcpStream, stdin: ChildStdin) {
    let mut stdin = Some(stdin);
    while let Ok(Some((kind, payload))) = wire::receive(&mut stream) {
        stdin = match kind {
            Kind::Stdin => stdin.and_then(|mut pipe| {
                let written = pipe.write_all(&payload);
                written.is_ok().then_some(pipe)
            }),
            Kind::StdinEnd => None,
            _ => stdin,
        };
    }
}

/// Shows the client that the lab lives, and notices when the client does not
/// although the command reads no input.
fn beat(finished: &Receiver<()>, writer: &Writer, cgroup: &SessionCgroup) {
    use std::sync::mpsc::RecvTimeoutError;
    let period = Duration::from_secs(HEARTBEAT_SECONDS);
    while finished.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        if wire::send(&mut *writer, Kind::Alive, &[]).is_err() {
            let _ = cgroup.kill();
            return;
        }
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(i32::from(super::session::EXIT_CANNOT_RUN))
}
