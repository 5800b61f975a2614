//! The nodes that the guest knows: files and folders that it has looked up and not forgotten.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Statx};
use rustix::io::Errno;

use super::protocol::ROOT;

/// What makes two descriptors one file. The mount is part of it: the same folder reached through
/// another mount is another place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Identity {
    device: (u32, u32),
    inode: u64,
    mount: u64,
}

/// A file of the host. Its descriptor is of the O_PATH kind: it names the file, whatever becomes
/// of its names, and can neither be read nor written.
pub(super) struct Node {
    fd: OwnedFd,
    kind: FileType,
    identity: Identity,
    lookups: u64,
}

impl Node {
    pub(super) fn kind(&self) -> FileType {
        self.kind
    }
}

impl AsFd for Node {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Nodes by the ids that the guest has for them. No id is given twice.
pub(super) struct Nodes {
    by_id: HashMap<u64, Node>,
    by_identity: HashMap<Identity, u64>,
    next: u64,
    limit: usize,
}

impl Nodes {
    /// No nodes. There will be `limit` at most.
    pub(super) fn new(limit: usize) -> Self {
        Self { by_id: HashMap::new(), by_identity: HashMap::new(), next: ROOT + 1, limit }
    }

    /// Makes `fd` the root, which is never forgotten.
    pub(super) fn set_root(&mut self, fd: OwnedFd, stat: &Statx) {
        let node = Node { fd, kind: kind(stat), identity: identity(stat), lookups: u64::MAX };
        self.by_identity.insert(node.identity, ROOT);
        self.by_id.insert(ROOT, node);
    }

    /// The node with this id. The root is not there where it is none of the host's: EPERM.
    pub(super) fn get(&self, id: u64) -> Result<&Node, Errno> {
        let missing = if id == ROOT { Errno::PERM } else { Errno::STALE };
        self.by_id.get(&id).ok_or(missing)
    }

    /// The node with this id, which is a folder.
    pub(super) fn folder(&self, id: u64) -> Result<&Node, Errno> {
        let node = self.get(id)?;
        if node.kind == FileType::Directory { Ok(node) } else { Err(Errno::NOTDIR) }
    }

    /// Counts a lookup of the file that `fd` names, and gives its id.
    pub(super) fn enter(&mut self, fd: OwnedFd, stat: &Statx) -> Result<u64, Errno> {
        let identity = identity(stat);
        if let Some(id) = self.by_identity.get(&identity) {
            if let Some(node) = self.by_id.get_mut(id) {
                node.lookups = node.lookups.saturating_add(1);
            }
            return Ok(*id);
        }
        if self.by_id.len() >= self.limit {
            return Err(Errno::NFILE);
        }
        let id = self.next;
        self.next += 1;
        self.by_identity.insert(identity, id);
        self.by_id.insert(id, Node { fd, kind: kind(stat), identity, lookups: 1 });
        Ok(id)
    }

    /// Gives `lookups` of a node back. An unknown one is none of ours, whatever the guest says.
    pub(super) fn forget(&mut self, id: u64, lookups: u64) {
        if id == ROOT {
            return;
        }
        let Some(node) = self.by_id.get_mut(&id) else { return };
        node.lookups = node.lookups.saturating_sub(lookups);
        if node.lookups == 0 {
            self.by_identity.remove(&node.identity);
            self.by_id.remove(&id);
        }
    }

    /// The device of the root; inode numbers of other devices may be the same as its own.
    pub(super) fn root_device(&self) -> Option<(u32, u32)> {
        self.by_id.get(&ROOT).map(|root| root.identity.device)
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
