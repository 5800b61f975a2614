//! The command line: Firecracker's flags, and a few of our own.

use std::path::PathBuf;

use api::vm::wire::LogLevel;
use clap::Parser;

const HELP: &str = "\
The machine is described in one of three ways: by requests on the socket, by --config-file (the
same objects in one JSON file), or by --spec (Bulkhead's own document). With the first two,
devices are on virtio-mmio unless --enable-pci is given, as in Firecracker; a --spec says it
itself and defaults to PCI.

Exit status: how the machine ended. 0 power off, 100 restart, 101 power button, 102 kernel panic,
103 triple fault, 104 KVM internal error, 105 entry refused by KVM, 106 stopped from outside. A
machine that was not described by --spec ends with 0 for restart, power button and stop too, as
in Firecracker. 1: it could not be made. 2: wrong flags. 148: a forbidden system call.";

/// One virtual machine on KVM, with Firecracker's API.
#[derive(Parser, Debug)]
#[command(name = "bulkhead-vmm", version, after_help = HELP, max_term_width = 100)]
pub(crate) struct Args {
    /// Socket of the REST API; fd:N for one that listens already, as descriptor N
    #[arg(long, value_name = "PATH", default_value = "/run/firecracker.socket")]
    pub(crate) api_sock: PathBuf,
    /// Name of the machine
    #[arg(long, default_value = "anonymous-instance", value_parser = check_id)]
    pub(crate) id: String,
    /// Describe and start the machine by the objects of the API in a JSON file
    #[arg(long, value_name = "FILE")]
    pub(crate) config_file: Option<PathBuf>,
    /// Describe and start the machine by a document of Bulkhead's own
    #[arg(long, value_name = "FILE", conflicts_with = "config_file")]
    pub(crate) spec: Option<PathBuf>,
    /// Offer no API
    #[arg(long)]
    pub(crate) no_api: bool,
    /// Put virtio devices on PCI
    #[arg(long)]
    pub(crate) enable_pci: bool,
    /// Log how long the guest took, when it writes 123 to port 0x3f0
    #[arg(long)]
    pub(crate) boot_timer: bool,
    /// Initial content of the metadata service, a JSON file
    #[arg(long, value_name = "FILE")]
    pub(crate) metadata: Option<PathBuf>,
    /// Most bytes of metadata (default: as the API's payload limit)
    #[arg(long, value_name = "BYTES")]
    pub(crate) mmds_size_limit: Option<usize>,
    /// Most bytes of a request's body
    #[arg(long, value_name = "BYTES", default_value_t = 51200)]
    pub(crate) http_api_max_payload_size: usize,
    /// Log to this file or named pipe instead of standard error
    #[arg(long, value_name = "PATH")]
    pub(crate) log_path: Option<String>,
    /// What to log: Off, Error, Warn, Info, Debug, Trace
    #[arg(long, value_parser = parse_level)]
    pub(crate) level: Option<LogLevel>,
    /// Log only what comes from modules that begin so
    #[arg(long, value_name = "PREFIX")]
    pub(crate) module: Option<String>,
    /// Say the level in each line of the log
    #[arg(long)]
    pub(crate) show_level: bool,
    /// Say the source file and line in each line of the log
    #[arg(long)]
    pub(crate) show_log_origin: bool,
    /// Write metrics to this file or named pipe, one JSON object a line
    #[arg(long, value_name = "PATH")]
    pub(crate) metrics_path: Option<String>,
    /// Append each event (started, paused, resumed, exited) to this file, one JSON object a line
    #[arg(long, value_name = "PATH")]
    pub(crate) events_path: Option<String>,
    /// Print what this host's KVM is and does, as JSON, and end
    #[arg(long)]
    pub(crate) probe: bool,
    /// Do not confine system calls (for debugging)
    #[arg(long, conflicts_with = "seccomp_filter")]
    pub(crate) no_seccomp: bool,
    /// Confine system calls by a filter from a file; refused, as those made for Firecracker do not
    /// fit
    #[arg(long, value_name = "FILE")]
    pub(crate) seccomp_filter: Option<PathBuf>,
    /// The user to become when all is open that the machine needs; privileges go in any case
    #[arg(long, value_name = "ID", requires = "gid")]
    pub(crate) uid: Option<u32>,
    /// The group to become then, the only one
    #[arg(long, value_name = "ID", requires = "uid")]
    pub(crate) gid: Option<u32>,
    /// Limit of this process: no-file=COUNT of open descriptors, fsize=BYTES of a file it writes
    #[arg(long = "resource-limit", value_name = "NAME=VALUE", value_parser = parse_limit)]
    pub(crate) resource_limits: Vec<ResourceLimit>,
    /// When the process was started, microseconds of the monotonic clock
    #[arg(long, value_name = "US", hide = true)]
    pub(crate) start_time_us: Option<u64>,
    /// The same in processor time
    #[arg(long, value_name = "US", hide = true)]
    pub(crate) start_time_cpu_us: Option<u64>,
    /// Processor time of the parent until then
    #[arg(long, value_name = "US", hide = true)]
    pub(crate) parent_cpu_time_us: Option<u64>,
    /// Print the version of the data of a snapshot; snapshots are not available yet
    #[arg(long, value_name = "FILE")]
    pub(crate) describe_snapshot: Option<PathBuf>,
    /// End when the process that started this one ends
    #[arg(long)]
    pub(crate) exit_with_parent: bool,
    /// Tell a datagram socket when the guest runs, as systemd's services do (also: NOTIFY_SOCKET)
    #[arg(long, value_name = "PATH", env = "NOTIFY_SOCKET")]
    pub(crate) notify_socket: Option<PathBuf>,
}

fn check_id(id: &str) -> Result<String, String> {
    let valid = id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if valid && (1..=64).contains(&id.len()) {
        Ok(id.to_owned())
    } else {
        Err("1 to 64 letters, digits and dashes are allowed".to_owned())
    }
}

/// A limit of the process, by the names of Firecracker's jailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResourceLimit {
    /// Bytes of a file.
    FileSize(u64),
    /// Descriptors.
    OpenFiles(u64),
}

fn parse_limit(text: &str) -> Result<ResourceLimit, String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    let value = value.parse().map_err(|_| format!("{value} is not a number"))?;
    match name {
        "fsize" => Ok(ResourceLimit::FileSize(value)),
        "no-file" => Ok(ResourceLimit::OpenFiles(value)),
        _ => Err(format!("there is no limit {name}, but fsize and no-file")),
    }
}

fn parse_level(name: &str) -> Result<LogLevel, String> {
    LogLevel::from_name(name).ok_or_else(|| "expected a level such as Info".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn flags_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn limit_is_a_known_name_and_a_number() {
        assert_eq!(parse_limit("fsize=4096"), Ok(ResourceLimit::FileSize(4096)));
        assert_eq!(parse_limit("no-file=64"), Ok(ResourceLimit::OpenFiles(64)));
        assert!(parse_limit("core=1").is_err());
        assert!(parse_limit("no-file=-1").is_err());
        assert!(parse_limit("fsize").is_err());
    }

    #[test]
    fn id_with_a_slash_or_too_long_is_refused() {
        assert!(check_id("a/b").is_err());
        assert!(check_id("").is_err());
        assert!(check_id(&"x".repeat(65)).is_err());
        assert!(check_id("my-vm-1").is_ok());
    }
}
