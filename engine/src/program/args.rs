//! The command line.

use std::path::PathBuf;

use anyhow::bail;
use clap::Parser;
use engine::paths::Overrides;
use engine::sandbox::GuestOverrides;
use log::LevelFilter;

const HELP: &str = "\
Without options the state is in $XDG_DATA_HOME/bulkhead and the socket in $XDG_RUNTIME_DIR/bulkhead;
as root in /var/lib/bulkhead and /run/bulkhead. A socket that systemd passes is used instead of one
of its own. SIGTERM ends the engine and leaves containers running: the next engine finds them.";

/// Containers in virtual machines, behind the API of the Docker Engine.
#[derive(Parser, Debug)]
#[command(name = "bulkhead-engine", version, after_help = HELP, max_term_width = 100)]
pub(crate) struct Args {
    /// Folder of images, containers and volumes
    #[arg(long, value_name = "DIR", env = "BULKHEAD_ROOT")]
    root: Option<PathBuf>,
    /// Folder of sockets and running machines
    #[arg(long, value_name = "DIR", env = "BULKHEAD_RUNTIME")]
    runtime: Option<PathBuf>,
    /// Socket of the API: a path, or unix:// and a path
    #[arg(short = 'H', long = "host", visible_alias = "socket", value_name = "SOCKET")]
    socket: Option<String>,
    /// Group whose members may use the socket; as root only
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// Kernel of the machines
    #[arg(long, value_name = "FILE", env = "BULKHEAD_KERNEL")]
    kernel: Option<PathBuf>,
    /// Initial RAM disk of the machines, with the agent
    #[arg(long, value_name = "FILE", env = "BULKHEAD_INITRD")]
    initrd: Option<PathBuf>,
    /// Added to the kernel's command line
    #[arg(long, value_name = "ARGS", env = "BULKHEAD_KERNEL_ARGS")]
    kernel_args: Option<String>,
    /// Offer PCI's configuration ports too: for kernels without CONFIG_PCI_MMCONFIG. Slower starts
    #[arg(long, env = "BULKHEAD_CONFIG_PORTS")]
    config_ports: bool,
    /// Do without transparent huge pages for the machines' memory. Smaller, and slower starts
    #[arg(long, env = "BULKHEAD_SMALL_PAGES")]
    small_pages: bool,
    /// The monitor's program (default: bulkhead-vmm beside this one, or on the PATH)
    #[arg(long, value_name = "FILE", env = "BULKHEAD_VMM")]
    pub(crate) monitor: Option<PathBuf>,
    /// Seconds that a machine may take until its agent calls
    #[arg(long, value_name = "SECONDS", default_value_t = 60, env = "BULKHEAD_BOOT_TIMEOUT")]
    pub(crate) boot_timeout: u32,
    /// Registry that speaks plain HTTP, as those of this host do; may be repeated
    #[arg(
        long,
        value_name = "HOST[:PORT]",
        value_delimiter = ',',
        env = "BULKHEAD_INSECURE_REGISTRIES"
    )]
    pub(crate) insecure_registry: Vec<String>,
    /// What to log: off, error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL", default_value_t = LevelFilter::Info)]
    pub(crate) log_level: LevelFilter,
}

impl Args {
    /// The folders that were given.
    pub(crate) fn folders(&self) -> anyhow::Result<Overrides> {
        let socket = self.socket.as_deref().map(socket_path).transpose()?;
        Ok(Overrides { state: self.root.clone(), runtime: self.runtime.clone(), socket })
    }

    /// The guest that was given.
    pub(crate) fn guest(&self) -> GuestOverrides {
        GuestOverrides {
            kernel: self.kernel.clone(),
            initrd: self.initrd.clone(),
            kernel_args: self.kernel_args.clone(),
            config_ports: self.config_ports,
            small_pages: self.small_pages,
        }
    }
}

fn socket_path(host: &str) -> anyhow::Result<PathBuf> {
    match host.split_once("://") {
        Some(("unix", path)) => Ok(path.into()),
        Some((scheme, _)) => {
            bail!("--host {host}: {scheme}:// is not offered, only unix sockets are")
        }
        None => Ok(host.into()),
    }
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
    fn registries_may_be_repeated_and_listed() {
        let given = ["bulkhead-engine", "--insecure-registry=a:5000,b", "--insecure-registry", "c"];
        assert_eq!(Args::parse_from(given).insecure_registry, ["a:5000", "b", "c"]);
    }

    #[test]
    fn host_is_a_path_or_a_unix_address_and_nothing_else() {
        assert_eq!(socket_path("/run/x.sock").unwrap(), PathBuf::from("/run/x.sock"));
        assert_eq!(socket_path("unix:///run/x.sock").unwrap(), PathBuf::from("/run/x.sock"));
        let error = socket_path("tcp://0.0.0.0:2375").unwrap_err().to_string();
        assert!(error.contains("tcp:// is not offered"), "{error}");
    }
}
