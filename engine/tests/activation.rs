//! The engine on a socket that the service manager made: systemd's socket activation.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

const LIMIT: Duration = Duration::from_secs(60);

/// Makes standard input the descriptor that systemd passes, and says whose it is.
const PASS: &str = "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$@\" 3<&0 0</dev/null";

struct Engine(Child);

impl Drop for Engine {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(folder: &Path, socket: OwnedFd) -> Engine {
    let mut command = Command::new("sh");
    command.args(["-c", PASS, "sh", env!("CARGO_BIN_EXE_bulkhead-engine")]);
    command.arg("--root").arg(folder.join("state")).arg("--runtime").arg(folder.join("run"));
    command.args(["--log-level", "off"]).env("NOTIFY_SOCKET", folder.join("notify"));
    Engine(command.stdin(Stdio::from(socket)).spawn().unwrap())
}

fn ask(socket: &Path) -> UnixStream {
    let mut client = UnixStream::connect(socket).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    client.write_all(b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    client
}

fn answer(mut client: UnixStream) -> String {
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_socket_that_was_passed_is_served_and_left_to_whoever_made_it() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("passed.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let notify = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    notify.set_read_timeout(Some(LIMIT)).unwrap();
    // It is a client that has the engine started.
    let early = ask(&socket);
    let mut engine = start(folder.path(), listener.try_clone().unwrap().into());
    let early = answer(early);
    assert!(early.starts_with("HTTP/1.1 200 ") && early.ends_with("OK"), "{early}");
    let mut told = [0; 64];
    let length = notify.recv(&mut told).unwrap();
    assert_eq!(&told[..length], b"READY=1");
    assert!(answer(ask(&socket)).ends_with("OK"));
    // It makes none of its own beside it.
    assert!(!folder.path().join("run/bulkhead.sock").exists());
    let pid = Pid::from_child(&engine.0);
    kill_process(pid, Signal::TERM).unwrap();
    assert!(engine.0.wait().unwrap().success());
    // The next client waits for the next engine.
    let late = ask(&socket);
    let mut engine = start(folder.path(), listener.into());
    assert!(answer(late).ends_with("OK"));
    kill_process(Pid::from_child(&engine.0), Signal::TERM).unwrap();
    assert!(engine.0.wait().unwrap().success());
}
