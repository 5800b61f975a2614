//! The program, and kernels of a few bytes.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use api::vm::client::{Client, Reply};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(30);

/// `1: hlt; jmp 1b`, with interrupts off: sleeps for ever.
const SLEEP: &[u8] = &[0xf4, 0xeb, 0xfd];
/// `mov al, 0xfe; out 0x64, al`: restarts the machine, which ends it. Then it sleeps.
const RESET: &[u8] = &[0xb0, 0xfe, 0xe6, 0x64, 0xf4, 0xeb, 0xfd];

/// An ELF kernel for the 64-bit entry that consists of `code`.
pub(crate) fn kernel(code: &[u8]) -> Vec<u8> {
    let mut elf = vec![0; 0x1000];
    elf[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    elf[16..21].copy_from_slice(&[2, 0, 62, 0, 1]);
    for (at, value) in [(24, 0x10_0000), (32, 64)] {
        put(&mut elf, at, value);
    }
    elf[52..58].copy_from_slice(&[64, 0, 56, 0, 1, 0]);
    elf[64..72].copy_from_slice(&[1, 0, 0, 0, 5, 0, 0, 0]);
    let size = code.len() as u64;
    for (at, value) in
        [(72, 0x1000), (80, 0x10_0000), (88, 0x10_0000), (96, size), (104, size), (112, 0x1000)]
    {
        put(&mut elf, at, value);
    }
    elf.extend_from_slice(code);
    elf
}

/// Writes eight bytes of a header.
pub(crate) fn put(elf: &mut [u8], at: usize, value: u64) {
    elf[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

/// A folder with the kernels `sleep` and `reset` and the 1 MiB image `disk`, in which the program
/// is started.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.write("sleep", kernel(SLEEP));
        place.write("reset", kernel(RESET));
        place.write("disk", vec![0; 1 << 20]);
        place
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    /// Makes a named pipe.
    pub(crate) fn fifo(&self, name: &str) {
        mknodat(CWD, self.path(name), FileType::Fifo, Mode::RWXU, 0).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The program, to be started here; seccomp filters and all are on.
    pub(crate) fn program(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead-vmm"));
        self.inside(&mut command);
        if !arguments.contains("--api-sock") {
            command.args(["--api-sock", "api.sock"]);
        }
        command.args(arguments.split_whitespace());
        command
    }

    /// The program, started by a line of shell in a mount namespace of its own, where it is `"$@"`.
    pub(crate) fn unshared(&self, line: &str, arguments: &str) -> Command {
        let mut command = Command::new("unshare");
        self.inside(&mut command);
        command.args(["--map-root-user", "--mount", "sh", "-ec", line, "sh"]);
        let program = self.program(arguments);
        command.arg(program.get_program()).args(program.get_args());
        command
    }

    fn inside(&self, command: &mut Command) {
        command.current_dir(self.0.path()).stdin(Stdio::null());
    }

    /// Writes `machine.json`, a configuration file with the kernel `sleep` and what `more` says.
    pub(crate) fn config(&self, more: &Value) {
        let mut document = json!({ "boot-source": { "kernel_image_path": "sleep" }, "drives": [] });
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.write("machine.json", document.to_string());
    }

    /// Runs a command that has to fail as a wrong machine does: with status 1, without a panic,
    /// and without a file left behind. Gives what it says.
    pub(crate) fn failure(&self, mut command: Command) -> String {
        let before = self.files();
        let output = command.output().unwrap();
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(!said.contains("panicked"), "{said}");
        assert_eq!(self.files(), before, "files were left behind");
        said
    }

    /// What the program says of the configuration file `machine.json`.
    pub(crate) fn refusal(&self) -> String {
        self.failure(self.program("--config-file machine.json"))
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Starts the program; it waits for requests.
    pub(crate) fn start(self) -> Monitor {
        let command = self.program("");
        Monitor::spawn(self, command)
    }

    /// Starts the program in a machine with the kernel `sleep`.
    pub(crate) fn start_machine(self) -> Monitor {
        let monitor = self.just_start_machine();
        // Answered by the machine's own loop.
        assert_eq!(monitor.state(), "Running");
        monitor
    }

    /// The same, but no more than the start was answered.
    pub(crate) fn just_start_machine(self) -> Monitor {
        let monitor = self.start();
        monitor.put("/boot-source", &json!({ "kernel_image_path": "sleep" }));
        monitor.put("/machine-config", &json!({ "vcpu_count": 1, "mem_size_mib": 32 }));
        monitor.put("/actions", &json!({ "action_type": "InstanceStart" }));
        monitor
    }
}

/// What a program that has ended said, on both streams.
fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// The program while it runs. It is killed with this value.
pub(crate) struct Monitor {
    child: Child,
    client: Client,
    pub(crate) place: Place,
}

impl Monitor {
    /// Starts a program of `place` and waits until its socket is there.
    pub(crate) fn spawn(place: Place, mut command: Command) -> Self {
        // The program reads its metadata when it listens already, so opening them waits for that.
        place.fifo("metadata");
        let metadata = place.path("metadata");
        let child = command
            .args(["--exit-with-parent", "--metadata", "metadata"])
            .stdout(Stdio::null())
            .stderr(File::create(place.path("stderr")).unwrap())
            .spawn()
            .unwrap();
        File::options().write(true).open(metadata).unwrap().write_all(b"{}").unwrap();
        let client = Client::new(place.path("api.sock")).with_timeout(LIMIT);
        Self { child, client, place }
    }

    pub(crate) fn socket(&self) -> &Path {
        self.client.socket()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn send(&self, method: &str, path: &str, body: &str) -> Reply {
        self.client.send(method, path, body.as_bytes()).unwrap()
    }

    /// A PUT that must be accepted.
    pub(crate) fn put(&self, path: &str, body: &Value) {
        let reply = self.send("PUT", path, &body.to_string());
        assert_eq!((reply.status, reply.body), (204, vec![]), "{path}: {}", self.said());
    }

    /// The message of a request that must be refused with 400, in the API's shape.
    pub(crate) fn fault(&self, method: &str, path: &str, body: &str) -> String {
        let reply = self.send(method, path, body);
        let text = String::from_utf8(reply.body).unwrap();
        assert_eq!(reply.status, 400, "{method} {path}: {text}");
        let json: Value = serde_json::from_str(&text).unwrap();
        let object = json.as_object().unwrap();
        assert_eq!(object.len(), 1, "{text}");
        object["fault_message"].as_str().unwrap().to_owned()
    }

    /// What the machine does, as it says itself.
    pub(crate) fn state(&self) -> String {
        let reply = self.send("GET", "/", "");
        assert_eq!(reply.status, 200);
        let info: Value = serde_json::from_slice(&reply.body).unwrap();
        info["state"].as_str().unwrap().to_owned()
    }

    /// What was written to standard error: the log.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.place.path("stderr")).unwrap()
    }

    /// Ends the program by SIGTERM; it must never have panicked.
    pub(crate) fn end(&mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        assert!(!self.said().contains("panicked"), "{}", self.said());
        status
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // Both fail only for a process that has been reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
