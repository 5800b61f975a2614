use std::os::unix::fs::FileExt;
use std::process::Command;
use std::sync::Arc;

use tempfile::NamedTempFile;
use vm_memory::GuestAddress;

use super::*;
use crate::disk::OpenOptions;
use crate::memory::GuestRam;

const MIB: u64 = 1 << 20;

/// A part of `len` bytes of `fill`, and the file behind it.
fn part(len: u64, fill: u8) -> (FileDisk, NamedTempFile) {
    let file = NamedTempFile::new().unwrap();
    file.as_file().write_all_at(&vec![fill; len as usize], 0).unwrap();
    let options = OpenOptions { read_only: true, direct: false };
    (FileDisk::open(file.path(), options).unwrap(), file)
}

fn read(disk: &CompositeDisk, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let ram = GuestRam::from_ranges(&[(GuestAddress(0), 8 << 20)]).unwrap();
    let mut data = Buffers::new(Arc::new(ram));
    // Two ranges, so that borders are crossed within ranges and between them.
    data.push(GuestAddress(4 << 20), len / 3);
    data.push(GuestAddress(0), len - len / 3);
    data.copy_from(&vec![0xee; len])?;
    disk.read(data.clone(), offset)?;
    let mut bytes = vec![0; len];
    data.copy_to(&mut bytes)?;
    Ok(bytes)
}

/// The partitions that fdisk finds on the disk with blocks of `block` bytes: first block, blocks,
/// name.
fn fdisk(disk: &CompositeDisk, block: u32) -> Vec<String> {
    let image = NamedTempFile::new().unwrap();
    let whole = read(disk, 0, disk.size() as usize).unwrap();
    image.as_file().write_all_at(&whole, 0).unwrap();
    let output = Command::new("fdisk")
        .args(["--list", "--output", "Start,Sectors,Type,Name", "--sector-size"])
        .arg(block.to_string())
        .arg(image.path())
        .env("LC_ALL", "C")
        .output()
        .expect("fdisk is installed (scripts/setup test)");
    // What it finds wrong with either table is there.
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && stderr.is_empty(), "{stderr}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("Disklabel type: gpt"), "{text}");
    let partitions = text.lines().filter(|line| line.contains("Linux filesystem"));
    partitions.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn parts_are_partitions_to_other_programs() {
    let (a, _a) = part(4096, b'a');
    let (b, _b) = part(MIB + 512, b'b');
    let disk = CompositeDisk::new(vec![a, b], 512).unwrap();
    let found = fdisk(&disk, 512);
    assert_eq!(found, ["2048 8 Linux filesystem part-1", "4096 2049 Linux filesystem part-2"]);
}

#[test]
fn partitions_of_a_disk_with_large_blocks_are_whole_blocks() {
    let (a, _a) = part(4097, b'a');
    let disk = CompositeDisk::new(vec![a], 4096).unwrap();
    assert_eq!(fdisk(&disk, 4096), ["256 2 Linux filesystem part-1"]);
    let read = read(&disk, MIB + 4095, 4097).unwrap();
    assert_eq!((&read[..2], read[2..].iter().all(|byte| *byte == 0)), (&b"aa"[..], true));
}

#[test]
fn disk_of_128_parts_has_all_of_them() {
    let (parts, _files): (Vec<_>, Vec<_>) = (0..ENTRIES).map(|_| part(512, 1)).unzip();
    let disk = CompositeDisk::new(parts, 512).unwrap();
    assert_eq!(disk.size(), 128 * MIB + 512 + 33 * 512 + 3072);
    assert_eq!(read(&disk, 128 * MIB, 513).unwrap()[511..], [1, 0]);
}

#[test]
fn read_across_borders_joins_table_gap_and_parts() {
    let (a, _a) = part(MIB, b'a');
    let (b, _b) = part(4096, b'b');
    let disk = CompositeDisk::new(vec![a, b], 512).unwrap();
    assert_eq!(read(&disk, 510, 10).unwrap(), b"\x55\xaaEFI PART");
    assert_eq!(read(&disk, MIB - 2, 4).unwrap(), b"\0\0aa");
    assert_eq!(read(&disk, 2 * MIB - 2, 4).unwrap(), b"aabb");
    let all = read(&disk, MIB - 1, MIB as usize + 4098).unwrap();
    let count = |byte| all.iter().filter(|found| **found == byte).count() as u64;
    assert_eq!((count(b'a'), count(b'b'), count(0)), (MIB, 4096, 2));
}

#[test]
fn read_past_the_end_fails() {
    let (a, _a) = part(512, b'a');
    let disk = CompositeDisk::new(vec![a], 512).unwrap();
    let size = disk.size();
    assert!(read(&disk, size - 512, 512).is_ok());
    let error = read(&disk, size - 512, 513).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    let error = read(&disk, u64::MAX, 1).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn part_that_shrinks_fails_its_reads_and_no_others() {
    let (a, file) = part(8192, b'a');
    let (b, _b) = part(512, b'b');
    let disk = CompositeDisk::new(vec![a, b], 512).unwrap();
    file.as_file().set_len(4096).unwrap();
    let error = read(&disk, MIB + 4095, 2).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(read(&disk, 2 * MIB, 1).unwrap(), b"b");
}

#[test]
fn nothing_is_written() {
    let (a, _a) = part(512, b'a');
    let disk = CompositeDisk::new(vec![a], 512).unwrap();
    let ram = GuestRam::from_ranges(&[(GuestAddress(0), 4096)]).unwrap();
    let mut data = Buffers::new(Arc::new(ram));
    data.push(GuestAddress(0), 1);
    let error = disk.write(data, MIB).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ReadOnlyFilesystem);
    assert_eq!(read(&disk, MIB, 1).unwrap(), b"a");
}

#[test]
fn empty_part_is_refused_by_name() {
    let (a, file) = part(0, 0);
    let error = CompositeDisk::new(vec![a], 512).unwrap_err();
    assert_eq!(error, NewCompositeError::Empty { path: file.path().to_owned() });
}

#[test]
fn part_129_is_refused() {
    let (parts, _files): (Vec<_>, Vec<_>) = (0..=ENTRIES).map(|_| part(512, 1)).unzip();
    let error = CompositeDisk::new(parts, 512).unwrap_err();
    assert_eq!(error, NewCompositeError::TooLarge { parts: 129, bytes: 129 * 512 });
}
