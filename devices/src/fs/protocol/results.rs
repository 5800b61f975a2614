//! What answers carry.

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Declares plain structures of the wire.
macro_rules! wire {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
        #[repr(C)]
        pub(in super::super) struct $name {
            $(pub(in super::super) $field: $type,)*
        }
    )*};
}

wire! {
    /// Comes before all results. `error` is a negative error number or 0.
    OutHeader { len: u32, error: i32, unique: u64 }
    InitOut {
        major: u32, minor: u32, max_readahead: u32, flags: u32, max_background: u16,
        congestion_threshold: u16, max_write: u32, time_granularity: u32, max_pages: u16,
        map_alignment: u16, flags2: u32, unused: [u32; 7],
    }
    /// Attributes of a file.
    Attr {
        ino: u64, size: u64, blocks: u64, atime: u64, mtime: u64, ctime: u64, atimensec: u32,
        mtimensec: u32, ctimensec: u32, mode: u32, nlink: u32, uid: u32, gid: u32, rdev: u32,
        blksize: u32, flags: u32,
    }
    AttrOut { valid: u64, valid_nsec: u32, padding: u32, attr: Attr }
    /// A node, found or made.
    EntryOut {
        node: u64, generation: u64, entry_valid: u64, attr_valid: u64, entry_valid_nsec: u32,
        attr_valid_nsec: u32, attr: Attr,
    }
    OpenOut { fh: u64, flags: u32, padding: u32 }
    WriteOut { size: u32, padding: u32 }
    StatfsOut {
        blocks: u64, bfree: u64, bavail: u64, files: u64, ffree: u64, bsize: u32, namelen: u32,
        frsize: u32, padding: u32, spare: [u32; 6],
    }
    GetxattrOut { size: u32, padding: u32 }
    LseekOut { offset: u64 }
    /// An entry of a folder; its name follows, and zeroes up to a multiple of 8 bytes.
    Dirent { ino: u64, offset: u64, name_len: u32, kind: u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// linux/fuse.h, version 7.38.
    #[test]
    fn structures_have_the_sizes_of_the_protocol() {
        assert_eq!(size_of::<OutHeader>(), 16);
        assert_eq!(size_of::<InitOut>(), 64);
        assert_eq!(size_of::<AttrOut>(), 104);
        assert_eq!(size_of::<EntryOut>(), 128);
        assert_eq!(size_of::<StatfsOut>(), 80);
        assert_eq!(size_of::<Dirent>(), 24);
    }
}
