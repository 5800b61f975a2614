//! What `run` and `create` take, flag by flag as Docker has them.

use clap::{ArgAction, Args};

use super::rare::RareOptions;

/// How a container is made.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Container")]
pub(crate) struct CreateOptions {
    /// Name of the container (default: one is made up)
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Pod whose machine and networks it uses; it must not run yet
    #[arg(long)]
    pub(crate) pod: Option<String>,
    /// Set an environment variable; without a value, this one's
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// Read environment variables from a file
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Vec<String>,
    /// Working directory
    #[arg(short, long, value_name = "DIR")]
    pub(crate) workdir: Option<String>,
    /// User, by name or number, with :GROUP if wanted
    #[arg(short, long)]
    pub(crate) user: Option<String>,
    /// Further groups
    #[arg(long, value_name = "GROUP")]
    pub(crate) group_add: Vec<String>,
    /// Program to run instead of the image's entry point
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) entrypoint: Option<String>,
    /// Host name
    #[arg(short = 'h', long)]
    pub(crate) hostname: Option<String>,
    /// Domain name
    #[arg(long)]
    pub(crate) domainname: Option<String>,
    /// Give it a terminal
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// Keep its input open
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Streams to attach to: stdin, stdout, stderr
    #[arg(short, long, value_name = "STREAM")]
    pub(crate) attach: Vec<String>,
    /// Remove it when it has ended
    #[arg(long)]
    pub(crate) rm: bool,
    /// Restart it: no, on-failure[:TIMES], always, unless-stopped
    #[arg(long, value_name = "POLICY")]
    pub(crate) restart: Option<String>,
    /// Signal that asks it to end
    #[arg(long, value_name = "SIGNAL")]
    pub(crate) stop_signal: Option<String>,
    /// Seconds after that until it is killed
    #[arg(long, value_name = "SECONDS")]
    pub(crate) stop_timeout: Option<i64>,
    /// Run a small init that forwards signals and reaps processes
    #[arg(long)]
    pub(crate) init: bool,
    /// Label: NAME[=VALUE]
    #[arg(short, long, value_name = "LABEL")]
    pub(crate) label: Vec<String>,
    /// Read labels from a file
    #[arg(long, value_name = "FILE")]
    pub(crate) label_file: Vec<String>,
    /// Where logs go: json-file, local, none
    #[arg(long, value_name = "DRIVER")]
    pub(crate) log_driver: Option<String>,
    /// Option for logs, such as max-size=10m
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) log_opt: Vec<String>,
    /// Write the container's id to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) cidfile: Option<String>,
    /// Platform of the image
    #[arg(long)]
    pub(crate) platform: Option<String>,
    /// Pull the image: always, missing, never
    #[arg(long, value_name = "WHEN", default_value = "missing")]
    pub(crate) pull: Pull,
    #[command(flatten)]
    pub(crate) resources: ResourceOptions,
    #[command(flatten)]
    pub(crate) lasting: LastingLimitOptions,
    #[command(flatten)]
    pub(crate) storage: StorageOptions,
    #[command(flatten)]
    pub(crate) network: NetworkOptions,
    #[command(flatten)]
    pub(crate) health: HealthOptions,
    #[command(flatten)]
    pub(crate) security: SecurityOptions,
    #[command(flatten)]
    pub(crate) rare: RareOptions,
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Pull {
    Always,
    #[default]
    Missing,
    Never,
}

/// Limits.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Limits")]
pub(crate) struct ResourceOptions {
    /// Processors, such as 1.5
    #[arg(long, value_name = "NUMBER")]
    pub(crate) cpus: Option<f64>,
    /// Share of the processors, against others' (1024)
    #[arg(short = 'c', long, value_name = "WEIGHT")]
    pub(crate) cpu_shares: Option<i64>,
    /// Microseconds a period
    #[arg(long, value_name = "US")]
    pub(crate) cpu_quota: Option<i64>,
    /// The period, in microseconds
    #[arg(long, value_name = "US")]
    pub(crate) cpu_period: Option<i64>,
    /// Memory, such as 512m
    #[arg(short, long, value_name = "SIZE")]
    pub(crate) memory: Option<String>,
    /// Memory and swap together; -1 for any amount
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    pub(crate) memory_swap: Option<String>,
    /// Memory that others do not get at
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory_reservation: Option<String>,
    /// Processes and threads; -1 for any number
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub(crate) pids_limit: Option<i64>,
}

/// Limits that stay as they are once the container is made.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LastingLimitOptions {
    /// Processors of this host, such as 0-2,4: the machine gets as many
    #[arg(long, value_name = "LIST")]
    pub(crate) cpuset_cpus: Option<String>,
    /// Size of /dev/shm
    #[arg(long, value_name = "SIZE")]
    pub(crate) shm_size: Option<String>,
    /// Limit of setrlimit(2): NAME=SOFT[:HARD]
    #[arg(long, value_name = "LIMIT")]
    pub(crate) ulimit: Vec<String>,
    /// How readily its processes are killed for want of memory, -1000 to 1000
    #[arg(long, value_name = "SCORE", allow_hyphen_values = true)]
    pub(crate) oom_score_adj: Option<i64>,
}

/// File systems.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Storage")]
pub(crate) struct StorageOptions {
    /// Mount a volume or a folder: [SOURCE:]TARGET[:OPTIONS]
    #[arg(short, long, value_name = "VOLUME")]
    pub(crate) volume: Vec<String>,
    /// Mount something: type=bind|volume|tmpfs,source=…,target=…[,readonly]
    #[arg(long, value_name = "MOUNT")]
    pub(crate) mount: Vec<String>,
    /// Mount a file system in memory: TARGET[:OPTIONS]
    #[arg(long, value_name = "TARGET")]
    pub(crate) tmpfs: Vec<String>,
    /// Mount the volumes of another container
    #[arg(long, value_name = "CONTAINER")]
    pub(crate) volumes_from: Vec<String>,
    /// Mount the root file system read-only
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Option of the root file system, such as size=5g
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) storage_opt: Vec<String>,
}

/// Networks.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkOptions {
    /// Publish a port: [[ADDRESS:]PORT:]CONTAINER-PORT[/PROTOCOL]
    #[arg(short, long, value_name = "PORT")]
    pub(crate) publish: Vec<String>,
    /// Publish all exposed ports, on ports that the engine chooses
    #[arg(short = 'P', long)]
    pub(crate) publish_all: bool,
    /// Say that it serves on a port
    #[arg(long, value_name = "PORT")]
    pub(crate) expose: Vec<String>,
    /// Network to connect to: a name, or none
    #[arg(long, alias = "net", value_name = "NETWORK")]
    pub(crate) network: Vec<String>,
    /// Further name in its network
    #[arg(long, alias = "net-alias", value_name = "NAME")]
    pub(crate) network_alias: Vec<String>,
    /// Container that it finds by its name, or by another: CONTAINER[:NAME]
    #[arg(long, value_name = "CONTAINER")]
    pub(crate) link: Vec<String>,
    /// IPv4 address
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) ip: Option<String>,
    /// IPv6 address
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) ip6: Option<String>,
    /// Hardware address
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) mac_address: Option<String>,
    /// DNS server
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) dns: Vec<String>,
    /// DNS search domain
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) dns_search: Vec<String>,
    /// DNS option
    #[arg(long, alias = "dns-opt", value_name = "OPTION")]
    pub(crate) dns_option: Vec<String>,
    /// Line for /etc/hosts: NAME:ADDRESS
    #[arg(long, value_name = "HOST")]
    pub(crate) add_host: Vec<String>,
}

/// Health checks.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Health")]
pub(crate) struct HealthOptions {
    /// Command that tells by its exit status whether all is well
    #[arg(long, value_name = "COMMAND")]
    pub(crate) health_cmd: Option<String>,
    /// Time between checks
    #[arg(long, value_name = "DURATION")]
    pub(crate) health_interval: Option<String>,
    /// Time a check may take
    #[arg(long, value_name = "DURATION")]
    pub(crate) health_timeout: Option<String>,
    /// Failures in a row until it is called unhealthy
    #[arg(long, value_name = "NUMBER")]
    pub(crate) health_retries: Option<i64>,
    /// Time after the start during which failures do not count
    #[arg(long, value_name = "DURATION")]
    pub(crate) health_start_period: Option<String>,
    /// Time between checks during that
    #[arg(long, value_name = "DURATION")]
    pub(crate) health_start_interval: Option<String>,
    /// Do without the image's check
    #[arg(long, conflicts_with = "health_cmd")]
    pub(crate) no_healthcheck: bool,
}

/// What it may do.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Security")]
pub(crate) struct SecurityOptions {
    /// Add a capability
    #[arg(long, value_name = "CAPABILITY")]
    pub(crate) cap_add: Vec<String>,
    /// Drop a capability; ALL for each
    #[arg(long, value_name = "CAPABILITY")]
    pub(crate) cap_drop: Vec<String>,
    /// All capabilities and devices of its machine
    #[arg(long)]
    pub(crate) privileged: bool,
    /// no-new-privileges, seccomp=unconfined, seccomp=FILE
    #[arg(long, value_name = "OPTION")]
    pub(crate) security_opt: Vec<String>,
    /// Kernel parameter
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) sysctl: Vec<String>,
    /// IPC namespace: private or shareable
    #[arg(long, value_name = "MODE")]
    pub(crate) ipc: Option<String>,
    /// Process namespace: private
    #[arg(long, value_name = "MODE")]
    pub(crate) pid: Option<String>,
}
