//! What a path is.

use agent_protocol::message::PathStatus;
use rustix::fs::{CWD, FileType, readlinkat};

use super::{ArchiveError, node::Node};

/// Looks at a path of the root that this process has.
pub(crate) fn status(path: &[u8]) -> Result<PathStatus, ArchiveError> {
    let absolute = absolute(b"/", path);
    let node = Node::open(CWD, &absolute).map_err(ArchiveError::opening(path))?;
    let mut link_target = Vec::new();
    if node.kind() == FileType::Symlink {
        let target = readlinkat(&node.fd, "", Vec::new())
            .map_err(|errno| ArchiveError::reading(path)(errno.into()))?;
        link_target = self::absolute(parent(&absolute), target.as_bytes());
    }
    let status = &node.status;
    let time = status.stx_mtime;
    let nanoseconds = time.tv_sec.saturating_mul(1_000_000_000);
    Ok(PathStatus {
        name: last_name(&absolute).to_vec(),
        size: status.stx_size,
        mode: status.stx_mode.into(),
        modified_ns: nanoseconds.saturating_add(time.tv_nsec.into()),
        link_target,
    })
}

/// A path's last name; `.` for the root.
pub(crate) fn last_name(path: &[u8]) -> &[u8] {
    let name = path.split(|byte| *byte == b'/').rev().find(|name| !name.is_empty());
    name.filter(|name| *name != b"..").unwrap_or(b".")
}

fn parent(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    path.get(..end).unwrap_or_default()
}

/// `path` from the root on, seen from `folder`. What `..` means behind a link is left to the kernel.
fn absolute(folder: &[u8], path: &[u8]) -> Vec<u8> {
    if path.starts_with(b"/") {
        return path.to_vec();
    }
    let folder = folder.strip_suffix(b"/").unwrap_or(folder);
    [folder, b"/", path].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_put_together() {
        assert_eq!(absolute(b"/", b"a/b"), b"/a/b");
        assert_eq!(absolute(b"/etc", b"x"), b"/etc/x");
        assert_eq!(absolute(b"/etc", b"/x"), b"/x");
        assert_eq!(last_name(b"/a/b/"), b"b");
        assert_eq!(last_name(b"/"), b".");
        assert_eq!(parent(b"/etc/x"), b"/etc");
        assert_eq!(parent(b"/x"), b"");
    }
}
