//! Bounds of single values.

use std::collections::HashSet;
use std::path::Path;

use super::SpecError;
use crate::{
    BalloonSpec, BootSpec, ComponentId, ConsolePortSpec, ConsoleSpec, CpuSpec, DiskCompositeSpec,
    DiskSpec, FsSpec, MAX_MEMORY, MAX_VCPUS, MIN_MEMORY, MemoryBacking, MemorySpec, NetSpec,
    StreamSpec, SwitchPortSpec, TapSpec, VsockSpec, VsockUnixSpec,
};

/// Longest name of a network interface: Linux's `IFNAMSIZ` less the NUL.
const MAX_INTERFACE_NAME: usize = 15;
/// Longest name of a port of a switch.
const MAX_SWITCH_PORT_NAME: usize = 200;
/// Partitions of a composite disk: entries of the usual partition table.
const MAX_PARTS: usize = 128;
/// Ports of a console beside the console itself.
const MAX_PORTS: usize = 15;
/// Longest name of a port in bytes.
const MAX_PORT_NAME: usize = 63;
/// Longest tag of a share in bytes (VIRTIO 1.3 §5.11.4).
const MAX_TAG: usize = 36;
/// Fewest descriptors of a share's queue: requests have up to four besides their data.
const MIN_FS_QUEUE: u16 = 16;
/// Longest path of a unix socket: Linux's `sun_path` less the NUL.
const MAX_SOCKET_PATH: usize = 107;

pub(super) fn check_boot(boot: &BootSpec) -> Result<(), SpecError> {
    check_path("boot.kernel", &boot.kernel)?;
    if let Some(initrd) = &boot.initrd {
        check_path("boot.initrd", initrd)?;
    }
    match boot.cmdline.chars().find(|c| !matches!(c, ' '..='~')) {
        None => Ok(()),
        Some(c) => Err(SpecError::value(
            "boot.cmdline",
            format_args!("character {c:?}"),
            "printable ASCII",
        )),
    }
}

pub(super) fn check_cpu(cpu: &CpuSpec) -> Result<(), SpecError> {
    if !(1..=MAX_VCPUS).contains(&cpu.count) {
        return Err(SpecError::value("cpu.count", cpu.count, "1 to 254"));
    }
    if !(1..=2).contains(&cpu.threads_per_core) {
        return Err(SpecError::value("cpu.threads_per_core", cpu.threads_per_core, "1 or 2"));
    }
    if cpu.count > 1 && !cpu.count.is_multiple_of(cpu.threads_per_core) {
        return Err(SpecError::value("cpu.count", cpu.count, "a multiple of cpu.threads_per_core"));
    }
    Ok(())
}

pub(super) fn check_memory(memory: &MemorySpec) -> Result<(), SpecError> {
    if !(MIN_MEMORY..=MAX_MEMORY).contains(&memory.size) {
        return Err(SpecError::value("memory.size", memory.size, "32 MiB to 1048576 MiB"));
    }
    if memory.backing == MemoryBacking::Hugetlb2M && !memory.size.0.is_multiple_of(2) {
        return Err(SpecError::value(
            "memory.size",
            memory.size,
            "an even number with 2 MiB pages",
        ));
    }
    Ok(())
}

pub(super) fn check_disk(id: &ComponentId, disk: &DiskSpec) -> Result<(), SpecError> {
    check_queues(id, "queues", disk.queues, disk.queue_size)?;
    if let Some(serial) = &disk.serial
        && (serial.len() > 20 || !serial.bytes().all(|b| matches!(b, b' '..=b'~')))
    {
        return Err(in_component(id, "serial", quoted(serial), "at most 20 printable ASCII bytes"));
    }
    if let Some(uuid) = &disk.partuuid {
        if !disk.root {
            return Err(in_component(id, "partuuid", quoted(uuid), "none unless root is set"));
        }
        let valid = (1..=36).contains(&uuid.len())
            && uuid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        if !valid {
            return Err(in_component(id, "partuuid", quoted(uuid), "hexadecimal digits and '-'"));
        }
    }
    if ![512, 4096].contains(&disk.block_size) {
        return Err(in_component(id, "block_size", disk.block_size, "512 or 4096"));
    }
    match disk.physical_block_size {
        Some(size) if !size.is_power_of_two() || !(disk.block_size..=65536).contains(&size) => {
            Err(in_component(
                id,
                "physical_block_size",
                size,
                "a power of two from block_size to 65536",
            ))
        }
        _ => Ok(()),
    }
}

pub(super) fn check_fs(id: &ComponentId, fs: &FsSpec) -> Result<(), SpecError> {
    check_queues(id, "queues", fs.queues, fs.queue_size)?;
    if fs.queue_size < MIN_FS_QUEUE {
        let expected = "a power of two from 16 to 1024";
        return Err(in_component(id, "queue_size", fs.queue_size, expected));
    }
    let valid = (1..=MAX_TAG).contains(&fs.tag.len()) && !fs.tag.contains('\0');
    if valid {
        return Ok(());
    }
    Err(in_component(id, "tag", quoted(&fs.tag), "1 to 36 bytes without a NUL"))
}

pub(super) fn check_composite(
    id: &ComponentId,
    composite: &DiskCompositeSpec,
) -> Result<(), SpecError> {
    if !(1..=MAX_PARTS).contains(&composite.parts.len()) {
        return Err(in_component(id, "parts", composite.parts.len(), "1 to 128 paths"));
    }
    let mut parts = composite.parts.iter().enumerate();
    parts.try_for_each(|(n, path)| check_path(&format!("components.{id}.parts[{n}]"), path))
}

pub(super) fn check_net(id: &ComponentId, net: &NetSpec) -> Result<(), SpecError> {
    check_queues(id, "queue_pairs", net.queue_pairs, net.queue_size)?;
    if let Some(mtu) = net.mtu
        && mtu < 68
    {
        return Err(in_component(id, "mtu", mtu, "68 to 65535"));
    }
    match net.mac {
        Some(mac) if !mac.is_unicast() => {
            Err(in_component(id, "mac", mac, "an address of one interface"))
        }
        _ => Ok(()),
    }
}

pub(super) fn check_tap(id: &ComponentId, tap: &TapSpec) -> Result<(), SpecError> {
    let name = &tap.name;
    let valid = (1..=MAX_INTERFACE_NAME).contains(&name.len())
        && !matches!(name.as_str(), "." | "..")
        && name.bytes().all(|b| b.is_ascii_graphic() && b != b'/' && b != b':' && b != b'%');
    if valid {
        return Ok(());
    }
    Err(in_component(id, "name", quoted(name), "an interface name of 1 to 15 bytes"))
}

/// A port of a switch, the backend of `device` with so many queue pairs.
pub(super) fn check_switch_port(
    id: &ComponentId,
    port: &SwitchPortSpec,
    device: &ComponentId,
    queue_pairs: u16,
) -> Result<(), SpecError> {
    check_path(&format!("components.{id}.socket"), &port.socket)?;
    let name = &port.port;
    let printable = name.bytes().all(|b| b.is_ascii_graphic());
    if !(1..=MAX_SWITCH_PORT_NAME).contains(&name.len()) || !printable {
        return Err(in_component(id, "port", quoted(name), "1 to 200 printable ASCII characters"));
    }
    match queue_pairs {
        1 => Ok(()),
        several => Err(in_component(device, "queue_pairs", several, "1 over a port of a switch")),
    }
}

pub(super) fn check_vsock(id: &ComponentId, vsock: &VsockSpec) -> Result<(), SpecError> {
    if (3..u32::MAX).contains(&vsock.cid) {
        return Ok(());
    }
    Err(in_component(id, "cid", vsock.cid, "3 to 4294967294"))
}

pub(super) fn check_vsock_unix(id: &ComponentId, unix: &VsockUnixSpec) -> Result<(), SpecError> {
    check_socket_path(id, &unix.path)
}

pub(super) fn check_stream(id: &ComponentId, stream: &StreamSpec) -> Result<(), SpecError> {
    match stream {
        StreamSpec::Stdio {} | StreamSpec::Pty {} | StreamSpec::Null {} => Ok(()),
        StreamSpec::File { limit: Some(limit @ ..16_384), .. } => {
            Err(in_component(id, "limit", limit, "at least 16384"))
        }
        StreamSpec::File { path, .. } => check_path(&format!("components.{id}.path"), path),
        StreamSpec::Socket { path } => check_socket_path(id, path),
        StreamSpec::Ring { size } if (4096..=1 << 26).contains(size) => Ok(()),
        StreamSpec::Ring { size } => Err(in_component(id, "size", size, "4096 to 67108864")),
    }
}

pub(super) fn check_console(id: &ComponentId, console: &ConsoleSpec) -> Result<(), SpecError> {
    if console.ports.len() > MAX_PORTS {
        return Err(in_component(id, "ports", console.ports.len(), "at most 15 ports"));
    }
    let mut seen = HashSet::new();
    for (n, ConsolePortSpec { name, .. }) in console.ports.iter().enumerate() {
        let field = format!("ports[{n}].name");
        let valid = (1..=MAX_PORT_NAME).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
        if !valid {
            return Err(in_component(id, &field, quoted(name), "1 to 63 bytes of printable ASCII"));
        }
        if !seen.insert(name) {
            return Err(in_component(id, &field, quoted(name), "a name of its own"));
        }
    }
    Ok(())
}

pub(super) fn check_balloon(
    id: &ComponentId,
    balloon: &BalloonSpec,
    memory: &MemorySpec,
) -> Result<(), SpecError> {
    if balloon.target <= memory.size {
        return Ok(());
    }
    Err(in_component(id, "target", balloon.target, "at most memory.size"))
}

pub(super) fn check_path(field: &str, path: &Path) -> Result<(), SpecError> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if !bytes.is_empty() && !bytes.contains(&0) {
        return Ok(());
    }
    Err(SpecError::value(field, quoted(&path.to_string_lossy()), "a path"))
}

fn check_socket_path(id: &ComponentId, path: &Path) -> Result<(), SpecError> {
    check_path(&format!("components.{id}.path"), path)?;
    if path.as_os_str().len() <= MAX_SOCKET_PATH {
        return Ok(());
    }
    Err(in_component(id, "path", path.display(), "at most 107 bytes, as a socket's path"))
}

fn check_queues(
    id: &ComponentId,
    field: &str,
    queues: u16,
    queue_size: u16,
) -> Result<(), SpecError> {
    if !(1..=16).contains(&queues) {
        return Err(in_component(id, field, queues, "1 to 16"));
    }
    if !queue_size.is_power_of_two() || !(2..=1024).contains(&queue_size) {
        return Err(in_component(id, "queue_size", queue_size, "a power of two from 2 to 1024"));
    }
    Ok(())
}

/// At most the first 64 characters of a text, quoted.
fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(64).collect::<String>())
}

fn in_component(
    id: &ComponentId,
    field: &str,
    value: impl std::fmt::Display,
    expected: &'static str,
) -> SpecError {
    SpecError::value(format!("components.{id}.{field}"), value, expected)
}
