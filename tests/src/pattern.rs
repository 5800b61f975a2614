//! Bytes that arrive nowhere by chance.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// `length` bytes of which no two aligned groups of eight are alike.
pub fn pattern(length: usize) -> Vec<u8> {
    // An odd factor permutes the 64-bit numbers.
    let words = (1u64..).flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    words.take(length).collect()
}

/// `length` bytes of a file from `offset` on.
///
/// # Errors
///
/// It is shorter, or cannot be read.
pub fn read_range(path: &Path, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    File::open(path)?.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}
