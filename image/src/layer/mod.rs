//! Layers: archives of files, packed or not, made into read-only file systems while they come.
//!
//! ```text
//! reader ─► SHA-256 ─► gunzip ─►│─► SHA-256 ─► tar ─► EROFS
//!           the thread "unpack" │  the caller's thread
//! ```
//!
//! Files go from the buffer that was unpacked straight to their place in the image. Nothing of a
//! layer ever is a file of the host: its paths, links and devices are data.

mod error;
mod files;
mod limits;
mod packing;
mod path;
mod stream;
mod tar;

use std::fs::File;
use std::io::Read;
use std::thread;

pub use error::{EntryError, ImportError};
pub use limits::Limits;
pub use packing::Packing;

use crate::Digest;
use crate::erofs::Image;
pub use crate::erofs::XattrError;
use files::Files;
use stream::{Measured, Stream};
use tar::Archive;

/// What a layer was that was imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// Digest of what was read: the layer's in a manifest.
    pub digest: Digest,
    /// How many bytes were read.
    pub compressed_size: u64,
    /// Digest of the archive without its packing: the layer's in an image's configuration.
    pub diff_id: Digest,
    /// Bytes of that archive.
    pub uncompressed_size: u64,
    /// Files in it, of all kinds.
    pub entries: u64,
}

/// Reads a layer to its end and writes it to `out`, whose former contents are gone, as an EROFS
/// image for overlayfs: with devices 0:0 for whiteouts and `trusted.overlay.opaque` for opaque
/// directories.
///
/// Digests are for the caller to compare. Nothing is made durable, and when this fails `out` holds
/// no file system.
///
/// # Errors
///
/// The layer cannot be read or is none, a limit is exceeded, or the image cannot be written.
pub fn import(
    reader: impl Read + Send,
    out: &mut File,
    limits: &Limits,
) -> Result<Imported, ImportError> {
    let mut image = Image::new(out).map_err(ImportError::Write)?;
    thread::scope(|scope| {
        let (stream, unpacker) = stream::unpack(scope, reader, limits)?;
        let written = write_files(stream, &mut image, limits);
        // A scope waits for what its threads do, not for their end: here, that no caller meets the
        // rest of one that has failed.
        let read = unpacker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let (entries, unpacked) = written?;
        let packed = read.ok_or(ImportError::Truncated)?;
        image.finish(unpacked.digest.uuid()).map_err(ImportError::Write)?;
        Ok(Imported {
            digest: packed.digest,
            compressed_size: packed.size,
            diff_id: unpacked.digest,
            uncompressed_size: unpacked.size,
            entries,
        })
    })
}

/// Writes all files of `stream`, and says how many they were and what all of it was.
fn write_files(
    mut stream: Stream<'_>,
    image: &mut Image<'_>,
    limits: &Limits,
) -> Result<(u64, Measured), ImportError> {
    let entries = Files::new(image, limits).add_all(&mut Archive::new(&mut stream))?;
    Ok((entries, stream.finish()?))
}

#[cfg(test)]
mod tests;
