//! The FUSE protocol as virtio-fs speaks it (VIRTIO 1.3, 5.11.6; linux/fuse.h): a header and
//! arguments in, a header and results out, in the guest's byte order.

mod flags;
mod opcode;
mod results;
mod structs;

pub(super) use flags::{
    FSYNC_DATA, GETATTR_FH, InitFlags, OPEN_KILL_SUIDGID, OpenedFlags, SetattrFlags, WriteFlags,
};
pub use opcode::Opcode;
pub(super) use results::{
    Attr, AttrOut, Dirent, EntryOut, GetxattrOut, InitOut, LseekOut, OpenOut, OutHeader, StatfsOut,
    WriteOut,
};
pub(super) use structs::{
    BatchForgetIn, CopyFileRangeIn, CreateIn, FallocateIn, ForgetIn, ForgetOne, FsyncIn, GetattrIn,
    GetxattrIn, InHeader, InitIn, LinkIn, LseekIn, MkdirIn, MknodIn, OpenIn, ReadIn, ReleaseIn,
    Rename2In, RenameIn, SetattrIn, SetxattrIn, WriteIn,
};

/// The only major version that there is.
pub(super) const MAJOR: u32 = 7;
/// The newest minor version that is spoken.
pub(super) const MINOR: u32 = 38;
/// The oldest one: that of Linux 5.4, the first with virtio-fs.
pub(super) const OLDEST_MINOR: u32 = 31;

/// The node id of a file system's root.
pub(super) const ROOT: u64 = 1;
