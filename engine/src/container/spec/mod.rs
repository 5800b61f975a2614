//! What a container is, checked: from Docker's bodies to our own types.
//!
//! Docker's `Config` and `HostConfig` are kept as they came, since `inspect` shows them; what is
//! done follows a [`ContainerSpec`], which is read from them once and is valid. A field that asks
//! for what cannot be had is refused by its name.

mod confinement;
mod health;
mod limits;
mod log;
mod merge;
mod mounts;
mod ports;
mod refused;
mod restart;
pub mod signal;

use std::collections::HashMap;
use std::time::Duration;

use agent_protocol::message::{Confinement, Resources};
use axum::http::StatusCode;
use bollard_stubs::models::{ContainerConfig, HostConfig};

pub use self::confinement::privileged;
pub use self::health::HealthSpec;
pub use self::limits::MachineSize;
pub use self::log::LogSpec;
pub use self::merge::merge;
pub use self::mounts::{MountRequest, MountSource};
pub use self::ports::{ContainerPort, Protocol, Published};
pub(super) use self::refused::{discard, refuse, refuse_endpoint};
pub use self::restart::{BackOff, RestartPolicy};

/// A container that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// Wrong in itself; the sentence is Docker's where it has one.
    #[error("{0}")]
    Invalid(String),
    /// Sound, but not to be had here.
    #[error("{0} cannot be had: each container is in a virtual machine of its own")]
    Unsupported(String),
    /// As before, with what to do instead.
    #[error("{option} cannot be had: {why}")]
    Refused {
        /// Docker's option.
        option: String,
        /// Why not, and what else.
        why: &'static str,
    },
}

impl SpecError {
    /// The status of Docker's API.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Unsupported(_) | Self::Refused { .. } => StatusCode::NOT_IMPLEMENTED,
        }
    }
}

/// A container, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerSpec {
    /// The first process.
    pub process: ProcessSpec,
    /// Host name; its default is the short id.
    pub hostname: String,
    /// Domain name, or empty.
    pub domainname: String,
    /// File systems asked for.
    pub mounts: Vec<MountRequest>,
    /// Containers whose mounts it takes over, each with whether read-only.
    pub volumes_from: Vec<(String, bool)>,
    /// Limits in the guest.
    pub limits: Resources,
    /// The machine around it.
    pub machine: MachineSize,
    /// What its processes may do.
    pub confinement: Confinement,
    /// Paths that read as empty.
    pub masked_paths: Vec<String>,
    /// Paths that cannot be written below.
    pub readonly_paths: Vec<String>,
    /// `name=value`.
    pub sysctls: Vec<String>,
    /// A small init as process 1.
    pub init: bool,
    /// All devices, no masks.
    pub privileged: bool,
    /// A read-only root.
    pub read_only: bool,
    /// Bytes of `/dev/shm`; 0 for the default.
    pub shm_size: u64,
    /// Bytes of the writable disk; 0 for the default.
    pub disk_size: u64,
    /// The signal that asks it to end.
    pub stop_signal: u32,
    /// How long it has to; none for ever.
    pub stop_timeout: Option<Duration>,
    /// When it is started again.
    pub restart: RestartPolicy,
    /// How its health is probed.
    pub health: Option<HealthSpec>,
    /// Where its output is kept.
    pub log: LogSpec,
    /// The network it is on first: a name or id, `none`, `host` or `container:ID`.
    pub network: String,
    /// Ports it publishes.
    pub published: Vec<Published>,
    /// Ports that are exposed.
    pub exposed: Vec<ContainerPort>,
    /// Name servers, search domains and options of its own.
    pub dns: DnsSpec,
    /// `(name, address)` for `/etc/hosts`.
    pub extra_hosts: Vec<(String, String)>,
    /// Gone when it ends.
    pub auto_remove: bool,
}

/// The first process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessSpec {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Working directory; empty for `/`.
    pub cwd: String,
    /// User and group, each by name or number.
    pub user: String,
    /// With a terminal.
    pub tty: bool,
    /// With an input.
    pub open_stdin: bool,
    /// The input ends when the first client that gave some goes.
    pub stdin_once: bool,
}

/// Settings of `/etc/resolv.conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsSpec {
    /// Addresses.
    pub servers: Vec<String>,
    /// Domains.
    pub search: Vec<String>,
    /// Words.
    pub options: Vec<String>,
}

/// Docker's time to end after the signal to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

impl ContainerSpec {
    /// Reads the specification of the container `id`.
    pub fn read(id: &str, config: &ContainerConfig, host: &HostConfig) -> Result<Self, SpecError> {
        refused::namespaces(host)?;
        let limits = limits::read(host)?;
        let cpuset = host.cpuset_cpus.as_deref().unwrap_or_default();
        let unmasked = confinement::unmasked(host);
        let paths = |given: &Option<Vec<String>>, default: &[&str]| match given {
            _ if unmasked => Vec::new(),
            Some(paths) => paths.clone(),
            None => default.iter().map(|path| (*path).to_owned()).collect(),
        };
        Ok(Self {
            process: process(id, config)?,
            hostname: hostname(id, config)?,
            domainname: config.domainname.clone().unwrap_or_default(),
            mounts: mounts::read(config, host)?,
            volumes_from: volumes_from(host)?,
            machine: limits::machine(&limits, cpuset),
            limits,
            confinement: confinement::read(host)?,
            masked_paths: paths(&host.masked_paths, &confinement::MASKED),
            readonly_paths: paths(&host.readonly_paths, &confinement::READ_ONLY),
            sysctls: sysctls(host)?,
            init: host.init.unwrap_or_default(),
            privileged: host.privileged.unwrap_or_default(),
            read_only: host.readonly_rootfs.unwrap_or_default(),
            shm_size: u64::try_from(host.shm_size.unwrap_or_default())
                .map_err(|_| SpecError::Invalid("SHM size can not be less than 0".to_owned()))?,
            disk_size: disk_size(host.storage_opt.as_ref())?,
            stop_signal: stop_signal(config)?,
            stop_timeout: match config.stop_timeout {
                None => Some(STOP_TIMEOUT),
                // A negative one waits for ever.
                Some(seconds) => u64::try_from(seconds).ok().map(Duration::from_secs),
            },
            restart: RestartPolicy::read(host)?,
            health: health::read(config)?,
            log: LogSpec::read(host)?,
            network: network(config, host),
            published: ports::published(config, host)?,
            exposed: ports::exposed(config)?,
            dns: DnsSpec {
                servers: host.dns.clone().unwrap_or_default(),
                search: host.dns_search.clone().unwrap_or_default(),
                options: host.dns_options.clone().unwrap_or_default(),
            },
            extra_hosts: extra_hosts(host)?,
            auto_remove: host.auto_remove.unwrap_or_default(),
        })
    }
}

fn process(id: &str, config: &ContainerConfig) -> Result<ProcessSpec, SpecError> {
    let mut argv = config.entrypoint.clone().unwrap_or_default();
    argv.extend(config.cmd.iter().flatten().cloned());
    let tty = config.tty.unwrap_or_default();
    let env = environment(id, config, tty);
    if argv.iter().chain(&env).any(|text| text.contains('\0')) {
        let text = "invalid argument: a NUL byte in the command or its environment";
        return Err(SpecError::Invalid(text.to_owned()));
    }
    let cwd = config.working_dir.clone().unwrap_or_default();
    if !cwd.is_empty() && !cwd.starts_with('/') {
        return Err(SpecError::Invalid(format!(
            "the working directory '{cwd}' is invalid, it needs to be an absolute path"
        )));
    }
    Ok(ProcessSpec {
        argv,
        env,
        cwd,
        user: config.user.clone().unwrap_or_default(),
        tty,
        open_stdin: config.open_stdin.unwrap_or_default(),
        stdin_once: config.stdin_once.unwrap_or_default(),
    })
}

/// The variables that every container has, then those given; `NAME` alone takes one away.
fn environment(id: &str, config: &ContainerConfig, tty: bool) -> Vec<String> {
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let hostname = config.hostname.clone().filter(|name| !name.is_empty());
    let hostname = hostname.unwrap_or_else(|| super::names::short_id(id).to_owned());
    let mut env = vec![path.to_owned(), format!("HOSTNAME={hostname}")];
    if tty {
        env.push("TERM=xterm".to_owned());
    }
    for entry in config.env.iter().flatten() {
        let name = entry.split_once('=').map_or(entry.as_str(), |(name, _)| name);
        env.retain(|own| own.split_once('=').is_none_or(|(own, _)| own != name));
        if entry.contains('=') {
            env.push(entry.clone());
        }
    }
    env
}

fn hostname(id: &str, config: &ContainerConfig) -> Result<String, SpecError> {
    let given = config.hostname.clone().unwrap_or_default();
    if given.is_empty() {
        return Ok(super::names::short_id(id).to_owned());
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if given.len() <= 63 && given.chars().all(fits) && !given.starts_with('-') {
        return Ok(given);
    }
    Err(SpecError::Invalid(format!("invalid hostname format: {given}")))
}

fn volumes_from(host: &HostConfig) -> Result<Vec<(String, bool)>, SpecError> {
    let mut list = Vec::new();
    for text in host.volumes_from.iter().flatten() {
        let (name, mode) = text.split_once(':').unwrap_or((text, ""));
        match mode {
            "" | "rw" | "z" | "Z" => list.push((name.to_owned(), false)),
            "ro" => list.push((name.to_owned(), true)),
            _ => {
                let text = format!("invalid mode for volumes-from: {mode}");
                return Err(SpecError::Invalid(text));
            }
        }
    }
    Ok(list)
}

fn sysctls(host: &HostConfig) -> Result<Vec<String>, SpecError> {
    let mut list = Vec::new();
    for (name, value) in host.sysctls.iter().flatten() {
        if name.is_empty() || name.contains(['=', '\0']) || name.contains("..") {
            return Err(SpecError::Invalid(format!("invalid sysctl: {name:?}")));
        }
        list.push(format!("{name}={value}"));
    }
    list.sort_unstable();
    Ok(list)
}

/// `--storage-opt size=…`.
fn disk_size(options: Option<&HashMap<String, String>>) -> Result<u64, SpecError> {
    let mut size = 0;
    for (name, value) in options.into_iter().flatten() {
        if name != "size" {
            return Err(SpecError::Invalid(format!("unknown storage option: {name}")));
        }
        size = log::bytes(value)
            .ok_or_else(|| SpecError::Invalid(format!("invalid size: '{value}'")))?;
    }
    Ok(size)
}

fn stop_signal(config: &ContainerConfig) -> Result<u32, SpecError> {
    match config.stop_signal.as_deref() {
        None | Some("") => Ok(signal::TERM),
        Some(name) => signal::parse(name),
    }
}

fn network(config: &ContainerConfig, host: &HostConfig) -> String {
    let mode = host.network_mode.clone().unwrap_or_default();
    if config.network_disabled.unwrap_or_default() {
        "none".to_owned()
    } else if mode.is_empty() || mode == "default" {
        "bridge".to_owned()
    } else {
        mode
    }
}

fn extra_hosts(host: &HostConfig) -> Result<Vec<(String, String)>, SpecError> {
    let mut list = Vec::new();
    for text in host.extra_hosts.iter().flatten() {
        let pair = text.split_once(':').or_else(|| text.split_once('='));
        let Some((name, address)) = pair.filter(|(name, _)| !name.is_empty()) else {
            return Err(SpecError::Invalid(format!("bad format for add-host: \"{text}\"")));
        };
        let bare = address.trim_start_matches('[').trim_end_matches(']');
        if address != "host-gateway" && bare.parse::<std::net::IpAddr>().is_err() {
            let text = format!("invalid IP address in add-host: \"{address}\"");
            return Err(SpecError::Invalid(text));
        }
        list.push((name.to_owned(), bare.to_owned()));
    }
    Ok(list)
}

#[cfg(test)]
mod tests;
