//! Unpacking an archive into a folder.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    fs::{
        AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, chownat,
        fchmod, linkat, makedev, mkdirat, mknodat, openat, symlinkat, unlinkat, utimensat,
    },
    io::Errno,
};
use tar::{Archive, Entry, EntryType};

use super::{
    ArchiveError,
    attributes::{self, PREFIX},
    node::{Node, join, names_in},
};
use crate::container::path::{Missing, display, resolve};

/// How many folders' times are set at the end; those beyond keep the time of their last entry.
const MOST_TIMES: usize = 100_000;

/// How an archive is unpacked.
pub(crate) struct Unpack {
    /// Refuse to replace a folder by something else and the other way round.
    pub(crate) keep_kinds: bool,
    /// Keep the archive's owners; otherwise root owns everything.
    pub(crate) keep_owners: bool,
}

/// Where an entry goes.
struct Place {
    folder: OwnedFd,
    name: Vec<u8>,
    path: Vec<u8>,
}

impl Unpack {
    /// Unpacks all of `source` into the folder `base` of `root`. Links on the way are followed as
    /// they are seen from that root.
    pub(crate) fn run(
        &self,
        root: &OwnedFd,
        base: &[u8],
        source: impl Read,
    ) -> Result<(), ArchiveError> {
        let mut archive = Archive::new(source);
        let mut times = Vec::new();
        let entries = archive.entries().map_err(ArchiveError::Transfer)?;
        for entry in entries {
            let mut entry = entry.map_err(ArchiveError::Transfer)?;
            let path = clean(&entry.path_bytes())?;
            if path.is_empty() {
                // The folder itself, which is there.
                continue;
            }
            let path = join(base, &path);
            let time = time_of(&mut entry);
            let is_folder = entry.header().entry_type() == EntryType::Directory;
            self.entry(root, base, &mut entry, &path)?;
            if is_folder && times.len() < MOST_TIMES {
                times.push((path, time));
            } else {
                set_time(root, &path, &time);
            }
        }
        // The deepest first: setting one changes none that has been set.
        for (path, time) in times.iter().rev() {
            set_time(root, path, time);
        }
        Ok(())
    }

    fn entry(
        &self,
        root: &OwnedFd,
        base: &[u8],
        entry: &mut Entry<'_, impl Read>,
        path: &[u8],
    ) -> Result<(), ArchiveError> {
        let place = place(root, path).map_err(ArchiveError::writing(path))?;
        let kind = entry.header().entry_type();
        if self.make_room(&place, kind == EntryType::Directory)? {
            self.make(root, base, &place, entry).map_err(ArchiveError::writing(path))?;
        }
        if kind != EntryType::Link {
            self.dress(&place, entry).map_err(ArchiveError::writing(path))?;
        }
        Ok(())
    }

    /// Takes away what is in the way. Whether anything is to be made: a folder stays.
    fn make_room(&self, place: &Place, is_folder: bool) -> Result<bool, ArchiveError> {
        let writing = |errno: Errno| ArchiveError::writing(&place.path)(errno.into());
        let there = match Node::open(&place.folder, &place.name) {
            Ok(node) => node,
            Err(Errno::NOENT) => return Ok(true),
            Err(errno) => return Err(writing(errno)),
        };
        let was_folder = there.kind() == FileType::Directory;
        if was_folder && is_folder {
            return Ok(false);
        }
        if self.keep_kinds && was_folder != is_folder {
            return Err(ArchiveError::OtherKind(display(&place.path)));
        }
        remove(&place.folder, &place.name).map_err(ArchiveError::writing(&place.path))?;
        Ok(true)
    }

    fn make(
        &self,
        root: &OwnedFd,
        base: &[u8],
        place: &Place,
        entry: &mut Entry<'_, impl Read>,
    ) -> io::Result<()> {
        let (folder, name) = (&place.folder, place.name.as_slice());
        let private = Mode::from_raw_mode(0o600);
        match entry.header().entry_type() {
            EntryType::Directory => mkdirat(folder, name, Mode::from_raw_mode(0o700))?,
            EntryType::Symlink => {
                let target = entry.link_name_bytes().ok_or(io::ErrorKind::InvalidData)?;
                symlinkat(&*target, folder, name)?;
            }
            EntryType::Link => {
                let target = entry.link_name_bytes().ok_or(io::ErrorKind::InvalidData)?;
                let target = clean(&target).map_err(io::Error::other)?;
                let target = self::place(root, &join(base, &target))?;
                let none = AtFlags::empty();
                linkat(&target.folder, &*target.name, folder, name, none)?;
            }
            EntryType::Fifo => mknodat(folder, name, FileType::Fifo, private, 0)?,
            kind @ (EntryType::Char | EntryType::Block) => {
                let header = entry.header();
                let major = header.device_major()?.unwrap_or(0);
                let minor = header.device_minor()?.unwrap_or(0);
                let kind = match kind {
                    EntryType::Char => FileType::CharacterDevice,
                    _ => FileType::BlockDevice,
                };
                mknodat(folder, name, kind, private, makedev(major, minor))?;
            }
            // Regular ones, those with holes, and kinds that are to be taken for regular
            // (POSIX.1-2017, pax).
            _ => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                let mut file = File::from(openat(folder, name, flags, private)?);
                io::copy(entry, &mut file)?;
            }
        }
        Ok(())
    }

    /// Owner, attributes and permissions, in this order: a new owner takes set-user-id and
    /// capabilities away.
    fn dress(&self, place: &Place, entry: &mut Entry<'_, impl Read>) -> io::Result<()> {
        let header = entry.header();
        let (kind, mode) = (header.entry_type(), header.mode()? & 0o7777);
        let number = |value: u64| u32::try_from(value).unwrap_or(0);
        let (uid, gid) = match self.keep_owners {
            true => (number(header.uid()?), number(header.gid()?)),
            false => (0, 0),
        };
        let (folder, name) = (&place.folder, place.name.as_slice());
        let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        chownat(folder, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
        if kind == EntryType::Symlink {
            return Ok(());
        }
        let mode = Mode::from_raw_mode(mode);
        if matches!(kind, EntryType::Char | EntryType::Block | EntryType::Fifo) {
            // Made just now, and not to be opened.
            return Ok(rustix::fs::chmodat(folder, name, mode, AtFlags::empty())?);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let opened = openat(folder, name, flags, Mode::empty())?;
        for extension in entry.pax_extensions()?.into_iter().flatten() {
            let extension = extension?;
            let name = extension.key().ok().and_then(|key| key.strip_prefix(PREFIX));
            if let Some(name) = name {
                attributes::write(&opened, name, extension.value_bytes())?;
            }
        }
        Ok(fchmod(&opened, mode)?)
    }
}

/// A name without `.`, empty pieces and a leading slash.
fn clean(path: &[u8]) -> Result<Vec<u8>, ArchiveError> {
    let pieces = path.split(|byte| *byte == b'/');
    let pieces: Vec<&[u8]> = pieces.filter(|piece| !piece.is_empty() && *piece != b".").collect();
    if pieces.iter().any(|piece| *piece == b"..") {
        return Err(ArchiveError::Escape(display(path)));
    }
    Ok(pieces.join(&b'/'))
}

/// The folder that a name is in, made where missing, with links on the way followed within `root`.
fn place(root: impl AsFd, path: &[u8]) -> io::Result<Place> {
    let split = path.iter().rposition(|byte| *byte == b'/');
    let (above, name) = match split {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (&b""[..], path),
    };
    let folder = resolve(root, above, Missing::Folder)?;
    Ok(Place { folder, name: name.to_vec(), path: path.to_vec() })
}

/// Removes what lies under a name, with all that is in it.
fn remove(folder: impl AsFd, name: &[u8]) -> io::Result<()> {
    match unlinkat(&folder, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => {}
        result => return Ok(result?),
    }
    let node = Node::open(&folder, name)?;
    for inner in names_in(&node.fd)? {
        remove(&node.fd, inner.to_bytes())?;
    }
    Ok(unlinkat(&folder, name, AtFlags::REMOVEDIR)?)
}

fn time_of(entry: &mut Entry<'_, impl Read>) -> Timespec {
    let whole = entry.header().mtime().ok().and_then(|secs| i64::try_from(secs).ok());
    let mut time = Timespec { tv_sec: whole.unwrap_or(0), tv_nsec: 0 };
    for extension in entry.pax_extensions().ok().flatten().into_iter().flatten().flatten() {
        if extension.key() == Ok("mtime")
            && let Some(exact) = extension.value().ok().and_then(parse_time)
        {
            time = exact;
        }
    }
    time
}

fn parse_time(text: &str) -> Option<Timespec> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    Some(Timespec { tv_sec: seconds.parse().ok()?, tv_nsec: digits.parse().ok()? })
}

/// A file whose time cannot be set is no less complete.
fn set_time(root: impl AsFd, path: &[u8], time: &Timespec) {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: *time,
    };
    if let Ok(place) = place(root, path) {
        let _ = utimensat(&place.folder, &*place.name, &times, AtFlags::SYMLINK_NOFOLLOW);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_are_refused() {
        assert_eq!(clean(b"./a//b/").unwrap(), b"a/b");
        assert_eq!(clean(b"/etc/x").unwrap(), b"etc/x");
        assert!(matches!(clean(b"a/../../b"), Err(ArchiveError::Escape(_))));
        assert_eq!(join(b"", b"x"), b"x");
    }

    #[test]
    fn times_have_fractions() {
        let time = parse_time("12.5").unwrap();
        assert_eq!((time.tv_sec, time.tv_nsec), (12, 500_000_000));
        assert_eq!(parse_time("7").unwrap().tv_nsec, 0);
        assert!(parse_time("x").is_none());
    }
}
