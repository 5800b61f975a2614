//! What the guest reports of itself. Counters start at the guest's boot.

/// Read the guest's metrics.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct GetMetrics {}

/// The guest's metrics.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Metrics {
    /// Microseconds since the kernel's start.
    #[prost(uint64, tag = "1")]
    pub uptime_us: u64,
    /// Load averages over 1, 5 and 15 minutes.
    #[prost(double, repeated, tag = "2")]
    pub load: Vec<f64>,
    /// Memory.
    #[prost(message, optional, tag = "3")]
    pub memory: Option<MemoryMetrics>,
    /// Processor time, one entry a processor.
    #[prost(message, repeated, tag = "4")]
    pub cpus: Vec<CpuMetrics>,
    /// Block devices.
    #[prost(message, repeated, tag = "5")]
    pub disks: Vec<DiskMetrics>,
    /// Network interfaces.
    #[prost(message, repeated, tag = "6")]
    pub nets: Vec<NetMetrics>,
    /// Mounted file systems that have a device.
    #[prost(message, repeated, tag = "7")]
    pub file_systems: Vec<FileSystemMetrics>,
    /// Tasks that exist, threads included.
    #[prost(uint64, tag = "8")]
    pub tasks: u64,
}

/// Memory in bytes, from `/proc/meminfo`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct MemoryMetrics {
    /// `MemTotal`.
    #[prost(uint64, tag = "1")]
    pub total: u64,
    /// `MemFree`.
    #[prost(uint64, tag = "2")]
    pub free: u64,
    /// `MemAvailable`.
    #[prost(uint64, tag = "3")]
    pub available: u64,
    /// `Cached`.
    #[prost(uint64, tag = "4")]
    pub cached: u64,
    /// `Buffers`.
    #[prost(uint64, tag = "5")]
    pub buffers: u64,
    /// `Shmem`.
    #[prost(uint64, tag = "6")]
    pub shared: u64,
    /// `SwapTotal`.
    #[prost(uint64, tag = "7")]
    pub swap_total: u64,
    /// `SwapFree`.
    #[prost(uint64, tag = "8")]
    pub swap_free: u64,
}

/// Microseconds that a processor spent, from `/proc/stat`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct CpuMetrics {
    /// Which processor.
    #[prost(uint32, tag = "1")]
    pub index: u32,
    /// In programs, niced ones included.
    #[prost(uint64, tag = "2")]
    pub user_us: u64,
    /// In the kernel, interrupts included.
    #[prost(uint64, tag = "3")]
    pub system_us: u64,
    /// Idle.
    #[prost(uint64, tag = "4")]
    pub idle_us: u64,
    /// Idle with I/O outstanding.
    #[prost(uint64, tag = "5")]
    pub iowait_us: u64,
    /// Ready to run while the host ran something else.
    #[prost(uint64, tag = "6")]
    pub steal_us: u64,
}

/// A block device's counters, from `/proc/diskstats`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DiskMetrics {
    /// The kernel's name, as `vda`.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Reads completed.
    #[prost(uint64, tag = "2")]
    pub reads: u64,
    /// Bytes read.
    #[prost(uint64, tag = "3")]
    pub read_bytes: u64,
    /// Writes completed.
    #[prost(uint64, tag = "4")]
    pub writes: u64,
    /// Bytes written.
    #[prost(uint64, tag = "5")]
    pub written_bytes: u64,
    /// Microseconds during which a request was outstanding.
    #[prost(uint64, tag = "6")]
    pub busy_us: u64,
}

/// A network interface's counters, from `/proc/net/dev`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct NetMetrics {
    /// The interface.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Bytes received.
    #[prost(uint64, tag = "2")]
    pub received_bytes: u64,
    /// Packets received.
    #[prost(uint64, tag = "3")]
    pub received_packets: u64,
    /// Received packets lost or bad.
    #[prost(uint64, tag = "4")]
    pub receive_errors: u64,
    /// Bytes sent.
    #[prost(uint64, tag = "5")]
    pub sent_bytes: u64,
    /// Packets sent.
    #[prost(uint64, tag = "6")]
    pub sent_packets: u64,
    /// Packets that could not be sent.
    #[prost(uint64, tag = "7")]
    pub send_errors: u64,
}

/// The room in a mounted file system, from statvfs(3).
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct FileSystemMetrics {
    /// Where it is mounted.
    #[prost(string, tag = "1")]
    pub target: String,
    /// Its type, as `ext4`.
    #[prost(string, tag = "2")]
    pub kind: String,
    /// Bytes in all.
    #[prost(uint64, tag = "3")]
    pub total: u64,
    /// Bytes free for root.
    #[prost(uint64, tag = "4")]
    pub free: u64,
}
