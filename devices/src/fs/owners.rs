//! Whom files belong to.
//!
//! A monitor that runs as root with the capabilities for it shows and sets owners and modes as
//! they are. Any other can only make files of its own user. It shows those as root's, as users of
//! rootless containers know it, and what the guest sets beyond that (`chown`, and modes that
//! would lock the monitor out) is recorded in an extended attribute, of which other machines with
//! the same folder know as well, and other programs need not.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, getxattr, setxattr};
use rustix::fs::{FileType, Gid, Mode, Statx, Uid, XattrFlags, chmodat, chownat};
use rustix::io::Errno;
use rustix::path::DecInt;
use rustix::thread::CapabilitySets;

use super::node::kind;
use super::thread::{ActingFor, privileged};

/// Where an owner is recorded: `uid:gid:mode`, the mode in octal.
const RECORD: &std::ffi::CStr = c"user.bulkhead.owner";
/// Whom files of third users belong to, in the guest's eyes.
const NOBODY: u32 = 65534;
const PERMISSIONS: u32 = 0o7777;
/// Set-user-id, set-group-id.
const SUID: u32 = 0o4000;
const SGID: u32 = 0o2000;
const GROUP_EXECUTES: u32 = 0o010;

/// Owner and mode as the guest sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// With the type of the file.
    pub(super) mode: u32,
}

/// How owners and modes of the guest become those of the host.
pub(super) enum Owners {
    /// As they are.
    Real(CapabilitySets),
    /// All is the monitor's user's.
    Own { uid: u32, gid: u32 },
}

impl Owners {
    /// What the calling thread is able to.
    pub(super) fn of_this_thread() -> Self {
        match privileged() {
            Some(sets) => Self::Real(sets),
            None => Self::Own {
                uid: rustix::process::geteuid().as_raw(),
                gid: rustix::process::getegid().as_raw(),
            },
        }
    }

    /// Whom the file belongs to, and its mode.
    pub(super) fn shown(&self, fd: impl AsFd, stat: &Statx) -> Shown {
        let mode = u32::from(stat.stx_mode);
        let Self::Own { uid, gid } = *self else {
            return Shown { uid: stat.stx_uid, gid: stat.stx_gid, mode };
        };
        if can_be_recorded(kind(stat))
            && let Some(recorded) = read_record(fd)
        {
            return Shown { mode: mode & !PERMISSIONS | recorded.mode, ..recorded };
        }
        let as_seen = |id, own| if id == own { 0 } else { NOBODY };
        Shown { uid: as_seen(stat.stx_uid, uid), gid: as_seen(stat.stx_gid, gid), mode }
    }

    /// Makes a file on behalf of a user of the guest by `make`, which gets the mode to make it
    /// with.
    pub(super) fn making<T>(
        &self,
        user: (u32, u32),
        mode: u32,
        kind: FileType,
        make: impl FnOnce(Mode) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        match self {
            Self::Real(sets) => {
                let _acting = match user {
                    (0, 0) => None,
                    (uid, gid) => Some(ActingFor::user(uid, gid, *sets)?),
                };
                make(Mode::from_raw_mode(mode & PERMISSIONS))
            }
            Self::Own { .. } => make(host_mode(kind, mode)),
        }
    }

    /// Completes what [`making`](Self::making) began: notes whom the file belongs to, where it
    /// cannot really.
    pub(super) fn made(&self, fd: impl AsFd, kind: FileType, user: (u32, u32), mode: u32) {
        let Self::Own { .. } = self else { return };
        let mode = mode & PERMISSIONS;
        let plain = user == (0, 0) && host_mode(kind, mode).as_raw_mode() == mode;
        if !plain && can_be_recorded(kind) {
            // A file system without extended attributes shows it as root's.
            let _ = write_record(fd, Shown { uid: user.0, gid: user.1, mode });
        }
    }

    /// Changes the mode.
    pub(super) fn set_mode(
        &self,
        descriptors: impl AsFd,
        fd: impl AsFd,
        stat: &Statx,
        mode: u32,
    ) -> Result<(), Errno> {
        let (fd, mode, kind) = (fd.as_fd(), mode & PERMISSIONS, kind(stat));
        if kind == FileType::Symlink {
            return Err(Errno::OPNOTSUPP);
        }
        let host = match self {
            Self::Real(_) => Mode::from_raw_mode(mode),
            Self::Own { .. } => {
                let shown = self.shown(fd, stat);
                let host = host_mode(kind, mode);
                let recorded = can_be_recorded(kind) && read_record(fd).is_some();
                if can_be_recorded(kind) && (recorded || host.as_raw_mode() != mode) {
                    write_record(fd, Shown { mode, ..shown })?;
                }
                host
            }
        };
        chmodat(descriptors, DecInt::from_fd(fd), host, AtFlags::empty())
    }

    /// Changes the owner, the group, or both. Set-user-id and set-group-id bits of what can be
    /// executed go, as always (chown(2)).
    pub(super) fn set_owner(
        &self,
        fd: impl AsFd,
        stat: &Statx,
        owner: Option<u32>,
        group: Option<u32>,
    ) -> Result<(), Errno> {
        if owner == Some(u32::MAX) || group == Some(u32::MAX) {
            return Err(Errno::INVAL);
        }
        let fd = fd.as_fd();
        match self {
            Self::Real(_) => {
                let (owner, group) = (owner.map(Uid::from_raw), group.map(Gid::from_raw));
                chownat(fd, c"", owner, group, AtFlags::EMPTY_PATH)
            }
            Self::Own { .. } => match kind(stat) {
                // Nothing depends on a symbolic link's owner.
                FileType::Symlink => Ok(()),
                kind if can_be_recorded(kind) => {
                    let shown = self.shown(fd, stat);
                    let keeps = kind == FileType::Directory;
                    let mode = if keeps { shown.mode } else { without_privileges(shown.mode) };
                    let uid = owner.unwrap_or(shown.uid);
                    let gid = group.unwrap_or(shown.gid);
                    write_record(fd, Shown { uid, gid, mode: mode & PERMISSIONS })
                }
                _ => Err(Errno::PERM),
            },
        }
    }

    /// Clears set-user-id and set-group-id bits of a file whose content is changed by somebody
    /// who may not keep them.
    pub(super) fn drop_privileges(
        &self,
        descriptors: impl AsFd,
        fd: impl AsFd,
        stat: &Statx,
    ) -> Result<(), Errno> {
        let mode = self.shown(fd.as_fd(), stat).mode;
        let less = without_privileges(mode);
        if less == mode || kind(stat) != FileType::RegularFile {
            return Ok(());
        }
        self.set_mode(descriptors, fd, stat, less)
    }
}

/// A set-group-id bit without the right to execute means something else (mandatory locking).
fn without_privileges(mode: u32) -> u32 {
    let group = if mode & GROUP_EXECUTES == 0 { 0 } else { SGID };
    mode & !(SUID | group)
}

/// Linux allows extended attributes of users on these only.
fn can_be_recorded(kind: FileType) -> bool {
    matches!(kind, FileType::RegularFile | FileType::Directory)
}

/// The mode of a file of the monitor's user, which must not be locked out.
fn host_mode(kind: FileType, mode: u32) -> Mode {
    let needed = if kind == FileType::Directory { 0o700 } else { 0o600 };
    Mode::from_raw_mode(mode & 0o777 | needed)
}

fn read_record(fd: impl AsFd) -> Option<Shown> {
    let mut text = [0; 64];
    let len = getxattr(DecInt::from_fd(fd), RECORD, &mut text[..]).ok()?;
    let text = std::str::from_utf8(text.get(..len)?).ok()?;
    let mut parts = text.split(':');
    let shown = Shown {
        uid: parts.next()?.parse().ok()?,
        gid: parts.next()?.parse().ok()?,
        mode: u32::from_str_radix(parts.next()?, 8).ok()? & PERMISSIONS,
    };
    parts.next().is_none().then_some(shown)
}

fn write_record(fd: impl AsFd, shown: Shown) -> Result<(), Errno> {
    let Shown { uid, gid, mode } = shown;
    let text = format!("{uid}:{gid}:{:o}", mode & PERMISSIONS);
    setxattr(DecInt::from_fd(fd), RECORD, text.as_bytes(), XattrFlags::empty())
}
