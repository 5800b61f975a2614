//! The guest as a whole: greeting, mounts, power.

/// The protocol versions a peer speaks, inclusive.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Versions {
    /// The oldest.
    #[prost(uint32, tag = "1")]
    pub oldest: u32,
    /// The newest.
    #[prost(uint32, tag = "2")]
    pub newest: u32,
}

/// The host's greeting: makes a connection a control connection.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Open {
    /// What the host speaks.
    #[prost(message, optional, tag = "1")]
    pub versions: Option<Versions>,
}

/// The agent's greeting.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Hello {
    /// What the agent speaks.
    #[prost(message, optional, tag = "1")]
    pub versions: Option<Versions>,
    /// The agent's own version, for people.
    #[prost(string, tag = "2")]
    pub agent_version: String,
    /// `uname -r`.
    #[prost(string, tag = "3")]
    pub kernel_release: String,
    /// Microseconds from the kernel's start to the agent's.
    #[prost(uint64, tag = "4")]
    pub started_us: u64,
    /// Microseconds from the kernel's start to the moment the agent served.
    #[prost(uint64, tag = "5")]
    pub ready_us: u64,
}

/// Nothing to tell.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Done {}

/// Mount a file system, as mount(2) does.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Mount {
    /// Device, tag or name; what it means depends on the file system.
    #[prost(bytes = "vec", tag = "1")]
    pub source: Vec<u8>,
    /// Where. Absolute; made with its parents when missing.
    #[prost(bytes = "vec", tag = "2")]
    pub target: Vec<u8>,
    /// File system type, as in `/proc/filesystems`. Empty for a bind mount.
    #[prost(string, tag = "3")]
    pub kind: String,
    /// Options for the file system, comma-separated.
    #[prost(bytes = "vec", tag = "4")]
    pub options: Vec<u8>,
    /// `MS_*` flags of mount(2).
    #[prost(uint64, tag = "5")]
    pub flags: u64,
}

/// Unmount a file system, as umount2(2) does.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Unmount {
    /// Where it is mounted.
    #[prost(bytes = "vec", tag = "1")]
    pub target: Vec<u8>,
    /// Take it out of the tree now and let it end when it is no longer used.
    #[prost(bool, tag = "2")]
    pub detach: bool,
}

/// End the machine. File systems are written out first.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct PowerOff {
    /// How.
    #[prost(enumeration = "PowerMode", tag = "1")]
    pub mode: i32,
}

/// How a machine ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum PowerMode {
    /// Off.
    PowerOff = 0,
    /// Start again.
    Reboot = 1,
}
