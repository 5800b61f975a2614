//! A machine whose monitor succeeds in everything.

use std::io;
use std::path::Path;

use vm_spec::{BoardSpec, HostFolderSpec, StreamSpec};

use super::*;
use crate::vm::wire::{Logger, Metrics};
use crate::vm::{Target, route};

/// A host that records what it is asked to open, and fails for paths that contain `missing`.
#[derive(Debug, Default)]
pub(super) struct FakeHost(pub(super) Vec<String>);

impl FakeHost {
    fn open(&mut self, what: &str, name: &str) -> io::Result<()> {
        if name.contains("missing") {
            return Err(io::Error::from_raw_os_error(2));
        }
        self.0.push(format!("{what} {name}"));
        Ok(())
    }
}

impl Host for FakeHost {
    fn open_kernel(&mut self, path: &Path) -> io::Result<()> {
        self.open("kernel", path.to_str().unwrap())
    }
    fn open_initrd(&mut self, path: Option<&Path>) -> io::Result<()> {
        path.map_or(Ok(()), |path| self.open("initrd", path.to_str().unwrap()))
    }
    fn open_drive(&mut self, path: &Path, read_only: bool) -> io::Result<()> {
        let what = if read_only { "drive(ro)" } else { "drive" };
        self.open(what, path.to_str().unwrap())
    }
    fn close_drive(&mut self, path: &Path) {
        self.0.push(format!("close {}", path.display()));
    }
    fn open_tap(&mut self, name: &str, _: u16) -> io::Result<()> {
        self.open("tap", name)
    }
    fn open_switch_port(&mut self, port: &vm_spec::SwitchPortSpec) -> io::Result<()> {
        self.open("switch port", &port.port)
    }
    fn close_tap(&mut self, name: &str) {
        self.0.push(format!("close {name}"));
    }
    fn bind_vsock(&mut self, path: &Path) -> io::Result<()> {
        self.open("vsock", path.to_str().unwrap())
    }
    fn unbind_vsock(&mut self, path: &Path) {
        self.0.push(format!("close {}", path.display()));
    }
    fn open_share(&mut self, folder: &HostFolderSpec) -> io::Result<()> {
        let what = if folder.read_only { "share(ro)" } else { "share" };
        self.open(what, folder.path.to_str().unwrap())
    }
    fn open_stream(&mut self, stream: &StreamSpec) -> io::Result<()> {
        self.open("stream", &format!("{stream:?}"))
    }
    fn close_stream(&mut self, stream: &StreamSpec) {
        self.0.push(format!("close {stream:?}"));
    }
    fn set_logger(&mut self, logger: &Logger) -> io::Result<()> {
        self.open("log", logger.log_path.as_deref().unwrap_or("-"))
    }
    fn set_metrics(&mut self, metrics: &Metrics) -> io::Result<()> {
        self.open("metrics", &metrics.metrics_path)
    }
    fn read_cpu_config(&mut self, path: &Path) -> io::Result<String> {
        self.open("cpu", path.to_str().unwrap())?;
        Ok(r#"{"msr_modifiers":[{"addr":"0x10","bitmap":"0b1"}]}"#.into())
    }
    /// Ice Lake.
    fn processor(&self) -> HostProcessor {
        HostProcessor { vendor: *b"GenuineIntel", signature: 0x0006_06a6 }
    }
}

/// A machine as a client sees it, whose monitor succeeds in everything.
pub(super) struct Vm {
    pub(super) state: ConfigState,
    pub(super) host: FakeHost,
}

impl Vm {
    pub(super) fn new() -> Self {
        let identity = Identity {
            id: "vm1".into(),
            app_name: "Test".into(),
            version: "1.2.3".into(),
            board: BoardSpec::default(),
        };
        Self { state: ConfigState::new(identity), host: FakeHost::default() }
    }

    /// A machine with what `InstanceStart` needs.
    pub(super) fn with_kernel() -> Self {
        let mut vm = Self::new();
        vm.put("/boot-source", r#"{"kernel_image_path":"/k"}"#);
        vm
    }

    pub(super) fn started() -> Self {
        let mut vm = Self::with_kernel();
        vm.start();
        vm
    }

    pub(super) fn start(&mut self) {
        self.put("/actions", r#"{"action_type":"InstanceStart"}"#);
    }

    pub(super) fn send(&mut self, method: &str, path: &str, body: &str) -> Result<Step, VmFault> {
        let routed = route(method, path, body.as_bytes()).unwrap();
        let Target::Vm(request) = routed.target else { panic!("not for the monitor") };
        self.state.handle(request, &mut self.host)
    }

    pub(super) fn put(&mut self, path: &str, body: &str) {
        self.done("PUT", path, body);
    }

    /// Sends a request that succeeds, and commits it.
    pub(super) fn done(&mut self, method: &str, path: &str, body: &str) -> Option<Operation> {
        match self.send(method, path, body).unwrap() {
            Step::Reply(_) => None,
            Step::Operate(operation, pending) => {
                self.state.commit(pending);
                Some(operation)
            }
        }
    }

    pub(super) fn reply(&mut self, path: &str) -> VmResponse {
        match self.send("GET", path, "").unwrap() {
            Step::Reply(reply) => reply,
            Step::Operate(operation, _) => panic!("{operation:?}"),
        }
    }

    pub(super) fn fault(&mut self, method: &str, path: &str, body: &str) -> String {
        match self.send(method, path, body) {
            Ok(step) => panic!("{step:?}"),
            Err(fault) => fault.to_string(),
        }
    }

    pub(super) fn config(&mut self) -> crate::vm::wire::FullVmConfiguration {
        match self.reply("/vm/config") {
            VmResponse::Config(config) => *config,
            other => panic!("{other:?}"),
        }
    }
}
