//! A machine before its boot.

use std::env;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_protocol::client::{Connector, ReadyListener};
use anyhow::Context;
use tempfile::TempDir;
use vm_spec::{
    BootSpec, Component, DiskEngine, DiskFileSpec, DiskFormat, DiskSpec, EntropySpec, FsCache,
    FsSpec, HostFolderSpec, MAX_SLOT, MemoryBacking, Mib, NetSpec, SerialSpec, StreamSpec, TapSpec,
    Transport, VmSpec, VsockSpec, VsockUnixSpec,
};

use crate::console::Console;
use crate::kernel::{self, Format, Kernel};
use crate::process::spawn_monitor;
use crate::running::RunningVm;
use crate::tap::Tap;

/// How long a boot may take: some seconds in the lab, and it may be busy.
const BOOT_LIMIT: Duration = Duration::from_secs(90);

/// Restart through the keyboard controller, and at once after a panic; no probing for hardware
/// that is not there, which is slow under emulation.
const CMDLINE: &str = "console=ttyS0 quiet reboot=k panic=-1 i8042.noaux i8042.nomux \
                       i8042.dumbkbd swiotlb=noforce cryptomgr.notests";

/// A machine to boot: one processor, 256 MiB, serial port, vsock and entropy device over PCI,
/// and the agent as its first process.
#[derive(Debug)]
pub struct TestVm {
    kernel: Kernel,
    spec: VmSpec,
    folder: TempDir,
}

impl TestVm {
    /// A machine with this kernel, entered through PVH.
    ///
    /// # Errors
    ///
    /// The kernel was not built, or there is no room for the machine's folder.
    pub fn new(kernel: Kernel) -> anyhow::Result<Self> {
        Self::with_format(kernel, Format::Vmlinux)
    }

    /// A machine with this kernel in this file format.
    ///
    /// # Errors
    ///
    /// As [`TestVm::new`].
    pub fn with_format(kernel: Kernel, format: Format) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("bulkhead-test-").tempdir()?;
        let more = env::var("BULKHEAD_TEST_CMDLINE").unwrap_or_default();
        let mut spec = VmSpec::new(BootSpec {
            kernel: kernel.file(format)?,
            initrd: Some(kernel.initramfs()?),
            cmdline: format!("{CMDLINE} {more}"),
        });
        spec.memory.size = Mib(256);
        let stdio = SerialSpec { backend: "terminal".parse()?, rate_limiter: None };
        let vsock = VsockSpec { backend: "vsock-socket".parse()?, slot: None, cid: 3 };
        let socket = VsockUnixSpec { path: folder.path().join("vsock.sock") };
        Self { kernel, spec, folder }
            .with("com1", Component::Serial(stdio))?
            .with("terminal", Component::Stream(StreamSpec::Stdio {}))?
            .with("vsock", Component::Vsock(vsock))?
            .with("vsock-socket", Component::VsockUnix(socket))?
            .with("rng", Component::Entropy(EntropySpec::default()))
    }

    /// Adds a component, or replaces one.
    ///
    /// # Errors
    ///
    /// The id is none.
    pub fn with(mut self, id: &str, component: Component) -> anyhow::Result<Self> {
        self.spec.components.insert(id.parse()?, component);
        Ok(self)
    }

    /// Boots without test programs: there is no shell for [`RunningVm::exec`] then.
    ///
    /// # Errors
    ///
    /// The image was not built.
    pub fn without_programs(mut self) -> anyhow::Result<Self> {
        self.spec.boot.initrd = Some(self.kernel.small_initramfs()?);
        Ok(self)
    }

    /// Adds a disk over `file` in this machine's folder.
    ///
    /// # Errors
    ///
    /// The id is none.
    pub fn with_disk(
        self,
        id: &str,
        file: &str,
        adjust: impl FnOnce(&mut DiskSpec, &mut DiskFileSpec),
    ) -> anyhow::Result<Self> {
        let backend = format!("{id}-file");
        let mut disk = DiskSpec::new(backend.parse()?);
        let path = self.folder.path().join(file);
        let mut data =
            DiskFileSpec { path, format: DiskFormat::default(), engine: DiskEngine::default() };
        adjust(&mut disk, &mut data);
        self.with(id, Component::Disk(disk))?.with(&backend, Component::DiskFile(data))
    }

    /// Shares `path` of the host under `tag`; so is the device called.
    ///
    /// # Errors
    ///
    /// The tag is no id.
    pub fn with_share(
        self,
        tag: &str,
        path: impl Into<PathBuf>,
        adjust: impl FnOnce(&mut FsSpec, &mut HostFolderSpec),
    ) -> anyhow::Result<Self> {
        let backend = format!("{tag}-folder");
        let mut share = FsSpec::new(backend.parse()?, tag);
        let cache = FsCache::default();
        let mut folder = HostFolderSpec { path: path.into(), read_only: false, cache };
        adjust(&mut share, &mut folder);
        self.with(tag, Component::Fs(share))?.with(&backend, Component::HostFolder(folder))
    }

    /// Adds the disk of test programs, after all other disks. [`RunningVm::mount_tools`] makes it
    /// of use.
    ///
    /// # Errors
    ///
    /// The image was not built.
    pub fn with_tools(self) -> anyhow::Result<Self> {
        let path = kernel::tools_disk()?;
        self.with_disk("tools", "", |disk, file| {
            disk.read_only = true;
            disk.slot = MAX_SLOT.try_into().ok();
            file.path = path;
        })
    }

    /// Adds the network card `eth0` over `tap`.
    ///
    /// # Errors
    ///
    /// None is known.
    pub fn with_card(self, tap: &Tap, adjust: impl FnOnce(&mut NetSpec)) -> anyhow::Result<Self> {
        let mut card = NetSpec::new("tap".parse()?);
        adjust(&mut card);
        self.with("eth0", Component::Net(card))?
            .with("tap", Component::Tap(TapSpec { name: tap.name().to_owned() }))
    }

    /// Reaches all devices through `transport`.
    #[must_use]
    pub fn transport(mut self, transport: Transport) -> Self {
        self.spec.board.transport = transport;
        self
    }

    /// Has so many processors.
    #[must_use]
    pub fn cpus(mut self, count: u8) -> Self {
        self.spec.cpu.count = count;
        self
    }

    /// Has so many processors in each core.
    #[must_use]
    pub fn threads_per_core(mut self, count: u8) -> Self {
        self.spec.cpu.threads_per_core = count;
        self
    }

    /// Has so much memory.
    #[must_use]
    pub fn memory(mut self, size: Mib) -> Self {
        self.spec.memory.size = size;
        self
    }

    /// Has this under its memory.
    #[must_use]
    pub fn backing(mut self, backing: MemoryBacking) -> Self {
        self.spec.memory.backing = backing;
        self
    }

    /// The machine's folder, removed with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the machine and waits until its agent serves.
    ///
    /// # Errors
    ///
    /// The monitor could not be started, or the agent did not call. The message holds the console
    /// and the monitor's log.
    pub fn boot(self) -> anyhow::Result<RunningVm> {
        let folder = self.folder;
        fs::write(folder.path().join("spec.json"), serde_json::to_vec_pretty(&self.spec)?)?;
        let connector = Connector::new(folder.path().join("vsock.sock"));
        let ready = ReadyListener::bind(&connector)?;
        let (ours, theirs) = UnixStream::pair()?;
        let monitor = spawn_monitor(folder.path(), theirs)?;
        let console = Console::over(ours)?;
        let agent = monitor
            .wait_unless_ended(&ready, BOOT_LIMIT)
            .and_then(|()| Ok(ready.accept(BOOT_LIMIT)?))
            .with_context(|| crate::running::account(folder.path(), &console))?;
        Ok(RunningVm::new(monitor, agent, connector, console, folder))
    }
}
