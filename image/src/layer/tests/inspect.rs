//! The bytes of an image, for what no program of erofs-utils shows (attributes) or unpacks (holes).
//!
//! Inodes are found by `dump.erofs`. The kernel's own reading is tested in guests.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::archive::Archive;
use super::oracle::{check, image_of};

/// An image.
pub(super) struct Image {
    bytes: Vec<u8>,
    path: PathBuf,
    _folder: TempDir,
}

impl Image {
    pub(super) fn of(archive: &[u8]) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("image");
        image_of(archive, &path);
        check(&path);
        Self { bytes: fs::read(&path).unwrap(), path, _folder: folder }
    }

    /// The same of an archive that has no end yet.
    pub(super) fn packed(archive: Archive) -> Self {
        Self::of(&archive.bytes())
    }

    /// What `dump.erofs` says of a file; `None` if there is none.
    pub(super) fn dump(&self, path: &str) -> Option<String> {
        let output =
            Command::new("dump.erofs").arg(format!("--path={path}")).arg(&self.path).output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        text.contains("NID:").then_some(text)
    }

    /// The inode of a file, as bytes, and what follows it.
    pub(super) fn inode(&self, path: &str) -> &[u8] {
        let text = self.dump(path).expect(path);
        let number = text.split_once("NID:").unwrap().1.split_whitespace().next().unwrap();
        let meta = u32::from_le_bytes(self.bytes[1024 + 40..1024 + 44].try_into().unwrap());
        &self.bytes[meta as usize * 4096 + 32 * number.parse::<usize>().unwrap()..]
    }

    /// A number of four bytes at `at`.
    fn word(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
    }

    /// What a file in chunks holds.
    pub(super) fn chunks(&self, path: &str) -> Vec<u8> {
        let inode = self.inode(path);
        assert_eq!(inode[0] >> 1, 4, "{path} is not in chunks");
        let size = Self::word(inode, 8) as usize;
        let chunk = 4096 << (Self::word(inode, 16) & 31);
        let mut content = vec![0; size];
        for (n, part) in content.chunks_mut(chunk).enumerate() {
            let block = Self::word(inode, 64 + 4 * n);
            if block != u32::MAX {
                let at = block as usize * 4096;
                part.copy_from_slice(&self.bytes[at..at + part.len()]);
            }
        }
        content
    }

    pub(super) fn is_whiteout(&self, path: &str) -> bool {
        let inode = self.inode(path);
        inode[4..6] == 0o020_000u16.to_le_bytes() && inode[16..20] == [0; 4]
    }

    /// The extended attributes' entries.
    pub(super) fn xattrs(&self, path: &str) -> &[u8] {
        let inode = self.inode(path);
        let units = usize::from(u16::from_le_bytes([inode[2], inode[3]]));
        if units == 0 { &[] } else { &inode[64 + 12..64 + 12 + 4 * (units - 1)] }
    }
}
