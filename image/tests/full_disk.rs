//! A store on a disk that gets full: on a small file system in a mount namespace of the test's.
#![allow(clippy::unwrap_used)]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use image::archive::Import;
use image::{Image, Store};

/// Mounts two mebibytes at the first argument and runs the rest.
const SMALL_DISK: &str = r#"mount -t tmpfs -o size=2m none "$1" && shift && exec "$@""#;

#[test]
fn full_disk_leaves_the_store_as_it_was() {
    run("store_on_a_full_disk");
}

#[test]
fn full_disk_leaves_the_index_as_it_was() {
    run("index_on_a_full_disk");
}

/// Runs a test of this file on a disk of its own.
fn run(test: &str) {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", SMALL_DISK, "sh"])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", test])
        .env("FOLDER", folder.path())
        .output()
        .expect("unshare, of util-linux, is needed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{error}");
}

struct Disk {
    folder: PathBuf,
    store: Store,
    small: Image,
}

impl Disk {
    fn new() -> Self {
        let folder = PathBuf::from(std::env::var_os("FOLDER").unwrap());
        let store = Store::open(&folder.join("images")).unwrap();
        store.import(archive(1_000).as_slice(), &named("small")).unwrap();
        let small = store.find("small").unwrap();
        Self { folder, store, small }
    }

    fn count(&self, folder: &str) -> usize {
        fs::read_dir(self.folder.join("images").join(folder)).unwrap().count()
    }

    fn is_as_it_was(&self) {
        let image = self.store.find("small").unwrap();
        assert_eq!((image.id(), image.layers()), (self.small.id(), self.small.layers()));
        assert!(image.layers()[0].is_file());
        assert_eq!((self.count("layers"), self.count("temporary")), (1, 0));
        assert_eq!(self.store.images().len(), 1);
    }
}

fn named(name: &str) -> Import {
    Import { name: Some(name.parse().unwrap()), ..Import::default() }
}

/// An archive of a file that does not compress.
fn archive(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let content: Vec<u8> = noise.take(length).collect();
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(length as u64);
    archive.append_data(&mut header, "noise", content.as_slice()).unwrap();
    archive.into_inner().unwrap()
}

fn chain(error: &dyn Error) -> String {
    let source = error.source().map(chain).unwrap_or_default();
    format!("{error}: {source}")
}

/// Takes all room that is left.
fn fill(path: &Path) {
    let mut size = 1 << 20;
    let mut content = Vec::new();
    while size > 0 {
        content.resize(content.len() + size, 0);
        if fs::write(path, &content).is_err() {
            content.truncate(content.len() - size);
            size /= 2;
        }
    }
}

#[test]
#[ignore = "run by full_disk_leaves_the_store_as_it_was"]
fn store_on_a_full_disk() {
    let disk = Disk::new();
    let error = disk.store.import(archive(8 << 20).as_slice(), &named("large")).unwrap_err();
    assert!(chain(&error).contains("No space left on device"), "{}", chain(&error));
    disk.is_as_it_was();
    disk.store.import(archive(2_000).as_slice(), &named("other")).unwrap();
}

#[test]
#[ignore = "run by full_disk_leaves_the_index_as_it_was"]
fn index_on_a_full_disk() {
    let disk = Disk::new();
    let filler = disk.folder.join("filler");
    fill(&filler);
    let error = disk.store.tag("small", &"again".parse().unwrap()).unwrap_err();
    assert!(chain(&error).contains("No space left on device"), "{}", chain(&error));
    assert!(disk.store.find("again").is_err());
    disk.is_as_it_was();
    fs::remove_file(&filler).unwrap();
    disk.store.tag("small", &"again".parse().unwrap()).unwrap();
    let Disk { folder, store, small } = disk;
    drop(store);
    let store = Store::open(&folder.join("images")).unwrap();
    assert_eq!(store.find("again").unwrap().id(), small.id());
}
