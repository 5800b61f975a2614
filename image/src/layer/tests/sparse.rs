//! Sparse files, in each of GNU tar's forms.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::Command;

use tempfile::TempDir;

use super::archive::Archive;
use super::inspect::Image;
use super::oracle::{image_of, run};

/// A file's name and length, and where it has data.
type SparseFile = (&'static str, u64, Vec<(u64, usize)>);
type Files = [SparseFile];

/// Files with holes at the start, inside and at the end.
fn files() -> Vec<SparseFile> {
    let comb = (0..40).map(|n| (n * 65_536 + 8192, 4096)).collect();
    vec![
        ("empty", 10_000_000, vec![]),
        ("ends", 5_000_001, vec![(0, 5000), (4_999_999, 2)]),
        // Chunks of two blocks.
        ("middle", (64 << 20) + 1, vec![((1 << 25) + 100, 70_000)]),
        ("comb", 40 * 65_536, comb),
    ]
}

/// The files packed by tar.
fn packed(files: &Files, options: &[&str]) -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    for (name, len, data) in files {
        let file = File::create_new(folder.path().join(name)).unwrap();
        file.set_len(*len).unwrap();
        for (n, (offset, len)) in (1..).zip(data) {
            file.write_all_at(&vec![n; *len], *offset).unwrap();
        }
    }
    let archive = folder.path().with_extension("tar");
    let mut tar = Command::new("tar");
    run(tar.arg("-Scf").arg(&archive).args(options).arg("-C").arg(folder.path()).arg("."));
    let bytes = fs::read(&archive).unwrap();
    fs::remove_file(archive).unwrap();
    bytes
}

/// Imports the files as tar packs them, and compares what comes out.
fn check(options: &[&str]) {
    let image = Image::of(&packed(&files(), options));
    for (name, len, data) in files() {
        let content = image.chunks(&format!("/{name}"));
        let mut expected = vec![0; len as usize];
        for (n, (offset, len)) in (1..).zip(data) {
            expected[offset as usize..][..len].fill(n);
        }
        assert!(content == expected, "{name} differs");
    }
}

#[test]
fn tables_of_gnu_headers_are_understood() {
    check(&["--format=gnu"]);
}

#[test]
fn records_of_version_0_0_are_understood() {
    check(&["--format=pax", "--sparse-version=0.0"]);
}

#[test]
fn lists_of_version_0_1_are_understood() {
    check(&["--format=pax", "--sparse-version=0.1"]);
}

#[test]
fn maps_of_version_1_0_are_understood() {
    check(&["--format=pax", "--sparse-version=1.0"]);
}

#[test]
fn holes_take_no_space_in_the_image() {
    let folder = TempDir::new().unwrap();
    let image = folder.path().join("image");
    image_of(&packed(&files(), &["--format=pax"]), &image);
    let metadata = fs::metadata(&image).unwrap();
    assert!(metadata.len() < 1 << 20, "{}", metadata.len());
    assert!(metadata.blocks() * 512 < 700_000, "{}", metadata.blocks());
}

#[test]
fn zeroes_take_no_space_on_the_host() {
    let folder = TempDir::new().unwrap();
    let image = folder.path().join("image");
    image_of(&Archive::new().file("zeroes", &vec![0; 8 << 20]).bytes(), &image);
    let metadata = fs::metadata(&image).unwrap();
    assert!(metadata.len() > 8 << 20 && metadata.blocks() < 512, "{}", metadata.blocks());
}

#[test]
fn maps_that_overlap_or_leave_the_file_are_refused() {
    for map in ["512,512,0,512", "0,512,511,512", "0,1025", "0,512", "0,x", "0"] {
        let records = [("GNU.sparse.map", map.as_bytes()), ("GNU.sparse.size", b"1024")];
        let error = Archive::new().extended(&records).file("f", &[1; 1024]).error();
        assert!(error.starts_with("the layer's archive is damaged: "), "{map}: {error}");
    }
}

#[test]
fn sparse_file_of_more_than_16_tib_is_refused() {
    let size = (16u64 << 40).to_string();
    let records = |size: &str| {
        let records = [("GNU.sparse.map", &b"0,512"[..]), ("GNU.sparse.size", size.as_bytes())];
        Archive::new().extended(&records).file("f", &[1; 512])
    };
    assert!(records(&size).import().is_ok());
    let error = records("17592186044417").error();
    assert!(error.ends_with("it has 17592186044417 bytes, more than a file can have"), "{error}");
}
