//! From method, path and body to a request.

mod body;
#[cfg(test)]
mod tests;

use std::str::Split;

use thiserror::Error;
use vm_spec::ComponentId;

use super::VmRequest;
use super::wire::{
    Action, BalloonStartCmd, BulkheadAction, BulkheadActionType, Drive, MachineConfiguration,
    MachineConfigurationUpdate, MmdsConfig, NetworkInterface, PartialDrive,
    PartialNetworkInterface, PartialPmem, Pmem, SnapshotLoadParams, Vm, VmState, Vsock,
};
use body::parse;
pub(crate) use body::parse_json;

/// Longest id of a drive, network interface or pmem device, in characters.
const MAX_ID: usize = 64;

/// A request that was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Routed {
    /// What is asked for.
    pub target: Target,
    /// Why a client should ask in another way, if it should.
    pub deprecation: Option<&'static str>,
}

/// Who answers a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// The monitor.
    Vm(VmRequest),
    /// The server itself, with the stream of events.
    Events,
}

/// A request that makes no sense. The answer is 400 with the text as `fault_message`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadRequest {
    /// No such path, or not with this method.
    #[error("Invalid request method and/or path: {method} {path}.")]
    MethodOrPath {
        /// The method.
        method: String,
        /// The path or the part of it that is unknown.
        path: String,
    },
    /// The body is not what it should be.
    #[error("An error occurred when deserializing the json body of a request: {0}.")]
    Body(String),
    /// The path ends before the id.
    #[error("The ID cannot be empty.")]
    EmptyId,
    /// The id has other characters.
    #[error("API Resource IDs can only contain alphanumeric characters and underscores.")]
    InvalidId,
    /// The id is too long.
    #[error("API Resource IDs can have at most {MAX_ID} characters.")]
    IdTooLong,
    /// The body has another id than the path.
    #[error("The id from the path [{path}] does not match the id from the body [{body}]!")]
    IdMismatch {
        /// The id in the path.
        path: String,
        /// The id in the body.
        body: String,
    },
    /// A GET request has a body.
    #[error("GET request cannot have a body.")]
    GetWithBody,
    /// A DELETE request has a body.
    #[error("DELETE request cannot have a body.")]
    DeleteWithBody,
    /// A PUT request has no body.
    #[error("Empty PUT request.")]
    EmptyPut,
    /// A PATCH request has no body, or none that changes anything.
    #[error("Empty PATCH request.")]
    EmptyPatch,
}

/// Finds out what a client wants.
///
/// `path` has no query. A body without a byte is none.
///
/// # Errors
///
/// [`BadRequest`] if there is no such request, or not with this body.
pub fn route(method: &str, path: &str, body: &[u8]) -> Result<Routed, BadRequest> {
    let mut parts = Parts(path.trim_start_matches('/').split('/'));
    let first = parts.next().unwrap_or("");
    let unknown = || BadRequest::MethodOrPath { method: method.into(), path: first.into() };
    let routed = match (method, body) {
        ("GET", []) => get(first, &mut parts).map(Routed::plain),
        ("GET", _) => return Err(BadRequest::GetWithBody),
        ("PUT", []) => return Err(BadRequest::EmptyPut),
        ("PUT", body) => put(first, &mut parts, body)?,
        ("PATCH", body) => patch(first, &mut parts, body)?,
        ("DELETE", []) => delete(first, &mut parts)?.map(Routed::plain),
        ("DELETE", _) => return Err(BadRequest::DeleteWithBody),
        _ => None,
    };
    match routed {
        Some(routed) if parts.next().is_none() => Ok(routed),
        None if matches!((method, body), ("PATCH", [])) => Err(BadRequest::EmptyPatch),
        _ => Err(unknown()),
    }
}

/// The parts of a path. A `/` at the end makes no part.
struct Parts<'a>(Split<'a, char>);

impl<'a> Parts<'a> {
    fn next(&mut self) -> Option<&'a str> {
        self.0.next().filter(|part| !part.is_empty())
    }

    fn id(&mut self) -> Result<&'a str, BadRequest> {
        let id = self.next().ok_or(BadRequest::EmptyId)?;
        if !id.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric()) {
            return Err(BadRequest::InvalidId);
        }
        if id.len() > MAX_ID {
            return Err(BadRequest::IdTooLong);
        }
        Ok(id)
    }
}

/// The id in the body must be the one in the path.
fn same_id(path: &str, body: &str) -> Result<(), BadRequest> {
    if path == body {
        return Ok(());
    }
    Err(BadRequest::IdMismatch { path: path.into(), body: body.into() })
}

impl Routed {
    fn plain(target: Target) -> Self {
        Self { target, deprecation: None }
    }
}

impl From<VmRequest> for Routed {
    fn from(request: VmRequest) -> Self {
        Self::plain(Target::Vm(request))
    }
}

fn get(first: &str, parts: &mut Parts<'_>) -> Option<Target> {
    let request = match (first, parts.next()) {
        ("", None) => VmRequest::GetInstance,
        ("version", None) => VmRequest::GetVersion,
        ("vm", Some("config")) => VmRequest::GetConfig,
        ("machine-config", None) => VmRequest::GetMachineConfig,
        ("mmds", None) => VmRequest::GetMmds,
        ("hotplug", Some("memory")) => VmRequest::GetMemoryHotplug,
        ("balloon", None) => VmRequest::GetBalloon,
        ("balloon", Some("statistics")) => VmRequest::GetBalloonStats,
        ("balloon", Some("hinting")) if parts.next() == Some("status") => {
            VmRequest::GetBalloonHinting
        }
        ("bulkhead", Some("spec")) => VmRequest::GetSpec,
        ("bulkhead", Some("metrics")) => VmRequest::GetMetrics,
        ("bulkhead", Some("console")) => {
            let id = parts.next().map(|id| ComponentId::try_from(id.to_owned())).transpose();
            VmRequest::AttachConsole(id.ok()?)
        }
        ("bulkhead", Some("events")) => return Some(Target::Events),
        _ => return None,
    };
    Some(Target::Vm(request))
}

fn put(first: &str, parts: &mut Parts<'_>, body: &[u8]) -> Result<Option<Routed>, BadRequest> {
    let request = match first {
        "drives" => {
            let id = parts.id()?;
            let drive: Drive = parse(body)?;
            same_id(id, &drive.drive_id)?;
            VmRequest::PutDrive(drive)
        }
        "network-interfaces" => {
            let id = parts.id()?;
            let interface: NetworkInterface = parse(body)?;
            same_id(id, &interface.iface_id)?;
            VmRequest::PutNetworkInterface(interface)
        }
        "pmem" => {
            let id = parts.id()?;
            let pmem: Pmem = parse(body)?;
            same_id(id, &pmem.id)?;
            VmRequest::PutPmem(pmem)
        }
        "machine-config" => {
            let config: MachineConfiguration = parse(body)?;
            let deprecation = config
                .cpu_template
                .map(|_| "PUT /machine-config: cpu_template field is deprecated.");
            let target = Target::Vm(VmRequest::UpdateMachineConfig(config.into()));
            return Ok(Some(Routed { target, deprecation }));
        }
        "vsock" => {
            let vsock: Vsock = parse(body)?;
            let deprecation =
                vsock.vsock_id.is_some().then_some("PUT /vsock: vsock_id field is deprecated.");
            return Ok(Some(Routed {
                target: Target::Vm(VmRequest::PutVsock(vsock)),
                deprecation,
            }));
        }
        "mmds" => return put_mmds(parts.next(), body),
        "snapshot" => return put_snapshot(parts.next(), body),
        "actions" => VmRequest::Action(parse::<Action>(body)?.action_type),
        "boot-source" => VmRequest::PutBootSource(parse(body)?),
        "cpu-config" => VmRequest::PutCpuConfig(parse(body)?),
        "entropy" => VmRequest::PutEntropy(parse(body)?),
        "serial" => VmRequest::PutSerial(parse(body)?),
        "balloon" => VmRequest::PutBalloon(parse(body)?),
        "logger" => VmRequest::PutLogger(parse(body)?),
        "metrics" => VmRequest::PutMetrics(parse(body)?),
        "hotplug" if parts.next() == Some("memory") => VmRequest::PutMemoryHotplug(parse(body)?),
        "bulkhead" => return put_bulkhead(parts.next(), body),
        _ => return Ok(None),
    };
    Ok(Some(request.into()))
}

fn put_mmds(second: Option<&str>, body: &[u8]) -> Result<Option<Routed>, BadRequest> {
    match second {
        None => Ok(Some(VmRequest::PutMmds(parse(body)?).into())),
        Some("config") => {
            let config: MmdsConfig = parse(body)?;
            let deprecation = (config.version == vm_spec::MmdsVersion::V1)
                .then_some("PUT /mmds/config: V1 is deprecated. Use V2 instead.");
            let target = Target::Vm(VmRequest::PutMmdsConfig(config));
            Ok(Some(Routed { target, deprecation }))
        }
        Some(_) => Ok(None),
    }
}

fn put_snapshot(second: Option<&str>, body: &[u8]) -> Result<Option<Routed>, BadRequest> {
    match second {
        Some("create") => Ok(Some(VmRequest::CreateSnapshot(parse(body)?).into())),
        Some("load") => {
            let params: SnapshotLoadParams = parse(body)?;
            match (&params.mem_backend, &params.mem_file_path) {
                (Some(_), Some(_)) => {
                    return Err(BadRequest::Body(
                        "too many fields: either `mem_backend` or `mem_file_path` exclusively is \
                         required"
                            .into(),
                    ));
                }
                (None, None) => {
                    return Err(BadRequest::Body(
                        "missing field: either `mem_backend` or `mem_file_path` is required".into(),
                    ));
                }
                _ => {}
            }
            let deprecation = (params.mem_file_path.is_some() || params.enable_diff_snapshots)
                .then_some(
                    "PUT /snapshot/load: mem_file_path and enable_diff_snapshots fields are \
                     deprecated.",
                );
            let target = Target::Vm(VmRequest::LoadSnapshot(params));
            Ok(Some(Routed { target, deprecation }))
        }
        _ => Ok(None),
    }
}

fn put_bulkhead(second: Option<&str>, body: &[u8]) -> Result<Option<Routed>, BadRequest> {
    let request = match second {
        Some("spec") => VmRequest::PutSpec(parse(body)?),
        Some("actions") => match parse::<BulkheadAction>(body)?.action_type {
            BulkheadActionType::PowerButton => VmRequest::PowerButton,
            BulkheadActionType::Stop => VmRequest::Stop,
        },
        _ => return Ok(None),
    };
    Ok(Some(request.into()))
}

fn patch(first: &str, parts: &mut Parts<'_>, body: &[u8]) -> Result<Option<Routed>, BadRequest> {
    if first == "balloon" {
        return patch_balloon(parts, body).map(|request| request.map(Into::into));
    }
    if body.is_empty() {
        return Err(BadRequest::EmptyPatch);
    }
    let request = match first {
        "drives" => {
            let id = parts.id()?;
            let drive: PartialDrive = parse(body)?;
            same_id(id, &drive.drive_id)?;
            VmRequest::PatchDrive(drive)
        }
        "network-interfaces" => {
            let id = parts.id()?;
            let interface: PartialNetworkInterface = parse(body)?;
            same_id(id, &interface.iface_id)?;
            VmRequest::PatchNetworkInterface(interface)
        }
        "bulkhead" => return patch_bulkhead(parts, body).map(|request| request.map(Into::into)),
        "pmem" => {
            let id = parts.id()?;
            let pmem: PartialPmem = parse(body)?;
            same_id(id, &pmem.id)?;
            VmRequest::PatchPmem(pmem)
        }
        "machine-config" => {
            let update: MachineConfigurationUpdate = parse(body)?;
            if update == MachineConfigurationUpdate::default() {
                return Err(BadRequest::EmptyPatch);
            }
            let deprecation = update
                .cpu_template
                .map(|_| "PATCH /machine-config: cpu_template field is deprecated.");
            let target = Target::Vm(VmRequest::UpdateMachineConfig(update));
            return Ok(Some(Routed { target, deprecation }));
        }
        "vm" => match parse::<Vm>(body)?.state {
            VmState::Paused => VmRequest::Pause,
            VmState::Resumed => VmRequest::Resume,
        },
        "mmds" => VmRequest::PatchMmds(parse(body)?),
        "hotplug" if parts.next() == Some("memory") => VmRequest::PatchMemoryHotplug(parse(body)?),
        _ => return Ok(None),
    };
    Ok(Some(request.into()))
}

fn patch_bulkhead(parts: &mut Parts<'_>, body: &[u8]) -> Result<Option<VmRequest>, BadRequest> {
    if parts.next() != Some("link") {
        return Ok(None);
    }
    let iface_id = parts.next().ok_or(BadRequest::EmptyId)?.to_owned();
    Ok(Some(VmRequest::SetLink { iface_id, link: parse(body)? }))
}

fn patch_balloon(parts: &mut Parts<'_>, body: &[u8]) -> Result<Option<VmRequest>, BadRequest> {
    let request = match (parts.next(), body) {
        (Some("hinting"), body) => match (parts.next(), body) {
            (Some("start"), []) => VmRequest::StartBalloonHinting(BalloonStartCmd::default()),
            (Some("start"), body) => VmRequest::StartBalloonHinting(parse(body)?),
            // Nothing in the body matters.
            (Some("stop"), _) => VmRequest::StopBalloonHinting,
            _ => return Ok(None),
        },
        (_, []) => return Err(BadRequest::EmptyPatch),
        (None, body) => VmRequest::PatchBalloon(parse(body)?),
        (Some("statistics"), body) => VmRequest::PatchBalloonStats(parse(body)?),
        _ => return Ok(None),
    };
    Ok(Some(request))
}

fn delete(first: &str, parts: &mut Parts<'_>) -> Result<Option<Target>, BadRequest> {
    let request: fn(String) -> VmRequest = match first {
        "drives" => VmRequest::DeleteDrive,
        "network-interfaces" => VmRequest::DeleteNetworkInterface,
        "pmem" => VmRequest::DeletePmem,
        _ => return Ok(None),
    };
    Ok(Some(Target::Vm(request(parts.id()?.to_owned()))))
}
