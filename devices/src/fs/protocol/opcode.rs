//! The kinds of requests.

/// Declares the operations once: number, name in metrics.
macro_rules! opcodes {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal;)*) => {
        /// What a request asks for. Others than these are answered with ENOSYS.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Opcode {
            $($(#[$doc])* $variant = $number,)*
        }

        impl Opcode {
            /// All operations.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The operation of a number.
            pub(in super::super) fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Its name in lower case.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

opcodes! {
    /// Finds a name in a folder.
    Lookup = 1, "lookup";
    /// Gives lookups of a node back.
    Forget = 2, "forget";
    /// Reads attributes.
    Getattr = 3, "getattr";
    /// Changes attributes.
    Setattr = 4, "setattr";
    /// Reads a symbolic link.
    Readlink = 5, "readlink";
    /// Makes a symbolic link.
    Symlink = 6, "symlink";
    /// Makes a file, named pipe or socket.
    Mknod = 8, "mknod";
    /// Makes a folder.
    Mkdir = 9, "mkdir";
    /// Removes a file.
    Unlink = 10, "unlink";
    /// Removes a folder.
    Rmdir = 11, "rmdir";
    /// Renames.
    Rename = 12, "rename";
    /// Makes a hard link.
    Link = 13, "link";
    /// Opens a file.
    Open = 14, "open";
    /// Reads a file.
    Read = 15, "read";
    /// Writes a file.
    Write = 16, "write";
    /// Reads what room there is.
    Statfs = 17, "statfs";
    /// Closes a file.
    Release = 18, "release";
    /// Makes a file durable.
    Fsync = 20, "fsync";
    /// Sets an extended attribute.
    Setxattr = 21, "setxattr";
    /// Reads an extended attribute.
    Getxattr = 22, "getxattr";
    /// Lists extended attributes.
    Listxattr = 23, "listxattr";
    /// Removes an extended attribute.
    Removexattr = 24, "removexattr";
    /// Begins a session.
    Init = 26, "init";
    /// Opens a folder.
    Opendir = 27, "opendir";
    /// Reads a folder.
    Readdir = 28, "readdir";
    /// Closes a folder.
    Releasedir = 29, "releasedir";
    /// Makes a folder durable.
    Fsyncdir = 30, "fsyncdir";
    /// Makes a file and opens it.
    Create = 35, "create";
    /// Gives a request up.
    Interrupt = 36, "interrupt";
    /// Ends a session.
    Destroy = 38, "destroy";
    /// Gives lookups of several nodes back.
    BatchForget = 42, "batch_forget";
    /// Reserves or frees space.
    Fallocate = 43, "fallocate";
    /// Reads a folder and looks its entries up.
    Readdirplus = 44, "readdirplus";
    /// Renames in a certain way.
    Rename2 = 45, "rename2";
    /// Finds data or a hole.
    Lseek = 46, "lseek";
    /// Copies between files.
    CopyFileRange = 47, "copy_file_range";
    /// Makes all durable.
    Syncfs = 50, "syncfs";
    /// Makes a file without a name.
    Tmpfile = 51, "tmpfile";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_to_their_operations_and_others_to_none() {
        for opcode in Opcode::ALL {
            assert_eq!(Opcode::from_number(*opcode as u32), Some(*opcode));
        }
        for number in [0, 7, 25, 33, 39, 48, 52, 4096, u32::MAX] {
            assert_eq!(Opcode::from_number(number), None, "{number}");
        }
    }
}
