//! Packed layers.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::super::Limits;
use super::archive::{Archive, import_with};
use crate::Digest;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// More than the buffers between both threads hold.
fn large() -> Vec<u8> {
    let content: Vec<u8> = (0..5_000_000u32).map(|n| (n ^ n >> 7) as u8).collect();
    Archive::new().folder("d").file("d/large", &content).bytes()
}

/// Imports `packed`, which is `archive`, and checks what is said of both.
fn check(packed: &[u8], archive: &[u8]) {
    let imported = import_with(packed, &Limits::default()).unwrap();
    assert_eq!(imported.digest, Digest::of(packed));
    assert_eq!(imported.compressed_size, packed.len() as u64);
    assert_eq!(imported.diff_id, Digest::of(archive));
    assert_eq!(imported.uncompressed_size, archive.len() as u64);
    assert_eq!(imported.entries, 2);
}

#[test]
fn layer_that_is_not_packed_has_one_digest() {
    check(&large(), &large());
}

#[test]
fn layer_in_gzip_has_two_digests() {
    check(&gzip(&large()), &large());
}

#[test]
fn layer_in_several_members_of_gzip_is_one() {
    let archive = large();
    let (first, second) = archive.split_at(1_000_000);
    check(&[gzip(first), gzip(second)].concat(), &archive);
}

#[test]
fn layer_in_several_frames_of_zstd_is_one() {
    let archive = large();
    let (first, second) = archive.split_at(1_000_000);
    let frame = |bytes| zstd::encode_all(bytes, 1).unwrap();
    check(&[frame(first), frame(second)].concat(), &archive);
}

#[test]
fn bytes_behind_the_archive_belong_to_the_layer() {
    let archive = [large(), vec![0; 9216]].concat();
    check(&gzip(&archive), &archive);
}
