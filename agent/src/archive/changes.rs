//! What differs in a container from its image.

use std::{
    io::Write,
    os::fd::{AsFd, OwnedFd},
};

use rustix::fs::{FileType, StatxTimestamp};

use super::{
    ArchiveError,
    node::{Node, join, names_in},
};

/// As deep as archives go.
const DEEPEST: usize = 1000;

/// Writes a record for each difference: `C`, `A` or `D`, a space, the path, a NUL byte. Bare mount
/// points of the agent's, `own`, are none.
pub(crate) fn compare(
    upper: &OwnedFd,
    lower: &OwnedFd,
    own: &[Vec<u8>],
    sink: impl Write,
) -> Result<(), ArchiveError> {
    let mut comparison = Comparison { own, unsaid: Vec::new(), sink };
    comparison.folder(upper, Some(lower), b"", 0)?;
    comparison.sink.flush().map_err(ArchiveError::Transfer)
}

struct Comparison<'a, W> {
    own: &'a [Vec<u8>],
    /// Folders around this one that have not changed themselves: they count as changed as soon as
    /// something in them does.
    unsaid: Vec<Vec<u8>>,
    sink: W,
}

impl<W: Write> Comparison<'_, W> {
    fn folder(
        &mut self,
        upper: impl AsFd,
        lower: Option<&OwnedFd>,
        path: &[u8],
        depth: usize,
    ) -> Result<(), ArchiveError> {
        if depth > DEEPEST {
            return Err(ArchiveError::TooDeep(crate::container::path::display(path)));
        }
        for name in names_in(&upper).map_err(ArchiveError::reading(path))? {
            let path = join(path, name.to_bytes());
            // Deleted meanwhile.
            let Ok(node) = Node::open(&upper, name.to_bytes()) else { continue };
            let below = lower.and_then(|lower| Node::open(lower, name.to_bytes()).ok());
            if below.is_none() && self.own.contains(&path) && self.is_empty(&node) {
                continue;
            }
            let kind = match &below {
                Some(_) if node.is_whiteout() => b'D',
                None if node.is_whiteout() => continue,
                Some(_) => b'C',
                None => b'A',
            };
            let below = below.filter(|below| below.kind() == FileType::Directory);
            let said = !self.is_same_folder(&node, below.as_ref(), &path);
            if said {
                self.record(kind, &path)?;
            } else {
                self.unsaid.push(path.clone());
            }
            if node.kind() == FileType::Directory {
                let below = below.map(|below| below.fd);
                self.folder(&node.fd, below.as_ref(), &path, depth + 1)?;
            }
            if !said && self.unsaid.last() == Some(&path) {
                self.unsaid.pop();
            }
        }
        Ok(())
    }

    /// Whether a folder is only here for what is in it.
    fn is_same_folder(&self, node: &Node, below: Option<&Node>, path: &[u8]) -> bool {
        let Some(below) = below.filter(|_| node.kind() == FileType::Directory) else {
            return false;
        };
        let (new, old) = (&node.status, &below.status);
        let same =
            (new.stx_mode, new.stx_uid, new.stx_gid) == (old.stx_mode, old.stx_uid, old.stx_gid);
        // The agent's mount points in it gave it another time.
        let within = |own: &Vec<u8>| own.strip_prefix(path).is_some_and(|it| it.starts_with(b"/"));
        let time = |of: &StatxTimestamp| (of.tv_sec, of.tv_nsec);
        let same_time = time(&new.stx_mtime) == time(&old.stx_mtime);
        same && (same_time || self.own.iter().any(within))
    }

    fn is_empty(&self, node: &Node) -> bool {
        match node.kind() {
            FileType::Directory => names_in(&node.fd).is_ok_and(|names| names.is_empty()),
            _ => node.status.stx_size == 0,
        }
    }

    fn record(&mut self, kind: u8, path: &[u8]) -> Result<(), ArchiveError> {
        for folder in std::mem::take(&mut self.unsaid) {
            self.write(b'C', &folder)?;
        }
        self.write(kind, path)
    }

    fn write(&mut self, kind: u8, path: &[u8]) -> Result<(), ArchiveError> {
        let record = [&[kind, b' ', b'/'], path, b"\0"].concat();
        self.sink.write_all(&record).map_err(ArchiveError::Transfer)
    }
}
