//! Reading an archive in one pass, whatever the order of its files.
//!
//! What looks like a layer becomes one at once; small documents are kept until all is read. Then
//! the documents say which layers make an image, and the others are garbage.

use std::cell::Cell;
use std::collections::HashMap;
use std::io::{self, Cursor, Read};

use tar::{Archive, Entry, EntryType};

use super::ArchiveError;
use super::bounds::{Bounded, Counted, after};
use super::layout::{BLOBS, Links, MANIFEST, normal};
use super::pump::pump;
use crate::config::MAX_CONFIG;
use crate::store::{Expected, ImageId, Layer, Lease, Store, StoreError};
use crate::{Digest, Reference};

/// All documents of an archive together, and what is kept of its other files.
const MAX_DOCUMENTS: u64 = 64 << 20;
/// What a file counts for besides its names.
const FILE_COST: u64 = 256;

const BLOCK: usize = 512;

/// An image of an archive that is now in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The image.
    pub id: ImageId,
    /// The names that the archive gave it.
    pub names: Vec<Reference>,
}

/// What was read of an archive.
pub(super) struct Contents {
    pub(super) documents: HashMap<String, Vec<u8>>,
    pub(super) layers: HashMap<String, Layer>,
    /// Why what looked like a layer was none.
    pub(super) refused: HashMap<String, StoreError>,
    pub(super) links: Links,
    pub(super) lease: Lease,
}

impl Store {
    /// Takes up the images of an archive: Docker's form, or an OCI layout in a tar file. Both may
    /// be packed with gzip or zstd. Blocks while it reads.
    ///
    /// # Errors
    ///
    /// The archive cannot be read, lacks something, or is not what its digests say.
    pub fn load(&self, source: impl Read) -> Result<Vec<Loaded>, ArchiveError> {
        let loaded = self.take_archive(source);
        // Also what came of an archive that was refused.
        let collected = self.collect_garbage();
        let loaded = loaded?;
        collected?;
        Ok(loaded)
    }

    fn take_archive(&self, source: impl Read) -> Result<Vec<Loaded>, ArchiveError> {
        let mut contents = Contents {
            documents: HashMap::new(),
            layers: HashMap::new(),
            refused: HashMap::new(),
            links: Links::default(),
            lease: self.lease(),
        };
        contents.read(self, source)?;
        let images = match contents.documents.contains_key(MANIFEST) {
            true => contents.docker_images()?,
            false => contents.oci_images()?,
        };
        let mut loaded = Vec::new();
        for image in images {
            let names = image.names.clone();
            let id = self.add(image, &mut contents.lease)?;
            loaded.push(Loaded { id, names });
        }
        Ok(loaded)
    }
}

impl Contents {
    fn read(&mut self, store: &Store, source: impl Read) -> Result<(), ArchiveError> {
        let (packed, foreseen) = (Cell::new(0), Cell::new(0));
        let source = unpacked(Counted { source, count: &packed }).map_err(ArchiveError::Read)?;
        let mut archive = Archive::new(Bounded::new(source, &packed, &foreseen));
        let mut left = MAX_DOCUMENTS;
        for entry in archive.entries().map_err(ArchiveError::Read)? {
            let mut entry = entry.map_err(ArchiveError::Read)?;
            foreseen.set(after(entry.raw_file_position(), stored_size(&entry)?));
            left = left.checked_sub(cost(&entry)).ok_or(ArchiveError::Documents(MAX_DOCUMENTS))?;
            let Some(path) = normal(&String::from_utf8_lossy(&entry.path_bytes())) else {
                continue;
            };
            match entry.header().entry_type() {
                EntryType::Symlink | EntryType::Link => {
                    let symbolic = entry.header().entry_type() == EntryType::Symlink;
                    let target = entry.link_name_bytes().unwrap_or_default();
                    self.links.insert(&path, &String::from_utf8_lossy(&target), symbolic);
                }
                EntryType::Regular | EntryType::Continuous => {
                    left = self.read_file(store, path, &mut entry, left)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads a file; `left` bytes of documents may come, and so many may after it.
    fn read_file(
        &mut self,
        store: &Store,
        path: String,
        entry: &mut Entry<'_, impl Read>,
        left: u64,
    ) -> Result<u64, ArchiveError> {
        let size = entry.size();
        let mut head = Vec::with_capacity(BLOCK);
        entry.by_ref().take(BLOCK as u64).read_to_end(&mut head).map_err(ArchiveError::Read)?;
        if is_layer(&path, &head) {
            let whole = Cursor::new(head).chain(entry);
            let lease = &mut self.lease;
            let taken =
                pump(whole, |source| store.take_layer(&path, source, &Expected::default(), lease))
                    .map_err(ArchiveError::Read)?;
            match taken {
                Ok(layer) => self.keep_layer(path, layer)?,
                Err(error) => drop(self.refused.insert(path, error)),
            }
            return Ok(left);
        }
        if size > MAX_CONFIG {
            return Ok(left);
        }
        let left = left.checked_sub(size).ok_or(ArchiveError::Documents(MAX_DOCUMENTS))?;
        entry.read_to_end(&mut head).map_err(ArchiveError::Read)?;
        let found = Digest::of(&head);
        if named_digest(&path).is_some_and(|digest| digest != found) {
            return Err(ArchiveError::Digest { name: path, found });
        }
        self.documents.insert(path, head);
        Ok(left)
    }

    fn keep_layer(&mut self, path: String, layer: Layer) -> Result<(), ArchiveError> {
        match named_digest(&path) {
            // Plain layers are kept packed: then it is the content that has the name.
            Some(digest) if digest != layer.blob && digest != layer.diff_id => {
                Err(ArchiveError::Digest { name: path, found: layer.blob })
            }
            _ => {
                self.layers.insert(path, layer);
                Ok(())
            }
        }
    }
}

/// The bytes that a file takes in the archive, of which its holes are none.
fn stored_size(entry: &Entry<'_, impl Read>) -> Result<u64, ArchiveError> {
    match entry.header().entry_type() {
        EntryType::GNUSparse => entry.header().entry_size().map_err(ArchiveError::Read),
        _ => Ok(entry.size()),
    }
}

/// What a file counts for whose content is not kept.
fn cost(entry: &Entry<'_, impl Read>) -> u64 {
    let link = entry.link_name_bytes().unwrap_or_default().len();
    FILE_COST + (entry.path_bytes().len() + link) as u64
}

/// The digest that a blob of an OCI layout is named by.
fn named_digest(path: &str) -> Option<Digest> {
    Digest::from_hex(path.strip_prefix(BLOBS)?)
}

/// Whether a file of the archive is a layer, as far as its first block tells.
fn is_layer(path: &str, head: &[u8]) -> bool {
    let is_tar = head.get(257..262) == Some(b"ustar");
    let is_empty_tar = head.len() == BLOCK && head.iter().all(|byte| *byte == 0);
    let is_named = path.ends_with(".tar") || path.ends_with(".tar.gz");
    is_tar || is_empty_tar || is_named || packing(head).is_some()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Packing {
    Gzip,
    Zstd,
}

fn packing(head: &[u8]) -> Option<Packing> {
    match head {
        [0x1f, 0x8b, ..] => Some(Packing::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Packing::Zstd),
        _ => None,
    }
}

fn unpacked<'a>(mut source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut head = Vec::with_capacity(4);
    source.by_ref().take(4).read_to_end(&mut head)?;
    let packing = packing(&head);
    let whole = Cursor::new(head).chain(source);
    Ok(match packing {
        Some(Packing::Gzip) => Box::new(flate2::read::MultiGzDecoder::new(whole)),
        Some(Packing::Zstd) => Box::new(zstd::stream::read::Decoder::new(whole)?),
        None => Box::new(whole),
    })
}
