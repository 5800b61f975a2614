//! Layers of every kind of file.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::super::{Limits, import};
use super::archive::Archive;
use super::oracle::{both, check, differences, dumped, image_of, inode, run};

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

#[test]
fn long_names_of_gnu_and_posix_are_whole() {
    let folder = TempDir::new().unwrap();
    let deep = ["n".repeat(200), "m".repeat(255), "o".repeat(120)].join("/");
    fs::create_dir_all(folder.path().join(&deep)).unwrap();
    fs::write(folder.path().join(&deep).join("p".repeat(255)), "x").unwrap();
    symlink("t".repeat(300), folder.path().join("link")).unwrap();
    fs::write(folder.path().join("r".repeat(101)), "y").unwrap();
    fs::hard_link(folder.path().join("r".repeat(101)), folder.path().join("hard")).unwrap();
    for format in ["--format=gnu", "--format=pax"] {
        assert_eq!(differences(&both(&packed(folder.path(), &[format]))), [""; 0], "{format}");
    }
}

#[test]
fn name_divided_by_posix_is_joined() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("a".repeat(90))).unwrap();
    fs::write(folder.path().join("a".repeat(90)).join("b".repeat(90)), "x").unwrap();
    assert_eq!(differences(&both(&packed(folder.path(), &["--format=ustar"]))), [""; 0]);
}

#[test]
fn directory_of_many_blocks_has_all_its_names() {
    let folder = TempDir::new().unwrap();
    for n in 0..3000 {
        // Names of every length, some of which sort before `.`.
        let name = format!("{}{n}-{}", if n % 3 == 0 { "!" } else { "n" }, "x".repeat(n % 200));
        fs::write(folder.path().join(name), "").unwrap();
    }
    let trees = both(&packed(folder.path(), &[]));
    assert_eq!(trees[0].len(), 3001);
    assert_eq!(differences(&trees), [""; 0]);
}

#[test]
fn devices_have_their_numbers() {
    let archive = Archive::new()
        .folder("./")
        .device(b'3', "null", 1, 3)
        .device(b'4', "disk", 259, 0xf_edcb)
        .device(b'3', "last", 4095, 0xf_ffff);
    let trees = both(&archive.bytes());
    assert_eq!(trees[0].len(), 4);
    assert_eq!(differences(&trees), [""; 0]);
}

#[test]
fn owners_modes_and_times_are_kept_to_their_ends() {
    let last = u32::MAX - 1;
    let archive = Archive::new()
        .folder("./")
        .extended(&[("uid", last.to_string().as_bytes()), ("gid", b"70000")])
        .with(b'0', "f", b"x", |header| header[100..108].copy_from_slice(b"0101777\0"))
        .extended(&[("mtime", b"-1.5")])
        .file("old", b"x")
        .extended(&[("mtime", b"4294967296.123456789")])
        .file("new", b"x")
        .with(b'0', "binary", b"x", |header| {
            header[108..116].copy_from_slice(b"\x80\0\0\0\0\x01\x11\x70");
        })
        .with(b'0', "before-posix/", b"", |header| header[156] = 0);
    assert_eq!(differences(&both(&archive.bytes())), [""; 0]);
}

#[test]
fn last_entry_of_a_name_counts() {
    let archive = Archive::new()
        .folder("./")
        .file("a", b"first")
        .file("a", b"second")
        .file("d/x", b"x")
        .folder("d")
        .link(b'2', "s", "d")
        .file("s", b"no link any more")
        .folder("s2")
        .file("s2/x", b"x")
        .link(b'1', "h", "a");
    let trees = both(&archive.bytes());
    assert_eq!(trees[0].len(), 8);
    assert_eq!(differences(&trees), [""; 0]);
}

#[test]
fn file_in_the_place_of_a_directory_and_the_other_way_round() {
    let image = TempDir::new().unwrap();
    let archive = Archive::new().file("a/b", b"x").file("a", b"file").file("c", b"").folder("c");
    let imported = image_of(&archive.bytes(), &image.path().join("image"));
    assert_eq!(imported.entries, 5);
    check(&image.path().join("image"));
    assert!(inode(&image.path().join("image"), "/c").1 == "2");
}

#[test]
fn directories_that_are_not_in_the_archive_are_made() {
    let archive = Archive::new().file("a/b/c", b"x");
    let [_, erofs] = both(&archive.bytes());
    assert_eq!(erofs.into_keys().collect::<Vec<_>>(), ["", "a", "a/b", "a/b/c"]);
}

#[test]
fn global_headers_are_comments() {
    let imported =
        Archive::new().with(b'g', "g", b"9 path=a\n", |_| ()).file("b", b"").import().unwrap();
    assert_eq!(imported.entries, 1);
}

#[test]
fn same_layer_makes_the_same_image() {
    let images = TempDir::new().unwrap();
    let [a, b] = ["a", "b"].map(|name| images.path().join(name));
    let archive = || Archive::new().file("x/y", &[7; 9000]).link(b'2', "z", "y").bytes();
    image_of(&archive(), &a);
    fs::write(&b, vec![0xff; 100_000]).unwrap();
    let mut out = fs::File::options().read(true).write(true).open(&b).unwrap();
    import(&archive()[..], &mut out, &Limits::default()).unwrap();
    assert!(fs::read(a).unwrap() == fs::read(b).unwrap());
}

#[test]
fn symbolic_link_is_for_everybody_whatever_its_archive_says() {
    let folder = TempDir::new().unwrap();
    let image = folder.path().join("image");
    // Its mode there is 0644.
    image_of(&Archive::new().link(b'2', "link", "to").bytes(), &image);
    assert_eq!(dumped(&image, "/link", ["Access:"]), ["0777/rwxrwxrwx"]);
}
