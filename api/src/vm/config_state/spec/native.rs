//! A machine that was configured as a whole, as clients of the single objects see it.

use std::path::Path;

use vm_spec::{
    CacheMode, Component, DeviceKind, DiskBackend, DiskEngine, FsBackend, Machine, MemoryBacking,
    NetBackend, VmSpec, VsockBackend,
};

use super::super::host::Host;
use super::super::operation::{DeviceChange, changed_limiter};
use crate::vm::VmFault;
use crate::vm::wire::{
    Balloon, BootSource, CacheType, Drive, EntropyDevice, FullVmConfiguration, HugePages, IoEngine,
    MachineConfiguration, MmdsConfig, NetworkInterface, RateLimiter, Vsock,
};

/// Checks a document and opens everything that it names.
pub(in crate::vm::config_state) fn open_all(
    spec: &VmSpec,
    host: &mut dyn Host,
) -> Result<(), VmFault> {
    let machine =
        Machine::try_from(spec.clone()).map_err(|error| VmFault::Spec(error.to_string()))?;
    let cannot = |field: String| {
        move |error: std::io::Error| VmFault::Spec(format!("{field}: cannot open: {error}"))
    };
    let boot = machine.boot();
    host.open_kernel(&boot.kernel).map_err(cannot("boot.kernel".into()))?;
    host.open_initrd(boot.initrd.as_deref()).map_err(cannot("boot.initrd".into()))?;
    for device in machine.devices() {
        let cannot = cannot(format!("components.{}", device.id));
        match &device.kind {
            DeviceKind::Disk(disk) => {
                let mut paths = disk.backend.paths();
                let read_only = disk.spec.read_only;
                paths.try_for_each(|path| host.open_drive(path, read_only)).map_err(cannot)?;
            }
            DeviceKind::Fs(fs) => {
                let FsBackend::HostFolder(folder) = &fs.backend;
                host.open_share(folder).map_err(cannot)?;
            }
            DeviceKind::Net(net) => match &net.backend {
                NetBackend::Tap(tap) => {
                    host.open_tap(&tap.name, net.spec.queue_pairs).map_err(cannot)?;
                }
                NetBackend::SwitchPort(port) => host.open_switch_port(port).map_err(cannot)?,
                // It is open already.
                NetBackend::TapFd(_) => {}
            },
            DeviceKind::Vsock(vsock) => {
                let VsockBackend::Unix(unix) = &vsock.backend;
                host.bind_vsock(&unix.path).map_err(cannot)?;
            }
            DeviceKind::Console(console) => {
                console.streams().try_for_each(|s| host.open_stream(s)).map_err(cannot)?;
            }
            DeviceKind::Entropy(_) | DeviceKind::Balloon(_) => {}
        }
    }
    if let Some(serial) = machine.serial() {
        let cannot = cannot(format!("components.{}", serial.id));
        host.open_stream(&serial.stream).map_err(cannot)?;
    }
    Ok(())
}

/// Records a change to a device that runs.
pub(in crate::vm::config_state) fn apply(spec: &mut VmSpec, change: DeviceChange) {
    match change {
        DeviceChange::Disk { id, path, rate_limiter } => {
            let Some(Component::Disk(disk)) = by_text(spec, &id) else { return };
            disk.rate_limiter = changed_limiter(disk.rate_limiter, rate_limiter);
            let backend = disk.backend.clone();
            if let (Some(path), Some(Component::DiskFile(file))) =
                (path, spec.components.get_mut(&backend))
            {
                file.path = path;
            }
        }
        DeviceChange::Net { id, rx, tx } => {
            let Some(Component::Net(net)) = by_text(spec, &id) else { return };
            net.rx_rate_limiter = changed_limiter(net.rx_rate_limiter, rx);
            net.tx_rate_limiter = changed_limiter(net.tx_rate_limiter, tx);
        }
        DeviceChange::BalloonTarget(target) => {
            for component in spec.components.values_mut() {
                if let Component::Balloon(balloon) = component {
                    balloon.target = target;
                }
            }
        }
        DeviceChange::BalloonStatsInterval(seconds) => {
            for component in spec.components.values_mut() {
                if let Component::Balloon(balloon) = component {
                    balloon.stats_interval_s = seconds;
                }
            }
        }
    }
}

fn by_text<'a>(spec: &'a mut VmSpec, id: &str) -> Option<&'a mut Component> {
    spec.components.get_mut(&id.parse().ok()?)
}

/// Processors and memory of a document.
pub(in crate::vm::config_state) fn machine_config(spec: &VmSpec) -> MachineConfiguration {
    MachineConfiguration {
        vcpu_count: spec.cpu.count,
        mem_size_mib: spec.memory.size.0,
        smt: spec.cpu.threads_per_core > 1,
        cpu_template: None,
        track_dirty_pages: spec.memory.dirty_tracking,
        huge_pages: match spec.memory.backing {
            MemoryBacking::Anonymous | MemoryBacking::Memfd => HugePages::None,
            MemoryBacking::TransparentHuge => HugePages::Transparent,
            MemoryBacking::Hugetlb2M => HugePages::Hugetlbfs2M,
        },
    }
}

/// What of a document the API's objects can say.
pub(in crate::vm::config_state) fn full_config(spec: &VmSpec) -> FullVmConfiguration {
    let mut config = FullVmConfiguration {
        boot_source: BootSource {
            kernel_image_path: text(&spec.boot.kernel),
            initrd_path: spec.boot.initrd.as_deref().map(text),
            boot_args: Some(spec.boot.cmdline.clone()),
        },
        machine_config: Some(machine_config(spec)),
        ..FullVmConfiguration::default()
    };
    // What was put is a machine: it was checked then.
    let Ok(machine) = Machine::try_from(spec.clone()) else { return config };
    for device in machine.devices() {
        add_device(&mut config, device.id.as_str(), &device.kind);
    }
    config.drives.sort_by_key(|drive| !drive.is_root_device);
    config.mmds_config = machine.mmds().map(|mmds| MmdsConfig {
        version: mmds.version,
        network_interfaces: mmds.devices.iter().map(ToString::to_string).collect(),
        ipv4_address: Some(mmds.address),
        imds_compat: mmds.imds_compat,
    });
    config
}

fn add_device(config: &mut FullVmConfiguration, id: &str, kind: &DeviceKind) {
    match kind {
        DeviceKind::Disk(disk) => {
            let (path, engine) = match &disk.backend {
                DiskBackend::File(file) => (Some(text(&file.path)), file.engine),
                // The API's object has no place for several.
                DiskBackend::Composite(_) => (None, DiskEngine::Sync),
            };
            config.drives.push(Drive {
                drive_id: id.into(),
                partuuid: disk.spec.partuuid.clone(),
                is_root_device: disk.spec.root,
                cache_type: match disk.spec.cache {
                    CacheMode::Unsafe => CacheType::Unsafe,
                    CacheMode::Writeback => CacheType::Writeback,
                },
                is_read_only: Some(disk.spec.read_only),
                path_on_host: path,
                rate_limiter: RateLimiter::from(disk.spec.rate_limiter).normal(),
                io_engine: Some(match engine {
                    DiskEngine::Sync => IoEngine::Sync,
                    DiskEngine::Async => IoEngine::Async,
                }),
                socket: None,
            });
        }
        DeviceKind::Net(net) => config.network_interfaces.push(NetworkInterface {
            iface_id: id.into(),
            host_dev_name: match &net.backend {
                NetBackend::Tap(tap) => tap.name.clone(),
                NetBackend::TapFd(tap) => format!("fd:{}", tap.fd),
                NetBackend::SwitchPort(port) => port.port.clone(),
            },
            guest_mac: net.spec.mac,
            mtu: net.spec.mtu,
            rx_rate_limiter: RateLimiter::from(net.spec.rx_rate_limiter).normal(),
            tx_rate_limiter: RateLimiter::from(net.spec.tx_rate_limiter).normal(),
        }),
        DeviceKind::Vsock(vsock) => {
            let VsockBackend::Unix(unix) = &vsock.backend;
            config.vsock = Some(Vsock {
                vsock_id: None,
                guest_cid: vsock.spec.cid,
                uds_path: text(&unix.path),
            });
        }
        DeviceKind::Entropy(entropy) => {
            let rate_limiter = RateLimiter::from(entropy.rate_limiter).normal();
            config.entropy = Some(EntropyDevice { rate_limiter });
        }
        DeviceKind::Balloon(balloon) => {
            config.balloon = Some(Balloon {
                amount_mib: u32::try_from(balloon.target.0).unwrap_or(u32::MAX),
                deflate_on_oom: balloon.deflate_on_oom,
                stats_polling_interval_s: balloon.stats_interval_s,
                free_page_hinting: balloon.free_page_hinting,
                free_page_reporting: balloon.free_page_reporting,
            });
        }
        // The API has no objects for these.
        DeviceKind::Console(_) | DeviceKind::Fs(_) => {}
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
