//! The collected objects as one document, and the other way round.

mod native;

use std::collections::{BTreeMap, HashMap};

use vm_spec::{
    BalloonSpec, BoardSpec, BootSpec, CacheMode, Component, ComponentId, CpuSpec, DiskEngine,
    DiskFileSpec, DiskFormat, DiskSpec, EntropySpec, MemoryBacking, MemorySpec, Mib, MmdsSpec,
    NetSpec, RateLimiter, SerialSpec, Slot, TapSpec, VmGenIdSpec, VmSpec, VsockSpec, VsockUnixSpec,
};

use super::objects::{DEFAULT_MMDS_ADDRESS, Objects};
use crate::vm::VmFault;
use crate::vm::wire::{self, CacheType, Drive, HugePages, IoEngine, NetworkInterface};
pub(super) use native::{apply, full_config, machine_config, open_all};

/// A document, and what the objects that it was made of are called in it.
pub(super) struct Built {
    pub(super) spec: VmSpec,
    /// Components by drive id.
    pub(super) drives: HashMap<String, ComponentId>,
    /// Components by interface id.
    pub(super) interfaces: HashMap<String, ComponentId>,
}

impl Objects {
    /// The machine that the objects describe.
    pub(super) fn spec(&self, board: BoardSpec) -> Result<Built, VmFault> {
        let boot = self.boot.as_ref().ok_or_else(|| {
            VmFault::Start("Cannot start microvm without kernel configuration.".into())
        })?;
        let mut spec = VmSpec::new(BootSpec {
            kernel: (&boot.kernel_image_path).into(),
            initrd: boot.initrd_path.as_ref().map(Into::into),
            cmdline: Self::cmdline(boot).to_owned(),
        });
        spec.board = board;
        spec.cpu = CpuSpec {
            count: self.machine.vcpu_count,
            threads_per_core: if self.machine.smt { 2 } else { 1 },
            template: self.cpu_template()?,
        };
        spec.memory = MemorySpec {
            size: Mib(self.machine.mem_size_mib),
            backing: match self.machine.huge_pages {
                HugePages::None => MemoryBacking::Anonymous,
                HugePages::Transparent => MemoryBacking::TransparentHuge,
                HugePages::Hugetlbfs2M => MemoryBacking::Hugetlb2M,
            },
            dirty_tracking: self.machine.track_dirty_pages,
            prefault: false,
        };
        let mut builder = Builder::default();
        self.add_devices(&mut builder)?;
        spec.components = builder.components;
        Ok(Built { spec, drives: builder.drives, interfaces: builder.interfaces })
    }

    /// Adds the components in the order in which the guest finds its devices.
    fn add_devices(&self, builder: &mut Builder) -> Result<(), VmFault> {
        if let Some(balloon) = self.balloon {
            let slot = builder.slot()?;
            let component = Component::Balloon(BalloonSpec {
                slot,
                target: Mib(u64::from(balloon.amount_mib)),
                deflate_on_oom: balloon.deflate_on_oom,
                stats_interval_s: balloon.stats_polling_interval_s,
                free_page_hinting: balloon.free_page_hinting,
                free_page_reporting: balloon.free_page_reporting,
            });
            builder.single("balloon", component)?;
        }
        for drive in &self.drives {
            builder.drive(drive)?;
        }
        for interface in &self.interfaces {
            builder.interface(interface)?;
        }
        if let Some(vsock) = &self.vsock {
            let path = (&vsock.uds_path).into();
            let backend =
                builder.single("vsock-unix", Component::VsockUnix(VsockUnixSpec { path }))?;
            let slot = builder.slot()?;
            let spec = VsockSpec { backend, slot, cid: vsock.guest_cid };
            builder.single("vsock", Component::Vsock(spec))?;
        }
        if let Some(entropy) = self.entropy {
            let slot = builder.slot()?;
            let spec = EntropySpec { slot, rate_limiter: limiter(entropy.rate_limiter) };
            builder.single("entropy", Component::Entropy(spec))?;
        }
        self.add_board_devices(builder)
    }

    fn add_board_devices(&self, builder: &mut Builder) -> Result<(), VmFault> {
        let backend = builder.single("serial-stream", Component::Stream(self.serial_stream()))?;
        let rate_limiter = self.serial.rate_limiter.map(Into::into);
        builder.single("serial", Component::Serial(SerialSpec { backend, rate_limiter }))?;
        builder.single("vmgenid", Component::VmGenId(VmGenIdSpec {}))?;
        if let Some(config) = &self.mmds {
            let devices = config
                .network_interfaces
                .iter()
                .filter_map(|id| builder.interfaces.get(id).cloned())
                .collect();
            let spec = MmdsSpec {
                version: config.version,
                address: config.ipv4_address.unwrap_or(DEFAULT_MMDS_ADDRESS),
                devices,
                imds_compat: config.imds_compat,
            };
            builder.single("mmds", Component::Mmds(spec))?;
        }
        Ok(())
    }
}

/// The components made so far.
#[derive(Default)]
struct Builder {
    components: BTreeMap<ComponentId, Component>,
    drives: HashMap<String, ComponentId>,
    interfaces: HashMap<String, ComponentId>,
    slots_taken: usize,
}

impl Builder {
    fn drive(&mut self, drive: &Drive) -> Result<(), VmFault> {
        let file = Component::DiskFile(DiskFileSpec {
            path: drive.path_on_host.clone().unwrap_or_default().into(),
            format: DiskFormat::Raw,
            engine: match drive.io_engine.unwrap_or(IoEngine::Sync) {
                IoEngine::Sync => DiskEngine::Sync,
                IoEngine::Async => DiskEngine::Async,
            },
        });
        let backend = self.add(&drive.drive_id, "-file", file)?;
        let disk = Component::Disk(DiskSpec {
            slot: self.slot()?,
            root: drive.is_root_device,
            partuuid: drive.partuuid.clone().filter(|_| drive.is_root_device),
            read_only: drive.is_read_only.unwrap_or(false),
            cache: match drive.cache_type {
                CacheType::Unsafe => CacheMode::Unsafe,
                CacheType::Writeback => CacheMode::Writeback,
            },
            rate_limiter: limiter(drive.rate_limiter),
            ..DiskSpec::new(backend)
        });
        let id = self.add(&drive.drive_id, "-drive", disk)?;
        self.drives.insert(drive.drive_id.clone(), id);
        Ok(())
    }

    fn interface(&mut self, interface: &NetworkInterface) -> Result<(), VmFault> {
        let name = interface.host_dev_name.clone();
        let tap = Component::Tap(TapSpec { name });
        let backend = self.add(&interface.iface_id, "-tap", tap)?;
        let net = Component::Net(NetSpec {
            slot: self.slot()?,
            mac: interface.guest_mac,
            mtu: interface.mtu,
            rx_rate_limiter: limiter(interface.rx_rate_limiter),
            tx_rate_limiter: limiter(interface.tx_rate_limiter),
            ..NetSpec::new(backend)
        });
        let id = self.add(&interface.iface_id, "-net", net)?;
        self.interfaces.insert(interface.iface_id.clone(), id);
        Ok(())
    }

    /// Adds a component of which there is one.
    fn single(&mut self, name: &str, component: Component) -> Result<ComponentId, VmFault> {
        self.add(name, "-device", component)
    }

    /// Adds a component called after an object: devices have the object's id as long as no other
    /// has it, backends always have a suffix. No object's id has a `-`, so that is free.
    fn add(
        &mut self,
        object: &str,
        suffix: &str,
        component: Component,
    ) -> Result<ComponentId, VmFault> {
        let invalid = |error: vm_spec::IdError| VmFault::Start(error.to_string());
        let mut id: ComponentId = object.parse().map_err(invalid)?;
        let is_backend = matches!(component, Component::DiskFile(_) | Component::Tap(_));
        if is_backend || self.components.contains_key(&id) {
            id = format!("{object}{suffix}").parse().map_err(invalid)?;
        }
        self.components.insert(id.clone(), component);
        Ok(id)
    }

    /// The next free slot.
    fn slot(&mut self) -> Result<Option<Slot>, VmFault> {
        let slot = Slot::all()
            .nth(self.slots_taken)
            .ok_or_else(|| VmFault::Start(format!("more than {} devices", vm_spec::MAX_SLOT)))?;
        self.slots_taken += 1;
        Ok(Some(slot))
    }
}

fn limiter(wire: Option<wire::RateLimiter>) -> RateLimiter {
    wire.and_then(wire::RateLimiter::normal).map(Into::into).unwrap_or_default()
}
