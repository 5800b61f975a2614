//! Reading and changing attributes.

use rustix::fs::{AtFlags, OFlags, Timespec, Timestamps, ftruncate, utimensat};
use rustix::io::Errno;
use rustix::path::DecInt;

use super::{Answer, Call, Server, regular};
use crate::fs::attributes::stat;
use crate::fs::protocol::{Attr, AttrOut, GETATTR_FH, GetattrIn, ROOT, SetattrFlags, SetattrIn};

/// As fields of a time: leave it, or take the time of now (utimensat(2)).
const UTIME_NOW: i64 = libc::UTIME_NOW;
const UTIME_OMIT: i64 = libc::UTIME_OMIT;
/// The mode of the folder around a single file.
const SINGLE_MODE: u32 = libc::S_IFDIR | 0o555;

impl Server {
    pub(super) fn getattr(&mut self, mut call: Call) -> Result<Answer, Errno> {
        let asked: GetattrIn = call.arguments.take()?;
        if self.single_file(call.node).is_some() {
            return self.attr_out(single_attr());
        }
        if asked.flags & GETATTR_FH != 0
            && let Ok(file) = self.handles.file(asked.fh)
        {
            return self.attr_out(self.attr(file, &stat(file)?)?);
        }
        let node = self.nodes.get(call.node)?;
        self.attr_out(self.attr(node, &stat(node)?)?)
    }

    fn attr_out(&self, attr: Attr) -> Result<Answer, Errno> {
        let (valid, valid_nsec) = self.valid();
        Ok(Answer::of(&AttrOut { valid, valid_nsec, padding: 0, attr }))
    }

    pub(super) fn setattr(&mut self, mut call: Call) -> Result<Answer, Errno> {
        let set: SetattrIn = call.arguments.take()?;
        let valid = SetattrFlags::from_bits_truncate(set.valid);
        let node = self.nodes.get(call.node)?;
        let (owners, descriptors) = (&self.session()?.owners, &self.share.descriptors);
        if valid.contains(SetattrFlags::MODE) {
            owners.set_mode(descriptors, node, &stat(node)?, set.mode)?;
        }
        if valid.intersects(SetattrFlags::UID | SetattrFlags::GID) {
            let owner = valid.contains(SetattrFlags::UID).then_some(set.uid);
            let group = valid.contains(SetattrFlags::GID).then_some(set.gid);
            owners.set_owner(node, &stat(node)?, owner, group)?;
        }
        if valid.contains(SetattrFlags::SIZE) {
            self.set_size(call.node, &set, valid)?;
        }
        let times = SetattrFlags::ATIME
            | SetattrFlags::MTIME
            | SetattrFlags::ATIME_NOW
            | SetattrFlags::MTIME_NOW;
        if valid.intersects(times) {
            utimensat(
                descriptors,
                DecInt::from_fd(node),
                &timestamps(&set, valid),
                AtFlags::empty(),
            )?;
        }
        self.attr_out(self.attr(node, &stat(node)?)?)
    }

    fn set_size(&self, node: u64, set: &SetattrIn, valid: SetattrFlags) -> Result<(), Errno> {
        let node = regular(self.nodes.get(node)?)?;
        if i64::try_from(set.size).is_err() {
            return Err(Errno::FBIG);
        }
        if valid.contains(SetattrFlags::KILL_SUIDGID) {
            let owners = &self.session()?.owners;
            owners.drop_privileges(&self.share.descriptors, node, &stat(node)?)?;
        }
        match self.handles.file(set.fh) {
            Ok(file) if valid.contains(SetattrFlags::FH) => ftruncate(file, set.size),
            _ => ftruncate(self.reopen(node, OFlags::WRONLY)?, set.size),
        }
    }
}

fn timestamps(set: &SetattrIn, valid: SetattrFlags) -> Timestamps {
    let time = |given, now, seconds: u64, nanoseconds: u32| {
        let tv_nsec = match (valid.contains(now), valid.contains(given)) {
            (true, _) => UTIME_NOW,
            (false, true) => i64::from(nanoseconds),
            (false, false) => UTIME_OMIT,
        };
        Timespec { tv_sec: seconds.cast_signed(), tv_nsec }
    };
    Timestamps {
        last_access: time(SetattrFlags::ATIME, SetattrFlags::ATIME_NOW, set.atime, set.atimensec),
        last_modification: time(
            SetattrFlags::MTIME,
            SetattrFlags::MTIME_NOW,
            set.mtime,
            set.mtimensec,
        ),
    }
}

/// The folder around a single file: root's, and nobody can change it.
fn single_attr() -> Attr {
    Attr { ino: ROOT, mode: SINGLE_MODE, nlink: 2, blksize: 4096, ..Attr::default() }
}
