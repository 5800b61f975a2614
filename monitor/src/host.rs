//! What the configuration names, opened when it is named.

use std::arch::x86_64::__cpuid;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use api::vm::config_state::{Host, HostProcessor};
use api::vm::wire::{Logger, Metrics};
use vm_spec::{HostFolderSpec, StreamSpec, SwitchPortSpec};
use vmm::board::{Opened, inherited};

use crate::flush::MetricsFile;
use crate::logger;
use crate::operate::chain;

/// Open files and sockets that wait for the start of the machine.
#[derive(Default)]
pub(crate) struct OpenFiles {
    pub(crate) kernel: Option<(PathBuf, File)>,
    pub(crate) initrd: Option<(PathBuf, File)>,
    pub(crate) devices: Opened,
    pub(crate) metrics: Option<MetricsFile>,
}

/// The whole chain, as what takes it prints one level only.
fn other(error: impl std::error::Error) -> io::Error {
    io::Error::other(chain(&error))
}

/// Opens a file to read, or takes the descriptor that `path` names.
fn open(path: &Path) -> io::Result<File> {
    match inherited(path) {
        Some(fd) => fd.map(File::from),
        None => File::open(path),
    }
}

impl Host for OpenFiles {
    fn open_kernel(&mut self, path: &Path) -> io::Result<()> {
        self.kernel = Some((path.to_owned(), open(path)?));
        Ok(())
    }

    fn open_initrd(&mut self, path: Option<&Path>) -> io::Result<()> {
        let named = |path: &Path| open(path).map(|file| (path.to_owned(), file));
        self.initrd = path.map(named).transpose()?;
        Ok(())
    }

    fn open_drive(&mut self, path: &Path, read_only: bool) -> io::Result<()> {
        self.devices.open_disk(path, read_only).map_err(other)
    }

    fn close_drive(&mut self, path: &Path) {
        self.devices.close_disk(path);
    }

    fn open_tap(&mut self, name: &str, queues: u16) -> io::Result<()> {
        self.devices.open_tap(name, queues).map_err(other)
    }

    fn open_switch_port(&mut self, port: &SwitchPortSpec) -> io::Result<()> {
        self.devices.open_switch_port(port).map_err(other)
    }

    fn close_tap(&mut self, name: &str) {
        self.devices.close_tap(name);
    }

    fn bind_vsock(&mut self, path: &Path) -> io::Result<()> {
        self.devices.bind_vsock(path).map_err(other)
    }

    fn unbind_vsock(&mut self, path: &Path) {
        self.devices.unbind_vsock(path);
    }

    fn open_share(&mut self, folder: &HostFolderSpec) -> io::Result<()> {
        self.devices.open_share(folder).map_err(other)
    }

    fn open_stream(&mut self, stream: &StreamSpec) -> io::Result<()> {
        self.devices.open_stream(stream).map_err(other)
    }

    fn close_stream(&mut self, stream: &StreamSpec) {
        self.devices.close_stream(stream);
    }

    fn set_logger(&mut self, settings: &Logger) -> io::Result<()> {
        logger::configure(settings)
    }

    fn set_metrics(&mut self, settings: &Metrics) -> io::Result<()> {
        if self.metrics.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.metrics = Some(MetricsFile::open(settings)?);
        Ok(())
    }

    fn read_cpu_config(&mut self, path: &Path) -> io::Result<String> {
        std::fs::read_to_string(path)
    }

    fn processor(&self) -> HostProcessor {
        let (maker, signature) = (__cpuid(0), __cpuid(1).eax);
        let mut vendor = [0; 12];
        for (place, part) in vendor.chunks_mut(4).zip([maker.ebx, maker.edx, maker.ecx]) {
            place.copy_from_slice(&part.to_le_bytes());
        }
        HostProcessor { vendor, signature }
    }
}
