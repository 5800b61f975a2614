//! Joining devices with their backends.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::device::{
    Console, ConsolePort, DeviceKind, Disk, DiskBackend, Fs, FsBackend, Net, NetBackend, Serial,
    Vsock, VsockBackend,
};
use super::error::SpecError;
use super::limits;
use super::slots::Unplaced;
use crate::{
    Component, ComponentId, ConsoleSpec, DiskFileSpec, DiskSpec, FsSpec, MacAddr, MemorySpec,
    MmdsSpec, NetSpec, StreamSpec, VsockSpec,
};

type Components = BTreeMap<ComponentId, Component>;

/// Everything that the components say, joined.
#[derive(Default)]
pub(super) struct Resolved {
    pub(super) devices: Vec<Unplaced>,
    pub(super) serial: Option<Serial>,
    pub(super) mmds: Option<MmdsSpec>,
    pub(super) vm_gen_id: bool,
}

/// Joins all devices with their backends and checks both.
pub(super) fn resolve(components: &Components, memory: &MemorySpec) -> Result<Resolved, SpecError> {
    let mut resolver = Resolver::new(components, memory);
    for (id, component) in components {
        resolver.add(id, component)?;
    }
    resolver.finish()
}

struct Resolver<'a> {
    components: &'a Components,
    memory: &'a MemorySpec,
    resolved: Resolved,
    /// Backends in use and their devices.
    owners: HashMap<&'a ComponentId, &'a ComponentId>,
    /// Devices of which there can be one, by kind.
    singles: HashMap<&'static str, &'a ComponentId>,
    /// Files that a disk writes to, and their backends.
    written: HashMap<&'a Path, &'a ComponentId>,
    macs: HashMap<MacAddr, &'a ComponentId>,
    tags: HashMap<&'a str, &'a ComponentId>,
    root: Option<&'a ComponentId>,
    stdio: Option<&'a ComponentId>,
}

impl<'a> Resolver<'a> {
    fn new(components: &'a Components, memory: &'a MemorySpec) -> Self {
        Self {
            components,
            memory,
            resolved: Resolved::default(),
            owners: HashMap::new(),
            singles: HashMap::new(),
            written: HashMap::new(),
            macs: HashMap::new(),
            tags: HashMap::new(),
            root: None,
            stdio: None,
        }
    }

    fn add(&mut self, id: &'a ComponentId, component: &'a Component) -> Result<(), SpecError> {
        let (wanted, kind) = match component {
            Component::Disk(spec) => (spec.slot, self.disk(id, spec)?),
            Component::Fs(spec) => (spec.slot, self.fs(id, spec)?),
            Component::Net(spec) => (spec.slot, self.net(id, spec)?),
            Component::Vsock(spec) => (spec.slot, self.vsock(id, spec)?),
            Component::Console(spec) => (spec.slot, self.console(id, spec)?),
            Component::Entropy(spec) => (spec.slot, DeviceKind::Entropy(*spec)),
            Component::Balloon(spec) => {
                self.single("balloon", id)?;
                limits::check_balloon(id, spec, self.memory)?;
                (spec.slot, DeviceKind::Balloon(*spec))
            }
            Component::Serial(spec) => {
                self.single("serial", id)?;
                let stream = self.stream(id, "backend", &spec.backend)?;
                self.resolved.serial = Some(Serial { id: id.clone(), spec: spec.clone(), stream });
                return Ok(());
            }
            Component::VmGenId(_) => {
                self.resolved.vm_gen_id = true;
                return self.single("vmgenid", id);
            }
            Component::Mmds(spec) => {
                self.resolved.mmds = Some(spec.clone());
                self.single("mmds", id)?;
                return self.mmds(id, spec);
            }
            Component::DiskFile(_)
            | Component::HostFolder(_)
            | Component::DiskComposite(_)
            | Component::Tap(_)
            | Component::TapFd(_)
            | Component::SwitchPort(_)
            | Component::VsockUnix(_)
            | Component::Stream(_) => return Ok(()),
        };
        self.resolved.devices.push(Unplaced { id: id.clone(), wanted, kind });
        Ok(())
    }

    fn disk(&mut self, id: &'a ComponentId, spec: &'a DiskSpec) -> Result<DeviceKind, SpecError> {
        limits::check_disk(id, spec)?;
        if spec.root
            && let Some(first) = self.root.replace(id)
        {
            return Err(SpecError::SecondRoot { first: first.clone(), second: id.clone() });
        }
        let backend = match self.backend(id, &spec.backend)? {
            Component::DiskFile(file) => {
                self.disk_file(spec, file)?;
                DiskBackend::File(file.clone())
            }
            Component::DiskComposite(composite) => {
                limits::check_composite(&spec.backend, composite)?;
                if !spec.read_only {
                    let field = format!("components.{id}.read_only");
                    return Err(SpecError::value(field, false, "true over a disk-composite"));
                }
                DiskBackend::Composite(composite.clone())
            }
            _ => {
                let field = format!("components.{id}.backend");
                return Err(self.wrong(field, &spec.backend, "disk-file or disk-composite"));
            }
        };
        Ok(DeviceKind::Disk(Disk { spec: spec.clone(), backend }))
    }

    fn disk_file(&mut self, disk: &'a DiskSpec, file: &'a DiskFileSpec) -> Result<(), SpecError> {
        limits::check_path(&format!("components.{}.path", disk.backend), &file.path)?;
        if !disk.read_only
            && let Some(first) = self.written.insert(&file.path, &disk.backend)
        {
            return Err(SpecError::SharedDisk {
                path: file.path.display().to_string(),
                first: first.clone(),
                second: disk.backend.clone(),
            });
        }
        Ok(())
    }

    fn fs(&mut self, id: &'a ComponentId, spec: &'a FsSpec) -> Result<DeviceKind, SpecError> {
        limits::check_fs(id, spec)?;
        if let Some(first) = self.tags.insert(&spec.tag, id) {
            return Err(SpecError::SharedTag {
                tag: spec.tag.clone(),
                first: first.clone(),
                second: id.clone(),
            });
        }
        let Component::HostFolder(folder) = self.backend(id, &spec.backend)? else {
            let field = format!("components.{id}.backend");
            return Err(self.wrong(field, &spec.backend, "host-folder"));
        };
        limits::check_path(&format!("components.{}.path", spec.backend), &folder.path)?;
        let backend = FsBackend::HostFolder(folder.clone());
        Ok(DeviceKind::Fs(Fs { spec: spec.clone(), backend }))
    }

    fn net(&mut self, id: &'a ComponentId, spec: &'a NetSpec) -> Result<DeviceKind, SpecError> {
        limits::check_net(id, spec)?;
        if let Some(mac) = spec.mac
            && let Some(first) = self.macs.insert(mac, id)
        {
            return Err(SpecError::SharedMac { mac, first: first.clone(), second: id.clone() });
        }
        let backend = match self.backend(id, &spec.backend)? {
            Component::Tap(tap) => {
                limits::check_tap(&spec.backend, tap)?;
                NetBackend::Tap(tap.clone())
            }
            Component::TapFd(tap) => NetBackend::TapFd(*tap),
            Component::SwitchPort(port) => {
                limits::check_switch_port(&spec.backend, port, id, spec.queue_pairs)?;
                NetBackend::SwitchPort(port.clone())
            }
            _ => {
                let field = format!("components.{id}.backend");
                return Err(self.wrong(field, &spec.backend, "tap, tap-fd or switch-port"));
            }
        };
        Ok(DeviceKind::Net(Net { spec: spec.clone(), backend }))
    }

    fn vsock(&mut self, id: &'a ComponentId, spec: &'a VsockSpec) -> Result<DeviceKind, SpecError> {
        self.single("vsock", id)?;
        limits::check_vsock(id, spec)?;
        let Component::VsockUnix(unix) = self.backend(id, &spec.backend)? else {
            return Err(self.wrong(
                format!("components.{id}.backend"),
                &spec.backend,
                "vsock-unix",
            ));
        };
        limits::check_vsock_unix(&spec.backend, unix)?;
        let backend = VsockBackend::Unix(unix.clone());
        Ok(DeviceKind::Vsock(Vsock { spec: spec.clone(), backend }))
    }

    fn console(
        &mut self,
        id: &'a ComponentId,
        spec: &'a ConsoleSpec,
    ) -> Result<DeviceKind, SpecError> {
        limits::check_console(id, spec)?;
        let stream = self.stream(id, "backend", &spec.backend)?;
        let mut ports = Vec::with_capacity(spec.ports.len());
        for (n, port) in spec.ports.iter().enumerate() {
            let stream = self.stream(id, &format!("ports[{n}].backend"), &port.backend)?;
            ports.push(ConsolePort { name: port.name.clone(), stream });
        }
        Ok(DeviceKind::Console(Console { spec: spec.clone(), stream, ports }))
    }

    fn stream(
        &mut self,
        id: &'a ComponentId,
        field: &str,
        backend: &'a ComponentId,
    ) -> Result<StreamSpec, SpecError> {
        let field = format!("components.{id}.{field}");
        let Component::Stream(stream) = self.backend_at(&field, id, backend)? else {
            return Err(self.wrong(field, backend, "stream"));
        };
        limits::check_stream(backend, stream)?;
        if *stream == (StreamSpec::Stdio {})
            && let Some(first) = self.stdio.replace(backend)
        {
            return Err(SpecError::SharedStdio { first: first.clone(), second: backend.clone() });
        }
        Ok(stream.clone())
    }

    fn mmds(&self, id: &ComponentId, spec: &MmdsSpec) -> Result<(), SpecError> {
        if spec.devices.is_empty() {
            let field = format!("components.{id}.devices");
            return Err(SpecError::value(field, "an empty list", "at least one network device"));
        }
        // RFC 3927 §2.1 reserves the first and last 256 addresses of the block.
        let [.., third, _] = spec.address.octets();
        if !spec.address.is_link_local() || matches!(third, 0 | 255) {
            let field = format!("components.{id}.address");
            return Err(SpecError::value(field, spec.address, "169.254.1.0 to 169.254.254.255"));
        }
        for device in &spec.devices {
            let field = || format!("components.{id}.devices");
            match self.components.get(device) {
                Some(Component::Net(_)) => {}
                Some(_) => return Err(self.wrong(field(), device, "net")),
                None => {
                    return Err(SpecError::MissingComponent { field: field(), id: device.clone() });
                }
            }
        }
        Ok(())
    }

    /// The component that `device` has as its backend, of whatever kind.
    fn backend(
        &mut self,
        device: &'a ComponentId,
        backend: &'a ComponentId,
    ) -> Result<&'a Component, SpecError> {
        self.backend_at(&format!("components.{device}.backend"), device, backend)
    }

    /// The same, where `field` of `device` names it.
    fn backend_at(
        &mut self,
        field: &str,
        device: &'a ComponentId,
        backend: &'a ComponentId,
    ) -> Result<&'a Component, SpecError> {
        let component = self.components.get(backend).ok_or_else(|| {
            SpecError::MissingComponent { field: field.to_owned(), id: backend.clone() }
        })?;
        match self.owners.insert(backend, device) {
            None => Ok(component),
            Some(first) => Err(SpecError::SharedBackend {
                field: field.to_owned(),
                backend: backend.clone(),
                first: first.clone(),
            }),
        }
    }

    fn single(&mut self, kind: &'static str, id: &'a ComponentId) -> Result<(), SpecError> {
        match self.singles.insert(kind, id) {
            None => Ok(()),
            Some(first) => {
                Err(SpecError::NotSingle { kind, first: first.clone(), second: id.clone() })
            }
        }
    }

    fn wrong(&self, field: String, id: &ComponentId, expected: &'static str) -> SpecError {
        let found = self.components.get(id).map_or("missing component", Component::type_name);
        SpecError::WrongComponent { field, id: id.clone(), found, expected }
    }

    fn finish(self) -> Result<Resolved, SpecError> {
        let unused = self.components.iter().find(|(id, component)| {
            let is_backend = matches!(
                component,
                Component::DiskFile(_)
                    | Component::HostFolder(_)
                    | Component::DiskComposite(_)
                    | Component::Tap(_)
                    | Component::TapFd(_)
                    | Component::SwitchPort(_)
                    | Component::VsockUnix(_)
                    | Component::Stream(_)
            );
            is_backend && !self.owners.contains_key(id)
        });
        match unused {
            Some((id, _)) => Err(SpecError::UnusedBackend(id.clone())),
            None => Ok(self.resolved),
        }
    }
}
