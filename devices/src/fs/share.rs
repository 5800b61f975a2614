//! What is shared: opened once, by path, when the machine is configured.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, openat};

use super::attributes::stat;
use super::node::kind;

/// How long the guest may go without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cache {
    /// Not at all.
    None,
    /// Names and attributes, a file's length among them, for a tenth of a second; content until
    /// the file is opened again or is seen to have changed.
    #[default]
    Auto,
    /// For good: nobody else changes the files.
    Always,
}

/// How a folder is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShareOptions {
    /// The guest cannot change anything.
    pub read_only: bool,
    /// What the guest may keep.
    pub cache: Cache,
}

/// Why something cannot be shared.
#[derive(Debug, thiserror::Error)]
pub enum OpenShareError {
    /// It cannot be opened.
    #[error("failed to open shared folder {}", path.display())]
    Open {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A file has no name to be seen under.
    #[error("shared file {} has no name", .0.display())]
    Name(PathBuf),
    /// There is no way from a file's descriptor to one that reads and writes it.
    #[error("failed to open /proc/self/fd")]
    Descriptors(#[source] io::Error),
}

/// The root of what the guest sees.
pub(super) enum Root {
    /// A folder of the host.
    Folder(OwnedFd),
    /// A folder that is not there on the host, and holds nothing but this file.
    File { name: CString, file: OwnedFd },
}

/// A folder or file of the host, opened to be shared. All that a guest asks for later is found
/// from here, by descriptors.
pub struct Share {
    pub(super) root: Root,
    /// `/proc/self/fd`: the way from an O_PATH descriptor to one for reading and writing.
    pub(super) descriptors: OwnedFd,
    pub(super) options: ShareOptions,
    path: PathBuf,
}

impl Share {
    /// Opens `path`.
    ///
    /// # Errors
    /// Names the path.
    pub fn open(path: &Path, options: ShareOptions) -> Result<Self, OpenShareError> {
        let fd = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| OpenShareError::Open { path: path.to_owned(), source: e.into() })?;
        Self::from_fd(fd, path, options)
    }

    /// Shares what is open already; `path` is its name from now on.
    ///
    /// # Errors
    /// Names the path.
    pub fn from_fd(
        fd: OwnedFd,
        path: &Path,
        options: ShareOptions,
    ) -> Result<Self, OpenShareError> {
        let error =
            |e: rustix::io::Errno| OpenShareError::Open { path: path.to_owned(), source: e.into() };
        let root = if kind(&stat(&fd).map_err(error)?) == FileType::Directory {
            Root::Folder(fd)
        } else {
            let name = path.file_name().and_then(|name| CString::new(name.as_bytes()).ok());
            let name = name.ok_or_else(|| OpenShareError::Name(path.to_owned()))?;
            Root::File { name, file: fd }
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptors = openat(CWD, c"/proc/self/fd", flags, Mode::empty())
            .map_err(|e| OpenShareError::Descriptors(e.into()))?;
        Ok(Self { root, descriptors, options, path: path.to_owned() })
    }

    /// What it was opened on: the folder, or the single file.
    pub fn opened(&self) -> BorrowedFd<'_> {
        match &self.root {
            Root::Folder(fd) | Root::File { file: fd, .. } => fd.as_fd(),
        }
    }

    /// The path that it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it is shared.
    pub fn options(&self) -> ShareOptions {
        self.options
    }
}
