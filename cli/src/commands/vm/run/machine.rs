//! The machine that `bulkhead vm run`'s options describe.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, bail};
use launch::QUIET_PROBING;
use vm_spec::{
    BootSpec, Component, ComponentId, EntropySpec, MemoryBacking, SerialSpec, StreamSpec,
    Transport, VmSpec, VsockSpec, VsockUnixSpec,
};

use super::super::components;
use crate::host::machines::MachineFolder;

/// The machine, option by option or as a document.
#[derive(clap::Args)]
pub(super) struct MachineArgs {
    /// Kernel: an ELF vmlinux or a bzImage
    #[arg(long, value_name = "FILE", required_unless_present = "config")]
    kernel: Option<PathBuf>,
    /// Initial RAM disk
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    /// Kernel command line, added to what the machine needs
    #[arg(long, value_name = "ARGS")]
    cmdline: Option<String>,
    /// Virtual processors, 1 to 254
    #[arg(long, value_name = "N")]
    cpus: Option<u8>,
    /// Memory, such as 512M or 6G
    #[arg(short, long, value_name = "SIZE")]
    memory: Option<String>,
    /// What the host puts under the memory
    #[arg(long, value_name = "KIND")]
    memory_backing: Option<Backing>,
    /// A disk: path=FILE[,readonly][,root][,format=raw][,engine=sync|async][,discard]
    /// [,cache=writeback|unsafe][,serial=TEXT][,queues=N][,queue-size=N][,slot=N][,id=NAME]
    #[arg(long, value_name = "KEYS")]
    disk: Vec<String>,
    /// A network device: tap=NAME[,mac=ADDRESS][,mtu=N][,queue-pairs=N][,queue-size=N][,slot=N]
    /// [,id=NAME]
    #[arg(long, value_name = "KEYS")]
    net: Vec<String>,
    /// A socket device: socket=PATH[,cid=N][,slot=N]
    #[arg(long, value_name = "KEYS")]
    vsock: Option<String>,
    /// A memory balloon: [size=SIZE][,deflate-on-oom][,reporting][,stats-interval=SECONDS]
    #[arg(long, value_name = "KEYS", num_args = 0..=1, default_missing_value = "")]
    balloon: Option<String>,
    /// How the guest reaches its devices
    #[arg(long, value_name = "KIND")]
    transport: Option<TransportArg>,
    /// A machine as a JSON document; options add to it and override it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Backing {
    /// Private memory of the monitor
    Anonymous,
    /// The same with transparent huge pages
    TransparentHuge,
    /// A file in memory, which can be shared
    Memfd,
    /// Reserved 2 MiB pages
    #[value(name = "hugetlb-2m")]
    Hugetlb2m,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum TransportArg {
    /// virtio-pci with MSI-X
    Pci,
    /// virtio-mmio
    Mmio,
}

impl MachineArgs {
    /// The document. `detached` and `command` decide where the console goes.
    pub(super) fn spec(
        &self,
        folder: &MachineFolder,
        detached: bool,
        command: bool,
    ) -> anyhow::Result<VmSpec> {
        let mut spec = self.base()?;
        if let Some(count) = self.cpus {
            spec.cpu.count = count;
        }
        if let Some(size) = &self.memory {
            spec.memory.size = components::parse_size(size).context("--memory")?;
        }
        if let Some(backing) = self.memory_backing {
            spec.memory.backing = match backing {
                Backing::Anonymous => MemoryBacking::Anonymous,
                Backing::TransparentHuge => MemoryBacking::TransparentHuge,
                Backing::Memfd => MemoryBacking::Memfd,
                Backing::Hugetlb2m => MemoryBacking::Hugetlb2M,
            };
        }
        if let Some(transport) = self.transport {
            spec.board.transport = match transport {
                TransportArg::Pci => Transport::Pci,
                TransportArg::Mmio => Transport::Mmio,
            };
        }
        self.add_devices(&mut spec)?;
        if self.config.is_none() {
            add_console(&mut spec, detached)?;
            let id = ComponentId::from_str("rng")?;
            spec.components.insert(id, Component::Entropy(EntropySpec::default()));
            compose_cmdline(&mut spec, self.cmdline.as_deref(), command);
        } else if let Some(cmdline) = &self.cmdline {
            spec.boot.cmdline.clone_from(cmdline);
        }
        let has_vsock = spec.components.values().any(|c| matches!(c, Component::Vsock(_)));
        if !has_vsock && self.initrd_is_used(&spec) {
            add_agent_socket(&mut spec, folder)?;
        }
        Ok(spec)
    }

    /// The configuration file's document, or one with nothing but the kernel.
    fn base(&self) -> anyhow::Result<VmSpec> {
        let mut spec = match (&self.config, &self.kernel) {
            (Some(path), _) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("failed to read {}", path.display()))?;
                serde_json::from_str(&text)
                    .with_context(|| format!("{} does not describe a machine", path.display()))?
            }
            (None, Some(kernel)) => VmSpec::new(BootSpec {
                kernel: kernel.clone(),
                initrd: None,
                cmdline: String::new(),
            }),
            (None, None) => bail!("--kernel or --config is needed"),
        };
        if let Some(kernel) = &self.kernel {
            spec.boot.kernel.clone_from(kernel);
        }
        if self.initrd.is_some() {
            spec.boot.initrd.clone_from(&self.initrd);
        }
        for path in [Some(&mut spec.boot.kernel), spec.boot.initrd.as_mut()].into_iter().flatten() {
            // The monitor may run elsewhere, and the message is better here.
            *path = path
                .canonicalize()
                .with_context(|| format!("failed to find {}", path.display()))?;
        }
        Ok(spec)
    }

    fn initrd_is_used(&self, spec: &VmSpec) -> bool {
        spec.boot.initrd.is_some()
    }

    fn add_devices(&self, spec: &mut VmSpec) -> anyhow::Result<()> {
        for (number, text) in self.disk.iter().enumerate() {
            components::add_disk(spec, number, text)?;
        }
        for (number, text) in self.net.iter().enumerate() {
            components::add_net(spec, number, text)?;
        }
        if let Some(text) = &self.vsock {
            components::add_vsock(spec, text)?;
        }
        if let Some(text) = &self.balloon {
            components::add_balloon(spec, text)?;
        }
        Ok(())
    }
}

/// The first serial port: on this process's socket, or kept for `bulkhead vm console`.
fn add_console(spec: &mut VmSpec, detached: bool) -> anyhow::Result<()> {
    let stream = if detached { StreamSpec::Ring { size: 256 << 10 } } else { StreamSpec::Stdio {} };
    let (device, backend) = (ComponentId::from_str("com1")?, ComponentId::from_str("console")?);
    let serial = SerialSpec { backend: backend.clone(), rate_limiter: None };
    spec.components.insert(device, Component::Serial(serial));
    spec.components.insert(backend, Component::Stream(stream));
    Ok(())
}

/// The device over which the agent is reached, in the machine's folder.
fn add_agent_socket(spec: &mut VmSpec, folder: &MachineFolder) -> anyhow::Result<()> {
    let (device, backend) = (ComponentId::from_str("vsock")?, ComponentId::from_str("agent")?);
    let unix = VsockUnixSpec { path: folder.vsock_socket() };
    let vsock = VsockSpec { backend: backend.clone(), slot: None, cid: 3 };
    spec.components.insert(device, Component::Vsock(vsock));
    spec.components.insert(backend, Component::VsockUnix(unix));
    Ok(())
}

fn compose_cmdline(spec: &mut VmSpec, user: Option<&str>, command: bool) {
    // A byte on the serial port is dear; a command's user asked for its output only.
    let quiet = if command { " quiet" } else { "" };
    spec.boot.cmdline = format!("console=ttyS0{quiet} {QUIET_PROBING}");
    if let Some(user) = user {
        spec.boot.cmdline.push(' ');
        spec.boot.cmdline.push_str(user);
    }
}
