//! The kind of each file, its contents and its attributes: as GNU tar unpacks an archive, and as
//! `fsck.erofs` unpacks the image made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::Digest;

use super::super::{Imported, Limits, import};

/// What is known of a file that was unpacked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    kind: String,
    mode: u32,
    owner: (u32, u32),
    size: u64,
    device: u64,
    mtime: (i64, i64),
    content: Digest,
}

/// Runs a program that must succeed.
pub(super) fn run(command: &mut Command) {
    let output = command.output().expect("the program is installed (scripts/setup test)");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{command:?}: {stderr}{stdout}");
}

/// Imports an archive into `image`.
pub(super) fn image_of(archive: &[u8], image: &Path) -> Imported {
    let mut out =
        File::options().read(true).write(true).create(true).truncate(true).open(image).unwrap();
    import(archive, &mut out, &Limits::default()).unwrap()
}

/// All files below `root` by their paths.
pub(super) fn tree(root: &Path) -> BTreeMap<String, Seen> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
        paths.push(folder);
        for path in paths {
            let metadata = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            let is_new = found.insert(name, seen(&path, &metadata)).is_none();
            if is_new && metadata.is_dir() && path != *root {
                folders.push(path);
            }
        }
    }
    found
}

fn seen(path: &Path, metadata: &fs::Metadata) -> Seen {
    let kind = metadata.file_type();
    let (kind, content) = if kind.is_file() {
        ("file", fs::read(path).unwrap())
    } else if kind.is_symlink() {
        ("symlink", fs::read_link(path).unwrap().into_os_string().into_encoded_bytes())
    } else if kind.is_dir() {
        ("directory", Vec::new())
    } else if kind.is_char_device() {
        ("character device", Vec::new())
    } else if kind.is_block_device() {
        ("block device", Vec::new())
    } else {
        ("fifo", Vec::new())
    };
    let is_dir = metadata.is_dir();
    Seen {
        kind: kind.to_owned(),
        mode: metadata.mode(),
        owner: (metadata.uid(), metadata.gid()),
        // File systems differ in what it is for directories.
        size: if is_dir { 0 } else { metadata.size() },
        device: metadata.rdev(),
        mtime: (metadata.mtime(), metadata.mtime_nsec()),
        content: Digest::of(&content),
    }
}

/// Checks an image with `fsck.erofs`.
pub(super) fn check(image: &Path) {
    run(Command::new("fsck.erofs").arg(image));
}

/// Unpacks an archive as GNU tar does, and its image as `fsck.erofs` does; returns both.
pub(super) fn both(archive: &[u8]) -> [BTreeMap<String, Seen>; 2] {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("layer.tar"), archive).unwrap();
    fs::create_dir(path("tar")).unwrap();
    run(Command::new("tar")
        .args(["--delay-directory-restore", "-xpf"])
        .arg(path("layer.tar"))
        .arg("-C")
        .arg(path("tar")));
    image_of(archive, &path("image"));
    check(&path("image"));
    let extract = format!("--extract={}", path("erofs").display());
    run(Command::new("fsck.erofs").args([&extract, "--preserve"]).arg(path("image")));
    [tree(&path("tar")), tree(&path("erofs"))]
}

/// What `dump.erofs` says of the file at `path` of an image: number and count of links.
pub(super) fn inode(image: &Path, path: &str) -> (String, String) {
    let [number, links] = dumped(image, path, ["NID:", "Links:"]);
    (number, links)
}

/// The words after these labels of what `dump.erofs` says of the file at `path` of an image.
pub(super) fn dumped<const N: usize>(image: &Path, path: &str, labels: [&str; N]) -> [String; N] {
    let output = Command::new("dump.erofs").arg(format!("--path={path}")).arg(image).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    labels.map(|label| {
        let rest = text.split_once(label).expect(label).1;
        rest.split_whitespace().next().unwrap_or_default().to_owned()
    })
}

/// What both have not in common, for a message that can be read.
pub(super) fn differences([tar, erofs]: &[BTreeMap<String, Seen>; 2]) -> Vec<String> {
    let names: BTreeSet<_> = tar.keys().chain(erofs.keys()).collect();
    let differ = names.into_iter().filter(|name| tar.get(*name) != erofs.get(*name));
    differ.map(|name| format!("{name}: {:?} {:?}", tar.get(name), erofs.get(name))).collect()
}
