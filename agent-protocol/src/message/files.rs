//! Files of a container, for `cp`, `export`, `diff` and `commit`. Paths are resolved in the
//! container's root, never outside of it, whether its first process runs or not.

/// Read a path as a tar archive. Answered with [`super::Started`]: the archive is the session's
/// standard output, and [`super::Exited`] tells of its end.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ReadArchive {
    /// The container.
    #[prost(string, tag = "1")]
    pub id: String,
    /// What to read. The archive's first entry has its last name (or `.`).
    #[prost(bytes = "vec", tag = "2")]
    pub path: Vec<u8>,
    /// Read the writable layer only, with whiteouts as OCI layers have them, from its root.
    #[prost(bool, tag = "3")]
    pub changes_only: bool,
    /// Leave out what is mounted in the container (`export`).
    #[prost(bool, tag = "4")]
    pub one_file_system: bool,
}

/// Unpack a tar archive into a directory. Answered with [`super::Started`]: the archive is the
/// session's standard input, and [`super::Exited`] tells whether all was written (0).
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct WriteArchive {
    /// The container.
    #[prost(string, tag = "1")]
    pub id: String,
    /// The directory; it must exist.
    #[prost(bytes = "vec", tag = "2")]
    pub path: Vec<u8>,
    /// Refuse to replace a directory by something else or the other way round.
    #[prost(bool, tag = "3")]
    pub keep_kinds: bool,
    /// Keep the archive's owners; otherwise root owns everything.
    #[prost(bool, tag = "4")]
    pub keep_owners: bool,
}

/// What a path is; answered with [`PathStatus`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct StatPath {
    /// The container.
    #[prost(string, tag = "1")]
    pub id: String,
    /// The path; a symbolic link at its end is not followed.
    #[prost(bytes = "vec", tag = "2")]
    pub path: Vec<u8>,
}

/// What a path is.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct PathStatus {
    /// Last name.
    #[prost(bytes = "vec", tag = "1")]
    pub name: Vec<u8>,
    /// Bytes.
    #[prost(uint64, tag = "2")]
    pub size: u64,
    /// `st_mode`.
    #[prost(uint32, tag = "3")]
    pub mode: u32,
    /// Modification time, nanoseconds since 1970.
    #[prost(sint64, tag = "4")]
    pub modified_ns: i64,
    /// Where a symbolic link leads, made absolute in the container; empty otherwise.
    #[prost(bytes = "vec", tag = "5")]
    pub link_target: Vec<u8>,
}

/// What differs from the image. Answered with [`super::Started`]: standard output has a record for
/// each path, `C`, `A` or `D`, a space, the absolute path and a NUL byte.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ReadChanges {
    /// The container.
    #[prost(string, tag = "1")]
    pub id: String,
}
