//! `InstanceStart`: from what was configured to a guest that runs.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use api::vm::{VmFault, VmResponse};
use jail::seccomp::ThreadKind;
use serde_json::json;
use vm_spec::{DeviceKind, Machine as MachineSpec, StreamSpec};
use vmm::board::{BoardParams, Loops, assemble};
use vmm::boot::initrd::Initrd;
use vmm::boot::{BootFiles, CommandLine, Image};
use vmm::kvm::Kvm;
use vmm::machine::{Foundation, MachineParams};

use crate::monitor::{Monitor, Running};
use crate::notify;
use crate::operate::chain;

fn fault(error: impl std::error::Error) -> VmFault {
    VmFault::Start(chain(&error))
}

impl Monitor {
    /// Builds the machine and lets it go. It runs once the main thread takes it from `built`.
    pub(crate) fn start(&mut self, spec: &MachineSpec) -> Result<VmResponse, VmFault> {
        let files = self.boot_files(spec)?;
        let kvm = Kvm::open_with(&spec.cpu().template.capabilities).map_err(fault)?;
        let memory = spec.memory();
        let params = MachineParams {
            cpu: spec.cpu(),
            memory: &memory,
            started: self.started,
            confine_vcpu: self.confinement.on(ThreadKind::Vcpu),
        };
        let foundation = Foundation::lay(&kvm, &params).map_err(fault)?;
        let kernel = foundation.load(&files).map_err(fault)?;
        let detour = spec.mmds().map(|mmds| self.metadata.detour(mmds)).transpose()?;
        if let Some(serial) = spec.serial() {
            // The standard streams are there without having been named.
            self.files.devices.ensure_stream(&serial.stream).map_err(fault)?;
        }
        let opened = std::mem::take(&mut self.files.devices);
        let confinement = &self.confinement;
        let loops =
            Loops::new(confinement.on(ThreadKind::DeviceLoop), confinement.on_file_server());
        let params = BoardParams { opened, loops, started: self.started, detour };
        let (board, devices) = assemble(spec, &foundation, params).map_err(fault)?;
        let mut machine = foundation.complete(board, kernel).map_err(fault)?;
        self.running = Some(Running {
            uses_terminal: uses_terminal(spec),
            devices,
            phases: Arc::clone(machine.phases()),
            exits: machine.exits(),
        });
        machine.resume().map_err(fault)?;
        self.built = Some(machine);
        self.events.publish("started", json!({}));
        if let Some(socket) = &self.notify_socket {
            notify::ready(socket);
        }
        Ok(VmResponse::Empty)
    }

    fn boot_files(&mut self, spec: &MachineSpec) -> Result<BootFiles, VmFault> {
        let boot = spec.boot();
        let missing = || VmFault::Start("the kernel was not opened".to_owned());
        let (path, kernel) = duplicate(self.files.kernel.as_ref())?.ok_or_else(missing)?;
        let initrd = match duplicate(self.files.initrd.as_ref())? {
            Some((path, file)) if boot.initrd.is_some() => {
                Some(Initrd::new(file, &path).map_err(fault)?)
            }
            _ => None,
        };
        Ok(BootFiles {
            kernel: Image::new(kernel, &path).map_err(fault)?,
            initrd,
            command_line: CommandLine::new(spec.cmdline()).map_err(fault)?,
        })
    }
}

/// A start that fails can be tried again, so the files stay open.
fn duplicate(open: Option<&(PathBuf, File)>) -> Result<Option<(PathBuf, File)>, VmFault> {
    open.map(|(path, file)| Ok((path.clone(), file.try_clone().map_err(fault)?))).transpose()
}

/// Whether a console is on this process's own terminal.
fn uses_terminal(spec: &MachineSpec) -> bool {
    let is_stdio = |stream: &StreamSpec| matches!(stream, StreamSpec::Stdio {});
    let serial = spec.serial().is_some_and(|serial| is_stdio(&serial.stream));
    serial
        || spec.devices().iter().any(|device| match &device.kind {
            DeviceKind::Console(console) => console.streams().any(is_stdio),
            _ => false,
        })
}
