//! Containers: a root file system, namespaces, limits and a first process in the guest.
//!
//! A container's life in the guest:
//!
//! ```text
//!   CreateContainer ─► created ──StartContainer──► running ──(first process ends)──► ended
//!                         │                     ◄─Pause/Resume─►                        │
//!                         └───────────────── DeleteContainer ◄──────────────────────────┘
//! ```
//!
//! It belongs to no connection: the host may go away and come back ([`ListContainers`],
//! [`WaitContainer`]). A stream of its first process goes back to the container when the
//! connection that carried it ends, and can be attached anew; its standard input ends only by
//! [`CloseInput`].

use super::Exec;

/// Make a container: mount its root file system, make its namespaces and control group. Answered
/// with [`super::Done`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct CreateContainer {
    /// Chosen by the host; a file name of at most 64 letters, digits, `_`, `.` and `-`.
    #[prost(string, tag = "1")]
    pub id: String,
    /// Where `/` comes from.
    #[prost(message, optional, tag = "2")]
    pub rootfs: Option<Rootfs>,
    /// The first process. Its `container` is not used; it is always detached.
    #[prost(message, optional, tag = "3")]
    pub process: Option<Exec>,
    /// Host name in the container.
    #[prost(string, tag = "4")]
    pub hostname: String,
    /// Domain name (NIS), or empty.
    #[prost(string, tag = "5")]
    pub domainname: String,
    /// Mounted in this order over the root file system, after `/proc`, `/sys`, `/dev` and so on.
    #[prost(message, repeated, tag = "6")]
    pub mounts: Vec<ContainerMount>,
    /// Limits.
    #[prost(message, optional, tag = "7")]
    pub resources: Option<Resources>,
    /// Files that the host writes, such as `/etc/hosts`: bound over what the image has there.
    #[prost(message, repeated, tag = "8")]
    pub files: Vec<ContainerFile>,
    /// Paths that read as empty.
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub masked_paths: Vec<Vec<u8>>,
    /// Paths that cannot be written below.
    #[prost(bytes = "vec", repeated, tag = "10")]
    pub readonly_paths: Vec<Vec<u8>>,
    /// `name=value` kernel parameters of the container's namespaces.
    #[prost(string, repeated, tag = "11")]
    pub sysctls: Vec<String>,
    /// Run the agent's own small init as process 1, and the process as its child.
    #[prost(bool, tag = "12")]
    pub init: bool,
    /// All devices, no masks, a writable `/sys`.
    #[prost(bool, tag = "13")]
    pub privileged: bool,
    /// Bytes of `/dev/shm`; 0 means 64 MiB. Without a meaning where IPC is shared.
    #[prost(uint64, tag = "14")]
    pub shm_size: u64,
    /// Use the machine's IPC namespace and `/dev/shm`, shared with others that say so, instead of
    /// ones of its own.
    #[prost(bool, tag = "15")]
    pub share_ipc: bool,
    /// Use the machine's process namespace.
    #[prost(bool, tag = "16")]
    pub share_pid: bool,
}

/// A root file system: read-only layers below a writable one.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Rootfs {
    /// Serial number of the disk with the layers, one EROFS a partition.
    #[prost(string, tag = "1")]
    pub layers_serial: String,
    /// Partitions of that disk, lowest layer first, counted from 1.
    #[prost(uint32, repeated, tag = "2")]
    pub layers: Vec<u32>,
    /// Serial number of the disk with an ext4 file system for changes; empty for a tmpfs.
    #[prost(string, tag = "3")]
    pub writable_serial: String,
    /// Bytes of the tmpfs, where there is no writable disk; 0 means half of the memory.
    #[prost(uint64, tag = "4")]
    pub tmpfs_size: u64,
    /// Mount `/` read-only (`--read-only`).
    #[prost(bool, tag = "5")]
    pub read_only: bool,
}

/// A file system in a container.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ContainerMount {
    /// What kind.
    #[prost(enumeration = "MountKind", tag = "1")]
    pub kind: i32,
    /// virtio-fs: the tag. Not used by a tmpfs.
    #[prost(string, tag = "2")]
    pub source: String,
    /// virtio-fs: path below the share's root of the directory or file to mount; empty for the
    /// root.
    #[prost(bytes = "vec", tag = "3")]
    pub subpath: Vec<u8>,
    /// Where in the container. Absolute; made with its parents where missing, as a file if the
    /// source is one.
    #[prost(bytes = "vec", tag = "4")]
    pub target: Vec<u8>,
    /// As of mount(8), comma-separated: `ro`, `noexec`, `nosuid`, `nodev`, `size=`, `mode=`, ….
    #[prost(string, tag = "5")]
    pub options: String,
    /// Copy what the image has at `target` into the share when that is empty (a new volume).
    #[prost(bool, tag = "6")]
    pub populate: bool,
}

/// The kinds of [`ContainerMount`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum MountKind {
    /// A share of the host.
    VirtioFs = 0,
    /// In memory.
    Tmpfs = 1,
}

/// A file whose content the host decides.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ContainerFile {
    /// Where in the container.
    #[prost(bytes = "vec", tag = "1")]
    pub path: Vec<u8>,
    /// What it holds.
    #[prost(bytes = "vec", tag = "2")]
    pub content: Vec<u8>,
    /// Permission bits.
    #[prost(uint32, tag = "3")]
    pub mode: u32,
}

/// What the processes of a container may do. Part of [`Exec`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Confinement {
    /// Capabilities by name (`CAP_CHOWN`): bounding, and for root permitted and effective. None is
    /// inheritable.
    #[prost(string, repeated, tag = "1")]
    pub capabilities: Vec<String>,
    /// `PR_SET_NO_NEW_PRIVS`.
    #[prost(bool, tag = "2")]
    pub no_new_privileges: bool,
    /// Resource limits of setrlimit(2).
    #[prost(message, repeated, tag = "3")]
    pub rlimits: Vec<Rlimit>,
    /// Supplementary groups besides those of the user, each a name or a number.
    #[prost(string, repeated, tag = "4")]
    pub groups: Vec<String>,
    /// `/proc/PID/oom_score_adj`.
    #[prost(sint32, tag = "5")]
    pub oom_score_adj: i32,
    /// System call filter: empty for the default one, `unconfined` for none, else a profile in
    /// Docker's JSON format.
    #[prost(string, tag = "6")]
    pub seccomp: String,
}

/// A limit of setrlimit(2).
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Rlimit {
    /// `nofile`, `nproc`, …: lower case, without `RLIMIT_`.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Soft limit; `u64::MAX` for none.
    #[prost(uint64, tag = "2")]
    pub soft: u64,
    /// Hard limit; `u64::MAX` for none.
    #[prost(uint64, tag = "3")]
    pub hard: u64,
}

/// Limits of a container's control group. 0 means no limit.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Resources {
    /// Bytes of memory.
    #[prost(uint64, tag = "1")]
    pub memory: u64,
    /// Bytes of swap besides.
    #[prost(uint64, tag = "2")]
    pub swap: u64,
    /// Bytes below which memory is reclaimed from others first.
    #[prost(uint64, tag = "3")]
    pub memory_reservation: u64,
    /// Microseconds of processor time in each `cpu_period`.
    #[prost(uint64, tag = "4")]
    pub cpu_quota: u64,
    /// Microseconds.
    #[prost(uint64, tag = "5")]
    pub cpu_period: u64,
    /// `cpu.weight`, 1 to 10,000.
    #[prost(uint64, tag = "6")]
    pub cpu_weight: u64,
    /// Processes and threads.
    #[prost(uint64, tag = "7")]
    pub pids: u64,
}

/// Names a container. What is asked of it stands in the request that carries this.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ContainerRef {
    /// The container.
    #[prost(string, tag = "1")]
    pub id: String,
}

/// Send a signal to a container's first process, or to all.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct SignalContainer {
    /// The container.
    #[prost(string, tag = "1")]
    pub id: String,
    /// Linux signal number, 1 to 64.
    #[prost(uint32, tag = "2")]
    pub signal: u32,
    /// To every process of the container.
    #[prost(bool, tag = "3")]
    pub all: bool,
}

/// Change a container's limits. What is 0 stays.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct UpdateContainer {
    /// The container.
    #[prost(string, tag = "1")]
    pub id: String,
    /// New limits.
    #[prost(message, optional, tag = "2")]
    pub resources: Option<Resources>,
}

/// Replace files given by [`CreateContainer::files`] while the container runs, in place.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct UpdateFiles {
    /// The container.
    #[prost(string, tag = "1")]
    pub id: String,
    /// The files; their paths were given at creation.
    #[prost(message, repeated, tag = "2")]
    pub files: Vec<ContainerFile>,
}

/// End the input of a container's first process, or of a command in it. What a connection that the
/// host has closed before still carries arrives first; one that is open goes on to its end.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct CloseInput {
    /// The command.
    #[prost(uint64, tag = "1")]
    pub session: u64,
}

/// What containers there are; answered with [`Containers`].
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct ListContainers {}

/// All containers of the machine.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Containers {
    /// In the order of their creation.
    #[prost(message, repeated, tag = "1")]
    pub containers: Vec<ContainerStatus>,
}

/// How a container is.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ContainerStatus {
    /// The container.
    #[prost(string, tag = "1")]
    pub id: String,
    /// Its state.
    #[prost(enumeration = "ContainerState", tag = "2")]
    pub state: i32,
    /// The session of the first process, once started.
    #[prost(uint64, tag = "3")]
    pub session: u64,
    /// Its process id in the machine, once started.
    #[prost(uint32, tag = "4")]
    pub pid: u32,
    /// How it ended, if it has.
    #[prost(message, optional, tag = "5")]
    pub end: Option<ContainerEnd>,
}

/// The states of a container in the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum ContainerState {
    /// Made, not started.
    Created = 0,
    /// Its first process runs.
    Running = 1,
    /// All its processes are frozen.
    Paused = 2,
    /// Its first process has ended, and all others with it.
    Ended = 3,
}

/// The end of a container; the answer to [`WaitContainer`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ContainerEnd {
    /// The container.
    #[prost(string, tag = "1")]
    pub id: String,
    /// What the first process passed to `exit`.
    #[prost(uint32, tag = "2")]
    pub code: u32,
    /// The signal that killed it, or 0.
    #[prost(uint32, tag = "3")]
    pub signal: u32,
    /// The kernel killed a process of the container for want of memory.
    #[prost(bool, tag = "4")]
    pub oom_killed: bool,
    /// When, in nanoseconds since 1970.
    #[prost(uint64, tag = "5")]
    pub at_ns: u64,
}

/// Tell when a container has ended; answered with [`ContainerEnd`], at once if it has already.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct WaitContainer {
    /// The container.
    #[prost(string, tag = "1")]
    pub id: String,
}

/// What a container uses.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ContainerMetrics {
    /// Processor time, nanoseconds.
    #[prost(uint64, tag = "1")]
    pub cpu_ns: u64,
    /// Of it in user mode.
    #[prost(uint64, tag = "2")]
    pub cpu_user_ns: u64,
    /// Of it in the kernel.
    #[prost(uint64, tag = "3")]
    pub cpu_system_ns: u64,
    /// Periods of the quota, those in which it ran out, and nanoseconds waited then.
    #[prost(uint64, tag = "4")]
    pub periods: u64,
    /// See `periods`.
    #[prost(uint64, tag = "5")]
    pub throttled_periods: u64,
    /// See `periods`.
    #[prost(uint64, tag = "6")]
    pub throttled_ns: u64,
    /// Bytes of memory, page cache included.
    #[prost(uint64, tag = "7")]
    pub memory: u64,
    /// Of it, file pages that were not used lately.
    #[prost(uint64, tag = "8")]
    pub memory_inactive_file: u64,
    /// Bytes allowed; 0 without a limit.
    #[prost(uint64, tag = "9")]
    pub memory_limit: u64,
    /// The most there ever was.
    #[prost(uint64, tag = "10")]
    pub memory_peak: u64,
    /// Processes killed for want of memory.
    #[prost(uint64, tag = "11")]
    pub oom_kills: u64,
    /// Processes and threads.
    #[prost(uint64, tag = "12")]
    pub pids: u64,
    /// The most allowed; 0 without a limit.
    #[prost(uint64, tag = "13")]
    pub pids_limit: u64,
    /// Bytes read from and written to disks, and the number of operations.
    #[prost(uint64, tag = "14")]
    pub read_bytes: u64,
    /// See `read_bytes`.
    #[prost(uint64, tag = "15")]
    pub written_bytes: u64,
    /// See `read_bytes`.
    #[prost(uint64, tag = "16")]
    pub reads: u64,
    /// See `read_bytes`.
    #[prost(uint64, tag = "17")]
    pub writes: u64,
    /// Nanoseconds that the machine's processors were up, all together: what `cpu_ns` is a share
    /// of.
    #[prost(uint64, tag = "18")]
    pub machine_cpu_ns: u64,
    /// Processors of the machine.
    #[prost(uint32, tag = "19")]
    pub processors: u32,
}

/// The processes of a container.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Processes {
    /// By process id.
    #[prost(message, repeated, tag = "1")]
    pub processes: Vec<Process>,
}

/// A process of a container.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Process {
    /// Process id in the machine.
    #[prost(uint32, tag = "1")]
    pub pid: u32,
    /// Its parent's.
    #[prost(uint32, tag = "2")]
    pub parent: u32,
    /// User id.
    #[prost(uint32, tag = "3")]
    pub uid: u32,
    /// User name in the container, or the number.
    #[prost(string, tag = "4")]
    pub user: String,
    /// When it started, nanoseconds since 1970.
    #[prost(uint64, tag = "5")]
    pub started_ns: u64,
    /// Processor time, nanoseconds.
    #[prost(uint64, tag = "6")]
    pub cpu_ns: u64,
    /// Name of its terminal (`pts/0`), or empty.
    #[prost(string, tag = "7")]
    pub terminal: String,
    /// Arguments, joined by spaces; the name in brackets where there are none.
    #[prost(string, tag = "8")]
    pub command: String,
    /// Resident bytes.
    #[prost(uint64, tag = "9")]
    pub resident: u64,
    /// The kernel's name for it: at first that of its program's file.
    #[prost(string, tag = "10")]
    pub name: String,
}
