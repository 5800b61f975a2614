//! What requests carry. Fields that the server does not look at begin with an underscore.

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Declares plain structures of the wire.
macro_rules! wire {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
        #[repr(C)]
        pub(in super::super) struct $name {
            $(pub(in super::super) $field: $type,)*
        }
    )*};
}

wire! {
    /// Comes before all arguments.
    InHeader {
        len: u32, opcode: u32, unique: u64, node: u64, uid: u32, gid: u32, _pid: u32,
        _extensions: u16, _padding: u16,
    }
    /// INIT. Newer guests send more, which concerns nothing that is offered.
    InitIn { major: u32, minor: u32, max_readahead: u32, flags: u32 }
    ForgetIn { lookups: u64 }
    BatchForgetIn { count: u32, _padding: u32 }
    ForgetOne { node: u64, lookups: u64 }
    GetattrIn { flags: u32, _padding: u32, fh: u64 }
    SetattrIn {
        valid: u32, _padding: u32, fh: u64, size: u64, _lock_owner: u64, atime: u64, mtime: u64,
        _ctime: u64, atimensec: u32, mtimensec: u32, _ctimensec: u32, mode: u32, _unused4: u32,
        uid: u32, gid: u32, _unused5: u32,
    }
    MknodIn { mode: u32, _rdev: u32, _umask: u32, _padding: u32 }
    MkdirIn { mode: u32, _umask: u32 }
    RenameIn { new_folder: u64 }
    Rename2In { new_folder: u64, flags: u32, _padding: u32 }
    LinkIn { node: u64 }
    OpenIn { flags: u32, open_flags: u32 }
    CreateIn { flags: u32, mode: u32, _umask: u32, open_flags: u32 }
    ReleaseIn { fh: u64, _flags: u32, _release_flags: u32, _lock_owner: u64 }
    /// READ, READDIR and READDIRPLUS.
    ReadIn {
        fh: u64, offset: u64, size: u32, _read_flags: u32, _lock_owner: u64, _flags: u32,
        _padding: u32,
    }
    WriteIn {
        fh: u64, offset: u64, size: u32, write_flags: u32, _lock_owner: u64, flags: u32,
        _padding: u32,
    }
    FsyncIn { fh: u64, flags: u32, _padding: u32 }
    SetxattrIn { size: u32, flags: u32 }
    /// GETXATTR and LISTXATTR.
    GetxattrIn { size: u32, _padding: u32 }
    FallocateIn { fh: u64, offset: u64, length: u64, mode: u32, _padding: u32 }
    LseekIn { fh: u64, offset: u64, whence: u32, _padding: u32 }
    CopyFileRangeIn {
        fh_in: u64, offset_in: u64, node_out: u64, fh_out: u64, offset_out: u64, length: u64,
        flags: u64,
    }
}
