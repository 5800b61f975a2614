//! Making files, folders and links.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, mkdirat, mknodat, openat, openat2, symlinkat};
use rustix::io::Errno;
use rustix::path::DecInt;

use super::{Answer, Call, Server, beneath, regular};
use crate::fs::attributes::stat;
use crate::fs::node::{self, Node};
use crate::fs::protocol::{CreateIn, EntryOut, MkdirIn, MknodIn, OpenOut};

impl Server {
    pub(super) fn mkdir(&mut self, mut call: Call) -> Result<Answer, Errno> {
        let MkdirIn { mode, .. } = call.arguments.take()?;
        let name = call.arguments.name()?;
        self.make(call.node, &name, call.user, mode, FileType::Directory, |folder, mode| {
            mkdirat(folder, &*name, mode)
        })
    }

    /// Files, named pipes and sockets. Devices would be the host's: they are refused.
    pub(super) fn mknod(&mut self, mut call: Call) -> Result<Answer, Errno> {
        let MknodIn { mode, .. } = call.arguments.take()?;
        let name = call.arguments.name()?;
        let kind = match FileType::from_raw_mode(mode) {
            kind @ (FileType::RegularFile | FileType::Fifo | FileType::Socket) => kind,
            _ => return Err(Errno::PERM),
        };
        self.make(call.node, &name, call.user, mode, kind, |folder, mode| {
            mknodat(folder, &*name, kind, mode, 0)
        })
    }

    pub(super) fn symlink(&mut self, call: Call) -> Result<Answer, Errno> {
        let [name, target] = call.arguments.texts()?;
        let name = super::super::arguments::entry_name(name)?;
        self.make(call.node, &name, call.user, 0o777, FileType::Symlink, |folder, _| {
            symlinkat(&*target, folder, &*name)
        })
    }

    /// Makes what `make` makes, on behalf of a user, and looks it up.
    fn make(
        &mut self,
        folder: u64,
        name: &CStr,
        user: (u32, u32),
        mode: u32,
        kind: FileType,
        make: impl FnOnce(Node<'_>, Mode) -> Result<(), Errno>,
    ) -> Result<Answer, Errno> {
        let parent = self.nodes.folder(folder)?;
        let owners = &self.session()?.owners;
        owners.making(user, mode, kind, |mode| make(parent, mode))?;
        let fd = self.find(parent, name)?;
        if node::kind(&stat(&fd)?) == kind {
            owners.made(&fd, kind, user, mode);
        }
        Ok(Answer::of(&self.enter(fd, Some((folder, name)))?))
    }

    pub(super) fn create(&mut self, mut call: Call) -> Result<Answer, Errno> {
        let create: CreateIn = call.arguments.take()?;
        let name = call.arguments.name()?;
        let flags = OFlags::from_bits_retain(create.flags);
        let folder = call.node;
        let new = self.create_new(folder, &name, call.user, create.mode, flags);
        let (entry, fh) = match new {
            Ok(made) => made,
            // Somebody else was faster.
            Err(Errno::EXIST) if !flags.contains(OFlags::EXCL) => {
                let entry = self.lookup_name(folder, &name)?;
                match self.open_node(entry.node, create.flags, create.open_flags) {
                    Ok(fh) => (entry, fh),
                    Err(error) => {
                        self.nodes.forget(entry.node, 1);
                        return Err(error);
                    }
                }
            }
            Err(error) => return Err(error),
        };
        Ok(Answer::both(&entry, &self.opened(fh)))
    }

    fn create_new(
        &mut self,
        folder: u64,
        name: &CStr,
        user: (u32, u32),
        mode: u32,
        flags: OFlags,
    ) -> Result<(EntryOut, u64), Errno> {
        self.handles.room_for_file()?;
        let parent = self.nodes.folder(folder)?;
        let flags = host_flags(flags) | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let owners = &self.session()?.owners;
        let file = owners.making(user, mode, FileType::RegularFile, |mode| {
            openat2(parent, name, flags, mode, beneath())
        })?;
        owners.made(&file, FileType::RegularFile, user, mode);
        self.enter_open(file, flags.contains(OFlags::APPEND), Some((folder, name)))
    }

    /// A file without a name in a folder (O_TMPFILE).
    pub(super) fn tmpfile(&mut self, mut call: Call) -> Result<Answer, Errno> {
        let create: CreateIn = call.arguments.take()?;
        self.handles.room_for_file()?;
        let parent = self.nodes.folder(call.node)?;
        // Without EXCL it can be given a name later.
        let flags = host_flags(OFlags::from_bits_retain(create.flags)) | OFlags::TMPFILE;
        let owners = &self.session()?.owners;
        let file = owners.making(call.user, create.mode, FileType::RegularFile, |mode| {
            openat2(parent, c".", flags, mode, beneath())
        })?;
        owners.made(&file, FileType::RegularFile, call.user, create.mode);
        let (entry, fh) = self.enter_open(file, flags.contains(OFlags::APPEND), None)?;
        Ok(Answer::both(&entry, &self.opened(fh)))
    }

    /// Makes a node and a handle of a file that was just made.
    fn enter_open(
        &mut self,
        file: OwnedFd,
        appends: bool,
        place: Option<(u64, &CStr)>,
    ) -> Result<(EntryOut, u64), Errno> {
        let entry = self.enter(self.name_only(&file)?, place)?;
        Ok((entry, self.add_file(entry.node, file, appends)))
    }

    fn add_file(&mut self, node: u64, file: OwnedFd, appends: bool) -> u64 {
        self.nodes.opened(node);
        self.handles.add_file(node, file, appends)
    }

    /// A descriptor that only names what `fd` is open for: the same file, whatever has become of
    /// its name.
    fn name_only(&self, fd: impl AsFd) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        openat(&self.share.descriptors, DecInt::from_fd(fd), flags, Mode::empty())
    }

    /// Opens a node, if it is a regular file, and gives the handle.
    pub(super) fn open_node(&mut self, id: u64, flags: u32, open_flags: u32) -> Result<u64, Errno> {
        self.handles.room_for_file()?;
        let node = regular(self.nodes.get(id)?)?;
        let flags = host_flags(OFlags::from_bits_retain(flags));
        let writes = flags.intersects(OFlags::WRONLY | OFlags::RDWR | OFlags::TRUNC);
        if writes && self.share.options.read_only {
            return Err(Errno::ROFS);
        }
        let truncates = flags.contains(OFlags::TRUNC);
        let kill = open_flags & crate::fs::protocol::OPEN_KILL_SUIDGID != 0;
        if truncates && kill {
            let stat = stat(node)?;
            self.session()?.owners.drop_privileges(&self.share.descriptors, node, &stat)?;
        }
        let file = self.reopen(node, flags)?;
        Ok(self.add_file(id, file, flags.contains(OFlags::APPEND)))
    }

    /// What the guest is told of a file that was opened.
    pub(super) fn opened(&self, fh: u64) -> OpenOut {
        OpenOut { fh, flags: self.opened_flags().bits(), padding: 0 }
    }
}

/// The guest's flags of opening a file that concern the host's descriptor. Direct I/O is the
/// guest's alone: its buffers need not suit the host's file system.
fn host_flags(flags: OFlags) -> OFlags {
    let kept = OFlags::RWMODE | OFlags::APPEND | OFlags::TRUNC | OFlags::SYNC | OFlags::DSYNC;
    flags & kept | OFlags::CLOEXEC | OFlags::NOCTTY
}
