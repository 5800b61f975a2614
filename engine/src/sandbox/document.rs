//! The document that a monitor makes a sandbox of.

use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr;

use launch::Folder;
use vm_spec::{
    BalloonSpec, CacheMode, Component, ComponentId, DiskCompositeSpec, DiskFileSpec, DiskSpec,
    EntropySpec, FsSpec, HostFolderSpec, IdError, MemoryBacking, NetSpec, SerialSpec, SpecError,
    SwitchPortSpec, TapSpec, TokenBucket, VmSpec, VsockSpec, VsockUnixSpec,
};

use super::console;
use super::guest::{Guest, GuestOverrides};
use super::spec::{Cable, Card, Disk, DiskContent, SandboxSpec, Share};

/// The guest's context id; each machine has a vsock of its own.
const GUEST_CID: u32 = 3;

/// What the console may say at once, and again within [`CONSOLE_REFILL_MS`], in bytes.
const CONSOLE_BYTES: u64 = 256 << 10;

/// A day.
const CONSOLE_REFILL_MS: u64 = 24 * 60 * 60 * 1000;

/// No machine can be made of a sandbox's specification.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// A component has no name.
    #[error("Failed to name a component")]
    Id(#[from] IdError),
    /// Components do not fit together, or there are too many.
    #[error("Failed to put the machine together")]
    Spec(#[from] SpecError),
}

/// What of a machine is made for a quick start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quick {
    huge_pages: bool,
    ecam_only: bool,
}

impl Quick {
    /// As quick as this host's kernel and the guest's allow. A guest that boots touches its memory
    /// everywhere, and each fault of a small page costs an exit; what it does not use after that it
    /// gives back through its balloon.
    pub(super) fn find(guest: &GuestOverrides) -> Self {
        let has_huge_pages = Path::new("/sys/kernel/mm/transparent_hugepage/enabled").exists();
        Self { huge_pages: has_huge_pages && !guest.small_pages, ecam_only: !guest.config_ports }
    }
}

/// The machine of a sandbox in this folder.
pub(super) fn compose(
    spec: &SandboxSpec,
    guest: &Guest,
    folder: &Folder,
    quick: Quick,
) -> Result<VmSpec, DocumentError> {
    let mut document = VmSpec::new(guest.boot());
    document.cpu.count = spec.cpus;
    document.memory.size = spec.memory;
    if quick.huge_pages {
        document.memory.backing = MemoryBacking::TransparentHuge;
    }
    document.board.ecam_only = quick.ecam_only;
    let mut add = |id: &str, component| {
        document.components.insert(ComponentId::from_str(id)?, component);
        Ok::<_, DocumentError>(())
    };
    for (number, disk) in spec.disks.iter().enumerate() {
        let (id, backend) = (format!("disk{number}"), format!("disk{number}-data"));
        add(&id, self::disk(disk, ComponentId::from_str(&backend)?))?;
        add(&backend, data(disk))?;
    }
    for (number, share) in spec.shares.iter().enumerate() {
        let (id, backend) = (format!("share{number}"), format!("share{number}-folder"));
        let device = FsSpec::new(ComponentId::from_str(&backend)?, share.tag.as_str());
        add(&id, Component::Fs(device))?;
        add(&backend, folder_of(share))?;
    }
    for (number, card) in spec.cards.iter().enumerate() {
        let (id, backend) = (format!("card{number}"), format!("card{number}-port"));
        let device =
            NetSpec { mac: Some(card.mac), ..NetSpec::new(ComponentId::from_str(&backend)?) };
        add(&id, Component::Net(device))?;
        add(&backend, cable(card))?;
    }
    let backend = ComponentId::from_str("agent")?;
    add("vsock", Component::Vsock(VsockSpec { backend, slot: None, cid: GUEST_CID }))?;
    add("agent", Component::VsockUnix(VsockUnixSpec { path: folder.vsock_socket() }))?;
    add("com1", console_device(ComponentId::from_str("console")?))?;
    add("console", Component::Stream(console::stream(folder)))?;
    add("rng", Component::Entropy(EntropySpec::default()))?;
    let balloon = BalloonSpec {
        deflate_on_oom: true,
        // What the guest frees goes back to the host by itself.
        free_page_reporting: true,
        ..BalloonSpec::default()
    };
    add("balloon", Component::Balloon(balloon))?;
    // Found here, an error is not a line of the monitor's log.
    vm_spec::Machine::try_from(document.clone())?;
    Ok(document)
}

/// A network card in a machine's document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardEnd {
    /// Its id.
    pub id: String,
    /// Whether it is a tap, and else a port of the switch.
    pub is_tap: bool,
}

/// The network cards in a machine's document, in order.
pub(super) fn cards(file: &Path) -> io::Result<Vec<CardEnd>> {
    let document: VmSpec = serde_json::from_slice(&fs::read(file)?)?;
    let components = &document.components;
    let cards = components.iter().filter_map(|(id, component)| {
        let Component::Net(card) = component else { return None };
        let is_tap = matches!(components.get(&card.backend), Some(Component::Tap(_)));
        Some(CardEnd { id: id.to_string(), is_tap })
    });
    Ok(cards.collect())
}

fn disk(disk: &Disk, backend: ComponentId) -> Component {
    let writable = matches!(disk.content, DiskContent::Writable(_));
    Component::Disk(DiskSpec {
        read_only: !writable,
        serial: Some(disk.serial.clone()),
        cache: if writable { CacheMode::Writeback } else { CacheMode::Unsafe },
        // What the guest deletes is a hole in the host's file.
        discard: writable,
        ..DiskSpec::new(backend)
    })
}

fn data(disk: &Disk) -> Component {
    match &disk.content {
        DiskContent::Layers(parts) => {
            Component::DiskComposite(DiskCompositeSpec { parts: parts.clone() })
        }
        DiskContent::Writable(path) => Component::DiskFile(DiskFileSpec {
            path: path.clone(),
            format: vm_spec::DiskFormat::Raw,
            engine: vm_spec::DiskEngine::Sync,
        }),
    }
}

fn folder_of(share: &Share) -> Component {
    Component::HostFolder(HostFolderSpec {
        path: share.path.clone(),
        read_only: share.read_only,
        cache: vm_spec::FsCache::Auto,
    })
}

fn cable(card: &Card) -> Component {
    match &card.cable {
        Cable::Switch { socket, port } => {
            Component::SwitchPort(SwitchPortSpec { socket: socket.clone(), port: port.clone() })
        }
        Cable::Tap(name) => Component::Tap(TapSpec { name: name.clone() }),
    }
}

fn console_device(backend: ComponentId) -> Component {
    Component::Serial(SerialSpec { backend, rate_limiter: Some(console_limit()) })
}

/// What a console may say: a kernel that repeats itself must not fill the host's disk.
#[must_use]
pub fn console_limit() -> TokenBucket {
    TokenBucket { size: CONSOLE_BYTES, refill_time_ms: CONSOLE_REFILL_MS, one_time_burst: None }
}

#[cfg(test)]
mod tests {
    use vm_spec::Mib;

    use super::*;

    #[test]
    fn machine_is_made_to_boot_with_few_exits() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("image");
        fs::write(&file, "").unwrap();
        let given = Some(file);
        let images =
            GuestOverrides { kernel: given.clone(), initrd: given, ..GuestOverrides::default() };
        let guest = Guest::find(&images).unwrap();
        let spec = SandboxSpec {
            id: "c0".to_owned(),
            cpus: 1,
            memory: Mib(64),
            disks: Vec::new(),
            shares: Vec::new(),
            cards: Vec::new(),
        };
        let folder = Folder::new("c0", folder.path());
        let machine = |quick| compose(&spec, &guest, &folder, quick).unwrap();
        let made = machine(Quick { huge_pages: true, ecam_only: true });
        assert!(made.board.ecam_only);
        assert_eq!(made.memory.backing, MemoryBacking::TransparentHuge);
        let slow = GuestOverrides { config_ports: true, small_pages: true, ..images };
        let made = machine(Quick::find(&slow));
        assert!(!made.board.ecam_only);
        assert_eq!(made.memory.backing, MemoryBacking::Anonymous);
    }
}
