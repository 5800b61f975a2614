//! Writing an archive.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use rustix::fs::{FileType, Mode, OFlags, openat, readlinkat};
use tar::{Builder, EntryType, Header};

use super::{
    ArchiveError,
    attributes::{self, PREFIX},
    node::{Node, join, names_in},
};

/// How deep folders may lie in one another: each costs a descriptor and a piece of the stack.
const DEEPEST: usize = 1000;

/// What an OCI image layer calls a deleted file (image-spec, `layer.md`).
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What is left out.
pub(crate) enum Boundary {
    /// Nothing.
    Everything,
    /// What is in other mounts than that of the first folder.
    OneMount,
    /// It is the writable layer of a container: what overlayfs notes there is told as an image's
    /// layer tells it, and these names, which the agent has made to mount on, are left out as
    /// long as there is nothing in them.
    Layer(Vec<Vec<u8>>),
}

/// An archive being written.
pub(crate) struct Pack<W: Write> {
    builder: Builder<W>,
    descriptors: OwnedFd,
    boundary: Boundary,
    mount: Option<u64>,
    /// The first names of files that have several.
    names: HashMap<(u32, u32, u64), Vec<u8>>,
}

impl<W: Write> Pack<W> {
    /// An archive that goes to `sink`. `descriptors` is what [`own_descriptors`] gives.
    pub(crate) fn new(sink: W, boundary: Boundary, descriptors: OwnedFd) -> Self {
        let builder = Builder::new(sink);
        Self { builder, descriptors, boundary, mount: None, names: HashMap::new() }
    }

    /// Writes what was opened at a path, under `name`, with all that is in it.
    pub(crate) fn whole(mut self, fd: OwnedFd, name: &[u8]) -> Result<(), ArchiveError> {
        let node = Node::of(fd).map_err(|errno| ArchiveError::reading(name)(errno.into()));
        let packed = node.and_then(|node| {
            self.mount = Some(node.status.stx_mnt_id);
            // Everything has a name but a root.
            self.entry(&node, name, 0)
        });
        self.end(packed)
    }

    /// Writes what is in a folder, without the folder itself.
    pub(crate) fn content_of(mut self, folder: &OwnedFd) -> Result<(), ArchiveError> {
        let packed = self.children(folder.as_fd(), b"", 0);
        self.end(packed)
    }

    /// Ends the archive, unless it is not whole: it must not look so then.
    fn end(mut self, packed: Result<(), ArchiveError>) -> Result<(), ArchiveError> {
        if packed.is_err() {
            // Dropping it would write the end. The process that packs ends with this.
            std::mem::forget(self.builder);
            return packed;
        }
        let finished = self.builder.finish().and_then(|()| self.builder.get_mut().flush());
        finished.map_err(ArchiveError::Transfer)
    }

    fn children(
        &mut self,
        folder: impl AsFd,
        path: &[u8],
        depth: usize,
    ) -> Result<(), ArchiveError> {
        if depth > DEEPEST {
            return Err(ArchiveError::TooDeep(crate::container::path::display(path)));
        }
        for name in names_in(&folder).map_err(ArchiveError::reading(path))? {
            let path = join(path, name.to_bytes());
            match Node::open(&folder, name.to_bytes()) {
                Ok(node) => self.entry(&node, &path, depth)?,
                // Deleted meanwhile.
                Err(rustix::io::Errno::NOENT) => {}
                Err(errno) => return Err(ArchiveError::reading(&path)(errno.into())),
            }
        }
        Ok(())
    }

    fn entry(&mut self, node: &Node, path: &[u8], depth: usize) -> Result<(), ArchiveError> {
        let failed = |error| ArchiveError::reading(path)(error);
        if let Boundary::Layer(own) = &self.boundary {
            if own.iter().any(|own| own == path) && is_bare(node) {
                return Ok(());
            }
            if node.is_whiteout() {
                return self.marker(path, WHITEOUT);
            }
        }
        let other_mount = matches!(self.boundary, Boundary::OneMount)
            && self.mount.is_some_and(|mount| mount != node.status.stx_mnt_id);
        match node.kind() {
            FileType::Directory => {
                self.folder(node, path).map_err(failed)?;
                if other_mount {
                    return Ok(());
                }
                self.children(&node.fd, if path == b"." { b"" } else { path }, depth + 1)
            }
            FileType::RegularFile => self.file(node, path, other_mount).map_err(failed),
            FileType::Symlink => self.link(node, path).map_err(failed),
            FileType::CharacterDevice => self.special(node, path, EntryType::Char).map_err(failed),
            FileType::BlockDevice => self.special(node, path, EntryType::Block).map_err(failed),
            FileType::Fifo => self.special(node, path, EntryType::Fifo).map_err(failed),
            // Sockets: there is nothing to connect to elsewhere.
            _ => Ok(()),
        }
    }

    fn folder(&mut self, node: &Node, path: &[u8]) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = openat(&node.fd, ".", flags, Mode::empty())?;
        let mut header = header_of(node, EntryType::Directory);
        self.extensions(node, &opened)?;
        self.builder.append_data(&mut header, as_path(&[path, b"/"].concat()), io::empty())?;
        if matches!(self.boundary, Boundary::Layer(_)) && attributes::is_opaque(&opened) {
            self.empty(&join(path, OPAQUE))?;
        }
        Ok(())
    }

    fn file(&mut self, node: &Node, path: &[u8], hidden: bool) -> io::Result<()> {
        if hidden {
            // A file of the host's lies over it.
            return self.empty(path);
        }
        if node.status.stx_nlink > 1 {
            let first = self.names.entry(node.identity()).or_insert_with(|| path.to_vec());
            if first != path {
                let first = first.clone();
                let mut header = header_of(node, EntryType::Link);
                header.set_size(0);
                return self.builder.append_link(&mut header, as_path(path), as_path(&first));
            }
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let number = node.fd.as_raw_fd().to_string();
        let file = File::from(openat(&self.descriptors, number, flags, Mode::empty())?);
        self.extensions(node, &file)?;
        let mut header = header_of(node, EntryType::Regular);
        header.set_size(node.status.stx_size);
        // As long as announced, whatever happens to the file meanwhile.
        let content = (&file).chain(io::repeat(0)).take(node.status.stx_size);
        self.builder.append_data(&mut header, as_path(path), content)
    }

    fn link(&mut self, node: &Node, path: &[u8]) -> io::Result<()> {
        let target = readlinkat(&node.fd, "", Vec::new())?.into_bytes();
        let mut header = header_of(node, EntryType::Symlink);
        self.times(node)?;
        // As it is: a link may lead anywhere.
        if header.set_link_name_literal(&target).is_ok() {
            return self.builder.append_data(&mut header, as_path(path), io::empty());
        }
        self.builder.append_link(&mut header, as_path(path), as_path(&target))
    }

    fn special(&mut self, node: &Node, path: &[u8], kind: EntryType) -> io::Result<()> {
        let mut header = header_of(node, kind);
        header.set_device_major(node.status.stx_rdev_major)?;
        header.set_device_minor(node.status.stx_rdev_minor)?;
        self.builder.append_data(&mut header, as_path(path), io::empty())
    }

    /// An empty file beside `path` that says something of it.
    fn marker(&mut self, path: &[u8], prefix: &[u8]) -> Result<(), ArchiveError> {
        let split = path.iter().rposition(|byte| *byte == b'/');
        let (folder, name) = match split {
            Some(at) => {
                (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default())
            }
            None => (&b""[..], path),
        };
        let marker = join(folder, &[prefix, name].concat());
        self.empty(&marker).map_err(ArchiveError::reading(path))
    }

    fn empty(&mut self, path: &[u8]) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_size(0);
        self.builder.append_data(&mut header, as_path(path), io::empty())
    }

    /// What has no place in a header: attributes, and the fraction of the time.
    fn extensions(&mut self, node: &Node, opened: impl AsFd) -> io::Result<()> {
        let attributes = attributes::read(opened);
        let named = attributes.iter().map(|(name, value)| (format!("{PREFIX}{name}"), value));
        let named: Vec<_> = named.collect();
        let mut all: Vec<(&str, &[u8])> =
            named.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        let time = exact_time(node);
        all.extend(time.as_ref().map(|time| ("mtime", time.as_bytes())));
        if all.is_empty() {
            return Ok(());
        }
        self.builder.append_pax_extensions(all)
    }

    fn times(&mut self, node: &Node) -> io::Result<()> {
        match exact_time(node) {
            Some(time) => self.builder.append_pax_extensions([("mtime", time.as_bytes())]),
            None => Ok(()),
        }
    }
}

/// The folder of this process's descriptors, by which files are opened again for reading. To be
/// opened where `/proc` knows this process, which a container's does not.
pub(crate) fn own_descriptors() -> Result<OwnedFd, ArchiveError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open("/proc/self/fd", flags, Mode::empty());
    folder.map_err(|errno| ArchiveError::Transfer(errno.into()))
}

/// A mount point without anything in it.
fn is_bare(node: &Node) -> bool {
    match node.kind() {
        FileType::Directory => names_in(&node.fd).is_ok_and(|names| names.is_empty()),
        FileType::RegularFile => node.status.stx_size == 0,
        _ => false,
    }
}

fn header_of(node: &Node, kind: EntryType) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(u32::from(node.status.stx_mode) & 0o7777);
    header.set_uid(node.status.stx_uid.into());
    header.set_gid(node.status.stx_gid.into());
    header.set_mtime(u64::try_from(node.status.stx_mtime.tv_sec).unwrap_or(0));
    header.set_size(0);
    header
}

/// The time with its fraction, if it has one.
fn exact_time(node: &Node) -> Option<String> {
    let time = node.status.stx_mtime;
    (time.tv_nsec != 0).then(|| format!("{}.{:09}", time.tv_sec, time.tv_nsec))
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is packed of a folder with a file in it, where files are opened by `descriptors`.
    fn packed(descriptors: OwnedFd) -> (Result<(), ArchiveError>, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "content").unwrap();
        let opened = OwnedFd::from(File::open(folder.path()).unwrap());
        let mut archive = Vec::new();
        let done = Pack::new(&mut archive, Boundary::Everything, descriptors).content_of(&opened);
        (done, archive)
    }

    #[test]
    fn an_archive_that_could_not_be_made_whole_has_no_end() {
        let end = [0; 1024];
        let (done, archive) = packed(own_descriptors().unwrap());
        done.unwrap();
        assert!(archive.ends_with(&end));
        // There is no such descriptor here, so the file cannot be read.
        let nothing = tempfile::tempdir().unwrap();
        let (done, archive) = packed(OwnedFd::from(File::open(nothing.path()).unwrap()));
        done.unwrap_err();
        assert!(!archive.ends_with(&end));
    }
}
