//! The nodes that the guest knows: files and folders that it has looked up and not forgotten.
//!
//! A node has a descriptor of the O_PATH kind, which names the file, whatever becomes of its
//! names. There may be more nodes than descriptors: where these run out, those of files that were
//! not asked for lately and that nobody has open are closed. Such a file is found again by the
//! name that it was last seen under; what is found has to be the same file. One that is not there
//! any more keeps its descriptor, so that only what others do to a file after it was closed can
//! make it stale (ESTALE). Folders keep theirs.
//!
//! One that was asked to be closed and cannot be is not asked again before the guest did something
//! that may have changed this: each look at the host's names is paid for by a request of the
//! guest, whatever it holds.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Statx, StatxFlags};
use rustix::io::Errno;

use super::attributes::stat_at;
use super::protocol::ROOT;

/// Nodes for each descriptor, and nodes at all: a guest's kernel that has so many needs more
/// memory for them than we do.
const NODES_PER_DESCRIPTOR: usize = 16;
const MAX_NODES: usize = 1 << 20;
/// Places in the order of descriptors beyond which those of forgotten nodes are taken out.
const SLACK: usize = 1024;

/// What makes two descriptors one file. The mount is part of it: the same folder reached through
/// another mount is another place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Identity {
    device: (u32, u32),
    inode: u64,
    mount: u64,
}

/// When a file was made. Together with its identity it is that file, also where inode numbers
/// are used again.
type Birth = (i64, u32);

/// What is kept of a node.
struct Known {
    fd: Option<OwnedFd>,
    kind: FileType,
    identity: Identity,
    /// `None` where the file system does not tell: its files keep their descriptors.
    birth: Option<Birth>,
    /// Folder and name that it was last seen under.
    place: Option<(u64, CString)>,
    lookups: u64,
    /// How many times the guest has it open.
    opened: u32,
    /// Whether it was asked for since its turn to be closed.
    used: Cell<bool>,
    /// Whether it is among those that may be closed.
    lined_up: bool,
}

/// A file of the host, named by a descriptor that can neither be read nor written.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    fd: BorrowedFd<'a>,
    kind: FileType,
}

impl Node<'_> {
    pub(super) fn kind(&self) -> FileType {
        self.kind
    }
}

impl AsFd for Node<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd
    }
}

/// Nodes by the ids that the guest has for them. No id is given twice.
pub(super) struct Nodes {
    by_id: HashMap<u64, Known>,
    by_identity: HashMap<Identity, u64>,
    /// Those that may be closed, the next one first. Some may have been forgotten.
    order: VecDeque<u64>,
    next: u64,
    /// Descriptors that there are, and may be.
    descriptors: usize,
    limit: usize,
    /// How often a node was sought under its name, for tests.
    #[cfg(test)]
    sought: Cell<usize>,
}

impl Nodes {
    /// No nodes. There will be `limit` descriptors at most.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            by_id: HashMap::new(),
            by_identity: HashMap::new(),
            order: VecDeque::new(),
            next: ROOT + 1,
            descriptors: 0,
            limit,
            #[cfg(test)]
            sought: Cell::new(0),
        }
    }

    /// Makes `fd` the root, which is never forgotten.
    pub(super) fn set_root(&mut self, fd: OwnedFd, stat: &Statx) {
        let root = Known::new(fd, stat, None, u64::MAX);
        self.descriptors += 1;
        self.by_identity.insert(root.identity, ROOT);
        self.by_id.insert(ROOT, root);
    }

    /// The node with this id. The root is not there where it is none of the host's: EPERM.
    pub(super) fn get(&self, id: u64) -> Result<Node<'_>, Errno> {
        let missing = if id == ROOT { Errno::PERM } else { Errno::STALE };
        let known = self.by_id.get(&id).ok_or(missing)?;
        known.used.set(true);
        let fd = known.fd.as_ref().ok_or(Errno::STALE)?.as_fd();
        Ok(Node { fd, kind: known.kind })
    }

    /// The node with this id, which is a folder.
    pub(super) fn folder(&self, id: u64) -> Result<Node<'_>, Errno> {
        let node = self.get(id)?;
        if node.kind == FileType::Directory { Ok(node) } else { Err(Errno::NOTDIR) }
    }

    /// Counts a lookup of the file that `fd` names and that was found at `place`, and gives its
    /// id.
    pub(super) fn enter(
        &mut self,
        fd: OwnedFd,
        stat: &Statx,
        place: Option<(u64, &CStr)>,
    ) -> Result<u64, Errno> {
        let identity = identity(stat);
        if let Some(id) = self.by_identity.get(&identity).copied()
            && let Some(known) = self.by_id.get(&id)
            && (known.fd.is_some() || known.is(stat))
        {
            if known.fd.is_none() {
                self.put(id, fd)?;
            }
            self.count(id, place);
            return Ok(id);
        }
        if self.by_id.len() >= self.limit.saturating_mul(NODES_PER_DESCRIPTOR).min(MAX_NODES) {
            return Err(Errno::NFILE);
        }
        self.make_room()?;
        let id = self.next;
        self.next += 1;
        let place = place.map(|(folder, name)| (folder, name.to_owned()));
        self.descriptors += 1;
        // One that was closed and has this number no more is found by its id alone.
        self.by_identity.insert(identity, id);
        self.by_id.insert(id, Known::new(fd, stat, place, 1));
        self.line_up(id);
        Ok(id)
    }

    /// Counts a lookup of a file that was found at `place`, if its node has a descriptor: that
    /// keeps its number from being used for another.
    pub(super) fn enter_again(&mut self, stat: &Statx, place: (u64, &CStr)) -> Option<u64> {
        let id = *self.by_identity.get(&identity(stat))?;
        self.by_id.get(&id)?.fd.as_ref()?;
        self.count(id, Some(place));
        Some(id)
    }

    /// Whether a file of this number on the folder's device is likely to be known.
    pub(super) fn expects(&self, folder: u64, inode: u64) -> bool {
        self.by_id.get(&folder).is_some_and(|folder| {
            self.by_identity.contains_key(&Identity { inode, ..folder.identity })
        })
    }

    fn count(&mut self, id: u64, place: Option<(u64, &CStr)>) {
        let Some(known) = self.by_id.get_mut(&id) else { return };
        known.lookups = known.lookups.saturating_add(1);
        known.used.set(true);
        let same = known.place.as_ref().map(|(folder, name)| (*folder, name.as_c_str())) == place;
        if id != ROOT && !same {
            known.place = place.map(|(folder, name)| (folder, name.to_owned()));
        }
        self.line_up(id);
    }

    /// Gives `lookups` of a node back. An unknown one is none of ours, whatever the guest says.
    pub(super) fn forget(&mut self, id: u64, lookups: u64) {
        if id == ROOT {
            return;
        }
        let Some(known) = self.by_id.get_mut(&id) else { return };
        known.lookups = known.lookups.saturating_sub(lookups);
        if known.lookups == 0
            && let Some(known) = self.by_id.remove(&id)
        {
            self.descriptors -= usize::from(known.fd.is_some());
            if self.by_identity.get(&known.identity) == Some(&id) {
                self.by_identity.remove(&known.identity);
            }
        }
    }

    /// The device of the root; inode numbers of other devices may be the same as its own.
    pub(super) fn root_device(&self) -> Option<(u32, u32)> {
        self.by_id.get(&ROOT).map(|root| root.identity.device)
    }

    /// As long as the guest has it open, a node keeps its descriptor: its name may go meanwhile.
    pub(super) fn opened(&mut self, id: u64) {
        if let Some(known) = self.by_id.get_mut(&id) {
            known.opened = known.opened.saturating_add(1);
        }
    }

    /// Takes one [`opened`](Self::opened) back.
    pub(super) fn released(&mut self, id: u64) {
        if let Some(known) = self.by_id.get_mut(&id) {
            known.opened = known.opened.saturating_sub(1);
        }
        self.line_up(id);
    }

    /// Whether there are nodes without descriptors.
    pub(super) fn any_closed(&self) -> bool {
        self.by_id.len() > self.descriptors
    }

    /// Where to find a node again that has no descriptor; `None` if it has, or is unknown.
    pub(super) fn closed(&self, id: u64) -> Option<(u64, CString)> {
        self.by_id.get(&id).filter(|known| known.fd.is_none())?.place.clone()
    }

    /// The node without a descriptor that is found at `place`, where `stat` was read.
    pub(super) fn closed_at(&self, stat: &Statx, place: (u64, &CStr)) -> Option<u64> {
        let id = *self.by_identity.get(&identity(stat))?;
        let (folder, name) = self.closed(id)?;
        ((folder, name.as_c_str()) == place).then_some(id)
    }

    /// Gives a node its descriptor back. ESTALE if it is another file's, and then for good.
    pub(super) fn reopened(&mut self, id: u64, fd: OwnedFd, stat: &Statx) -> Result<(), Errno> {
        let known = self.by_id.get_mut(&id).ok_or(Errno::STALE)?;
        if !known.is(stat) {
            return Err(Errno::STALE);
        }
        self.put(id, fd)
    }

    /// Takes note of a new name.
    pub(super) fn moved(&mut self, stat: &Statx, (folder, name): (u64, &CStr)) {
        let Some(id) = self.by_identity.get(&identity(stat)).copied() else { return };
        if let Some(known) = self.by_id.get_mut(&id)
            && known.is(stat)
            && known.place.is_some()
        {
            known.place = Some((folder, name.to_owned()));
            self.line_up(id);
        }
    }

    fn put(&mut self, id: u64, fd: OwnedFd) -> Result<(), Errno> {
        self.make_room()?;
        if let Some(known) = self.by_id.get_mut(&id) {
            known.used.set(true);
            known.fd = Some(fd);
            self.descriptors += 1;
            self.line_up(id);
        }
        Ok(())
    }

    /// Makes a node one of those that may be closed, if it is.
    fn line_up(&mut self, id: u64) {
        let Some(known) = self.by_id.get_mut(&id) else { return };
        let never = known.kind == FileType::Directory || known.birth.is_none();
        if never || known.lined_up || known.opened > 0 || known.fd.is_none() {
            return;
        }
        known.lined_up = true;
        if self.order.len() > 2 * self.by_id.len() + SLACK {
            let by_id = &self.by_id;
            self.order.retain(|id| by_id.contains_key(id));
        }
        self.order.push_back(id);
    }

    /// Sees to it that there may be one more descriptor. ENFILE if none can be closed.
    fn make_room(&mut self) -> Result<(), Errno> {
        if self.descriptors < self.limit || self.close_one() { Ok(()) } else { Err(Errno::NFILE) }
    }

    /// Closes so many descriptors, or as many as can be, and gives their number.
    pub(super) fn close(&mut self, count: usize) -> usize {
        (0..count).take_while(|_| self.close_one()).count()
    }

    /// Closes the descriptor that was not used for the longest time, roughly: each gets a second
    /// turn if it was used since its first. One that cannot be closed leaves the line.
    fn close_one(&mut self) -> bool {
        while let Some(id) = self.order.pop_front() {
            let Some(known) = self.by_id.get(&id) else { continue };
            if known.used.replace(false) {
                self.order.push_back(id);
                continue;
            }
            let may_close = known.opened == 0 && known.fd.is_some() && self.can_be_found(known);
            let Some(known) = self.by_id.get_mut(&id) else { continue };
            known.lined_up = false;
            if may_close {
                known.fd = None;
                self.descriptors -= 1;
                return true;
            }
        }
        false
    }

    /// Whether the node is where it was last seen.
    fn can_be_found(&self, known: &Known) -> bool {
        let Some((folder, name)) = &known.place else { return false };
        #[cfg(test)]
        self.sought.set(self.sought.get() + 1);
        let folder = self.by_id.get(folder).and_then(|folder| folder.fd.as_ref());
        folder.is_some_and(|fd| stat_at(fd, name).is_ok_and(|stat| known.is(&stat)))
    }
}

impl Known {
    fn new(fd: OwnedFd, stat: &Statx, place: Option<(u64, CString)>, lookups: u64) -> Self {
        Self {
            fd: Some(fd),
            kind: kind(stat),
            identity: identity(stat),
            birth: birth(stat),
            place,
            lookups,
            opened: 0,
            used: Cell::new(false),
            lined_up: false,
        }
    }

    /// Whether `stat` is of this very file.
    fn is(&self, stat: &Statx) -> bool {
        self.identity == identity(stat) && self.birth.is_some() && self.birth == birth(stat)
    }
}

pub(super) fn kind(stat: &Statx) -> FileType {
    FileType::from_raw_mode(stat.stx_mode.into())
}

fn identity(stat: &Statx) -> Identity {
    Identity {
        device: (stat.stx_dev_major, stat.stx_dev_minor),
        inode: stat.stx_ino,
        mount: stat.stx_mnt_id,
    }
}

fn birth(stat: &Statx) -> Option<Birth> {
    let told = StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::BTIME);
    told.then_some((stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec))
}

#[cfg(test)]
mod tests;
