//! Characters, over the serial port and over virtio-console.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use agent_protocol::client::{ExecSession, ExecSpec};
use anyhow::Context;
use tests::{Kernel, RunningVm, TestVm};
use vm_spec::{Component, ConsolePortSpec, ConsoleSpec, StreamSpec};

const LIMIT: Duration = Duration::from_secs(30);

/// A command that says "ready" once `device` is open, and then the line that it reads.
fn reader(vm: &RunningVm, device: &str) -> anyhow::Result<Reader> {
    let line = format!("exec 3<{device}; echo ready; head -n 1 <&3");
    let mut session = vm.agent().exec(&ExecSpec::new("/bin/sh").args(["-c", &line]))?;
    let output = session.stdout.take().context("the command has no output")?;
    output.set_read_timeout(Some(LIMIT))?;
    let mut reader = Reader { output: BufReader::new(output), _session: session };
    assert_eq!(reader.line()?, "ready");
    Ok(reader)
}

struct Reader {
    output: BufReader<UnixStream>,
    _session: ExecSession,
}

impl Reader {
    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

#[test]
fn serial_port_carries_characters_both_ways() -> anyhow::Result<()> {
    let vm = TestVm::new(Kernel::Bulkhead612)?.boot()?;
    vm.exec("echo said over ttyS0 >/dev/ttyS0")?;
    vm.console().wait_for("said over ttyS0", LIMIT)?;
    let mut reader = reader(&vm, "/dev/ttyS0")?;
    vm.console().write("typed at ttyS0\n")?;
    assert_eq!(reader.line()?, "typed at ttyS0");
    Ok(())
}

#[test]
fn virtio_console_carries_characters_both_ways_over_a_socket() -> anyhow::Result<()> {
    let vm = TestVm::new(Kernel::Bulkhead612)?;
    let path = vm.folder().join("console.sock");
    let console = ConsoleSpec { backend: "console-socket".parse()?, ports: Vec::new(), slot: None };
    let vm = vm
        .with("console", Component::Console(console))?
        .with("console-socket", Component::Stream(StreamSpec::Socket { path: path.clone() }))?
        .boot()?;
    let mut socket = UnixStream::connect(path)?;
    socket.set_read_timeout(Some(LIMIT))?;
    vm.exec("stty -F /dev/hvc0 raw -echo; echo said over hvc0 >/dev/hvc0")?;
    let mut said = String::new();
    BufReader::new(socket.try_clone()?).read_line(&mut said)?;
    assert_eq!(said.trim_end(), "said over hvc0");
    let mut reader = reader(&vm, "/dev/hvc0")?;
    socket.write_all(b"typed at hvc0\n")?;
    assert_eq!(reader.line()?, "typed at hvc0");
    Ok(())
}

#[test]
fn ports_beside_the_console_have_names_and_carry_characters_both_ways() -> anyhow::Result<()> {
    let vm = TestVm::new(Kernel::Bulkhead612)?;
    let path = vm.folder().join("port.sock");
    let port = ConsolePortSpec { name: "org.example.0".into(), backend: "port-socket".parse()? };
    let console = vm.folder().join("console.sock");
    let spec = ConsoleSpec { backend: "console-socket".parse()?, ports: vec![port], slot: None };
    let vm = vm
        .with("console", Component::Console(spec))?
        .with("console-socket", Component::Stream(StreamSpec::Socket { path: console.clone() }))?
        .with("port-socket", Component::Stream(StreamSpec::Socket { path: path.clone() }))?
        .boot()?;
    let names = vm.exec("cat /sys/class/virtio-ports/*/name")?;
    assert_eq!(names, "org.example.0");
    let mut socket = UnixStream::connect(path)?;
    socket.set_read_timeout(Some(LIMIT))?;
    // Written before anybody in the guest has the port open: it waits.
    socket.write_all(b"asked early\n")?;
    let device = "/dev/$(basename $(dirname /sys/class/virtio-ports/*/name))";
    let heard = vm.exec(&format!("exec 3<>{device}; head -n 1 <&3; echo said over a port >&3"))?;
    assert_eq!(heard, "asked early");
    let mut said = String::new();
    BufReader::new(socket).read_line(&mut said)?;
    assert_eq!(said, "said over a port\n");
    vm.exec("stty -F /dev/hvc0 raw -echo; echo said over hvc0 >/dev/hvc0")?;
    let mut socket = UnixStream::connect(console)?;
    socket.set_read_timeout(Some(LIMIT))?;
    said.clear();
    BufReader::new(&mut socket).read_line(&mut said)?;
    assert_eq!(said.trim_end(), "said over hvc0");
    Ok(())
}
