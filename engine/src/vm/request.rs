//! A request for a plain machine, checked, as the document that its monitor makes it of.

use std::path::Path;
use std::str::FromStr;

use launch::Folder;
use vm_spec::{
    BootSpec, CacheMode, Component, ComponentId, DiskEngine, DiskFileSpec, DiskFormat, DiskSpec,
    EntropySpec, Mib, SerialSpec, VmSpec, VsockSpec, VsockUnixSpec,
};

use super::VmError;
use super::document::{VmCreate, VmDisk};
use crate::sandbox::console_stream;

/// The guest's context id; each machine has a vsock of its own.
const GUEST_CID: u32 = 3;

/// The machine in this folder. All that can be known to be wrong is found here.
pub(super) fn document(request: &VmCreate, folder: &Folder) -> Result<VmSpec, VmError> {
    let mut boot = BootSpec {
        kernel: usable(&request.kernel)?.to_owned(),
        initrd: None,
        cmdline: vm_spec::DEFAULT_CMDLINE.to_owned(),
    };
    if let Some(initrd) = &request.initrd {
        boot.initrd = Some(usable(initrd)?.to_owned());
    }
    if let Some(cmdline) = &request.cmdline {
        boot.cmdline.clone_from(cmdline);
    }
    let mut document = VmSpec::new(boot);
    if let Some(cpus) = request.cpus {
        document.cpu.count = cpus;
    }
    if let Some(memory) = request.memory_mib {
        document.memory.size = Mib(memory);
    }
    let mut add = |id: &str, component| {
        document.components.insert(ComponentId::from_str(id)?, component);
        Ok::<_, VmError>(())
    };
    for (number, disk) in request.disks.iter().enumerate() {
        let (id, backend) = (format!("disk{number}"), format!("disk{number}-data"));
        add(&id, self::disk(disk, ComponentId::from_str(&backend)?))?;
        add(&backend, data(usable(&disk.path)?))?;
    }
    let backend = ComponentId::from_str("vsock-socket")?;
    add("vsock", Component::Vsock(VsockSpec { backend, slot: None, cid: GUEST_CID }))?;
    add("vsock-socket", Component::VsockUnix(VsockUnixSpec { path: folder.vsock_socket() }))?;
    let backend = ComponentId::from_str("console")?;
    let rate_limiter = Some(crate::sandbox::console_limit());
    add("com1", Component::Serial(SerialSpec { backend, rate_limiter }))?;
    add("console", Component::Stream(console_stream(folder)))?;
    add("rng", Component::Entropy(EntropySpec::default()))?;
    vm_spec::Machine::try_from(document.clone())?;
    Ok(document)
}

fn disk(disk: &VmDisk, backend: ComponentId) -> Component {
    Component::Disk(DiskSpec {
        root: disk.root,
        read_only: disk.read_only,
        serial: disk.serial.clone(),
        cache: if disk.read_only { CacheMode::Unsafe } else { CacheMode::Writeback },
        discard: !disk.read_only,
        ..DiskSpec::new(backend)
    })
}

fn data(path: &Path) -> Component {
    Component::DiskFile(DiskFileSpec {
        path: path.to_owned(),
        format: DiskFormat::Raw,
        engine: DiskEngine::Sync,
    })
}

/// The monitor runs elsewhere, so only whole paths mean the same to it.
fn usable(path: &Path) -> Result<&Path, VmError> {
    if path.is_relative() {
        return Err(VmError::Relative(path.to_owned()));
    }
    match std::fs::metadata(path) {
        Ok(_) => Ok(path),
        Err(source) => Err(VmError::Missing { path: path.to_owned(), source }),
    }
}
