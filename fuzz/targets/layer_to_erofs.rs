//! Layers: what is imported is a file system that Linux would read, whatever the archive was.
#![no_main]

use std::fs::File;
use std::os::unix::fs::FileExt;

use fuzz::erofs;
use image::layer::{Limits, import};
use libfuzzer_sys::fuzz_target;
use rustix::fs::{MemfdFlags, memfd_create};

/// Bytes of a block of an archive.
const BLOCK: usize = 512;
/// Larger images are not looked at: their holes are all that is large.
const MAX_IMAGE: usize = 64 << 20;

/// Makes the checksum right in each block that looks like a header.
fn mend_checksums(archive: &mut [u8]) {
    for header in archive.chunks_exact_mut(BLOCK) {
        if header[257..262] == *b"ustar" {
            header[148..156].copy_from_slice(b"        ");
            let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut archive = bytes.to_vec();
    mend_checksums(&mut archive);
    let mut out = File::from(memfd_create(c"fuzz", MemfdFlags::CLOEXEC).expect("a file"));
    let limits =
        Limits { bytes: 16 << 20, entries: 1000, depth: 20, ratio: 1000, metadata: 1 << 20 };
    let Ok(imported) = import(&archive[..], &mut out, &limits) else { return };
    assert_eq!(imported.compressed_size, archive.len() as u64);
    let len = out.metadata().expect("its length").len() as usize;
    if len <= MAX_IMAGE {
        let mut image = vec![0; len];
        out.read_exact_at(&mut image, 0).expect("it is read");
        // The root is there without being in the archive; other inodes have an entry at least.
        assert!(erofs::check(&image) as u64 <= imported.entries + 1);
    }
});
