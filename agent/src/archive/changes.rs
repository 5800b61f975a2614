//! What differs in a container from its image.

use std::{
    io::Write,
    os::fd::{AsFd, OwnedFd},
};

use rustix::fs::FileType;

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
    let mut comparison = Comparison { own, sink };
    comparison.folder(upper, Some(lower), b"", 0)?;
    comparison.sink.flush().map_err(ArchiveError::Transfer)
}

struct Comparison<'a, W> {
    own: &'a [Vec<u8>],
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
            self.record(kind, &path)?;
            if node.kind() == FileType::Directory {
                let below = below.filter(|below| below.kind() == FileType::Directory);
                let below = below.map(|below| below.fd);
                self.folder(&node.fd, below.as_ref(), &path, depth + 1)?;
            }
        }
        Ok(())
    }

    fn is_empty(&self, node: &Node) -> bool {
        match node.kind() {
            FileType::Directory => names_in(&node.fd).is_ok_and(|names| names.is_empty()),
            _ => node.status.stx_size == 0,
        }
    }

    fn record(&mut self, kind: u8, path: &[u8]) -> Result<(), ArchiveError> {
        let record = [&[kind, b' ', b'/'], path, b"\0"].concat();
        self.sink.write_all(&record).map_err(ArchiveError::Transfer)
    }
}
