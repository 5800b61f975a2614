//! An agent, a stand-in for the monitor's vsock device, and a client.

use std::{
    ffi::OsStr,
    fs,
    io::{self, Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use agent_protocol::client::{Client, Connector, ExecSpec, Output, ReadyListener};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Far more than anything here takes, so that a hang becomes a failure.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

const PROGRAM: &str = env!("CARGO_BIN_EXE_bulkhead-agent");

/// A running agent. Ends with the value.
pub(crate) struct TestAgent {
    process: Child,
    pub(crate) connector: Connector,
    pub(crate) client: Client,
    // Last, so that the sockets outlive their users.
    _folder: TempDir,
}

impl TestAgent {
    pub(crate) fn start() -> Self {
        Self::with_arguments(&[])
    }

    /// An agent with more arguments than the sockets.
    pub(crate) fn with_arguments(arguments: &[&OsStr]) -> Self {
        Self::start_by(Command::new(PROGRAM), arguments)
    }

    /// An agent in a network namespace of its own.
    pub(crate) fn with_own_network() -> Self {
        let mut unshare = Command::new("unshare");
        unshare.args(["--net", PROGRAM]);
        Self::start_by(unshare, &[])
    }

    fn start_by(mut command: Command, arguments: &[&OsStr]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vsock = folder.path().join("v.sock");
        let agent = folder.path().join("agent.sock");
        let connector = Connector::new(&vsock).with_timeout(LIMIT);
        serve_vsock(UnixListener::bind(&vsock).unwrap(), agent.clone());
        let ready = ReadyListener::bind(&connector).unwrap();
        let process = command
            .arg("--listen")
            .arg(&agent)
            .arg("--ready")
            .arg(ready.path())
            .args(arguments)
            .spawn()
            .unwrap();
        let client = ready.accept(LIMIT).unwrap();
        Self { process, connector, client, _folder: folder }
    }

    pub(crate) fn sh(&self, script: &str) -> Output {
        self.client.run(&sh(script), b"").unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The most memory that the agent ever had resident, in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// How many descriptors the agent has open.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    /// Asks the agent something until `condition` holds: each answer means that the agent has been
    /// once around its event loop since. What waits for another process takes its time on a busy
    /// machine.
    pub(crate) fn eventually(&self, condition: impl Fn() -> bool) {
        let begun = Instant::now();
        while !condition() {
            assert!(begun.elapsed() < LIMIT, "the condition never held");
            self.client.metrics().unwrap();
        }
    }

    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.process.wait().unwrap().code()
    }
}

impl Drop for TestAgent {
    fn drop(&mut self) {
        // Ended by request, it ends its commands too. A test may have ended and reaped it already.
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
            let _ = self.process.wait();
        }
    }
}

pub(crate) fn sh(script: &str) -> ExecSpec {
    ExecSpec::new("sh").arg("-c").arg(script)
}

pub(crate) fn read_line(stream: &mut UnixStream) -> String {
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut line = Vec::new();
    let mut byte = [0];
    while line.last() != Some(&b'\n') && stream.read(&mut byte).unwrap() == 1 {
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

pub(crate) fn process_exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Answers `CONNECT` and joins each connection to the agent's socket.
fn serve_vsock(listener: UnixListener, agent: PathBuf) {
    thread::spawn(move || {
        while let Ok((host, _)) = listener.accept() {
            let agent = agent.clone();
            thread::spawn(move || join_to_agent(host, &agent));
        }
    });
}

fn join_to_agent(mut host: UnixStream, agent: &Path) -> io::Result<()> {
    let request = read_line(&mut host);
    host.set_read_timeout(None)?;
    assert_eq!(request, format!("CONNECT {}\n", agent_protocol::AGENT_PORT));
    let guest = UnixStream::connect(agent)?;
    host.write_all(b"OK 1073741824\n")?;
    let (mut from_host, mut to_guest) = (host.try_clone()?, guest.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from_host, &mut to_guest);
        // As Firecracker does: the host's end of file ends both directions for the guest.
        to_guest.shutdown(Shutdown::Both)
    });
    let (mut from_guest, mut to_host) = (guest, host);
    let _ = io::copy(&mut from_guest, &mut to_host);
    to_host.shutdown(Shutdown::Both)
}
