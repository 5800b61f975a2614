//! Why a layer cannot be imported.

use std::io;

use super::packing::Packing;
use crate::erofs::{MAX_NAME, XattrError};

/// Why a layer cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Its bytes do not come.
    #[error("failed to read the layer")]
    Read(#[source] io::Error),
    /// They are not what they seem to be.
    #[error("failed to unpack the layer as {packing}")]
    Unpack {
        /// What it seems to be packed with.
        packing: Packing,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
    /// The second thread cannot be started.
    #[error("failed to start a thread to unpack the layer")]
    Thread(#[source] io::Error),
    /// The image cannot be written, for instance because the disk is full.
    #[error("failed to write the layer's image")]
    Write(#[source] io::Error),
    /// It ends within a file.
    #[error("the layer's archive ends too early")]
    Truncated,
    /// What stands before a file is not as in any tar format.
    #[error("the layer's archive is damaged: {0}")]
    Damaged(&'static str),
    /// A file that cannot be taken over.
    #[error("failed to import {path:?} from the layer")]
    Entry {
        /// Its name as it is in the archive, at most its beginning.
        path: String,
        /// What is wrong with it.
        #[source]
        source: EntryError,
    },
    /// It has more bytes than it may.
    #[error("the layer unpacks to more than {0} bytes")]
    TooLarge(u64),
    /// It grows more than it may.
    #[error("the layer unpacks to more than {0} times its size")]
    TooDense(u64),
    /// It has more files than it may.
    #[error("the layer has more than {0} files")]
    TooManyEntries(u64),
    /// It has more names, links and attributes than it may.
    #[error("the names and attributes of the layer's files have more than {0} bytes")]
    TooMuchMetadata(u64),
}

/// What is wrong with one file of a layer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Its path leads out of the layer.
    #[error("the path {0:?} leads out of the root directory")]
    Escape(String),
    /// A name in its path is too long.
    #[error("a name in its path has more than {MAX_NAME} bytes")]
    NameTooLong,
    /// Its path has too many names.
    #[error("its path has more than {0} names")]
    TooDeep(usize),
    /// Its path leads through a file or a symbolic link.
    #[error("{0:?}, through which its path leads, is not a directory")]
    NotADirectory(String),
    /// The root can be a directory only.
    #[error("the root directory cannot be anything else")]
    Root,
    /// The file that a hard link names is not in the layer before it.
    #[error("it is a hard link to {0:?}, which is not there")]
    NoTarget(String),
    /// The file that a hard link names is a directory.
    #[error("it is a hard link to {0:?}, which is a directory")]
    DirectoryTarget(String),
    /// A symbolic link to nothing, or to more than a path can be.
    #[error("it is a symbolic link of {0} bytes, expected 1 to 4095")]
    SymlinkLength(usize),
    /// It hides a file without a name, or a directory from itself.
    #[error("it is a whiteout of {0:?}, which is no name")]
    Whiteout(String),
    /// Linux has no such device number.
    #[error("there is no device {major}:{minor}")]
    Device {
        /// Its major number.
        major: u64,
        /// Its minor number.
        minor: u64,
    },
    /// Its kind is none that files have.
    #[error("entries of type {0:?} are not known")]
    Kind(char),
    /// It is larger than file systems let files be.
    #[error("it has {0} bytes, more than a file can have")]
    Size(u64),
    /// Its extended attributes cannot be kept.
    #[error(transparent)]
    Xattr(#[from] XattrError),
}

/// The beginning of a path, for messages.
pub(super) fn shown(path: &[u8]) -> String {
    const MOST: usize = 256;
    String::from_utf8_lossy(path.get(..MOST).unwrap_or(path)).into_owned()
}
