//! Layers of every kind of file.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::oracle::{both, differences, image_of, inode, run};

/// The folder as GNU tar packs it.
fn packed(folder: &Path, options: &[&str]) -> Vec<u8> {
    let archive = TempDir::new().unwrap();
    let path = archive.path().join("layer.tar");
    run(Command::new("tar").arg("-cf").arg(&path).args(options).arg("-C").arg(folder).arg("."));
    fs::read(path).unwrap()
}

#[test]
fn files_of_all_sizes_and_kinds_are_as_tar_unpacks_them() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    for size in [0, 1, 2048, 2049, 4095, 4096, 4097, 6144, 8191, 70_000, 1 << 20, 3_000_001] {
        let content: Vec<u8> = (0..size).map(|n: u32| (n % 251) as u8).collect();
        fs::write(path(&format!("file-{size}")), content).unwrap();
    }
    fs::create_dir_all(path("a/b/c")).unwrap();
    symlink("../x", path("a/short")).unwrap();
    symlink("y".repeat(4000), path("a/long")).unwrap();
    fs::hard_link(path("file-1"), path("a/hard")).unwrap();
    run(Command::new("mkfifo").arg(path("fifo")));
    let trees = both(&packed(folder.path(), &["--format=pax"]));
    assert_eq!(trees[0].len(), 12 + 8);
    assert_eq!(differences(&trees), [""; 0]);
}

#[test]
fn hard_links_are_one_inode_with_a_count() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("a"), "content").unwrap();
    fs::create_dir(folder.path().join("d")).unwrap();
    fs::hard_link(folder.path().join("a"), folder.path().join("d/b")).unwrap();
    let images = TempDir::new().unwrap();
    let image = images.path().join("image");
    image_of(&packed(folder.path(), &[]), &image);
    let (number, links) = inode(&image, "/a");
    assert_eq!((inode(&image, "/d/b").0, links.as_str()), (number, "2"));
    assert_eq!(inode(&image, "/").1, "3");
}
