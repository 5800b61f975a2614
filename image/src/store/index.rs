//! The list of images and their names: one file, replaced as a whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{ImageId, StoreError, files};
use crate::Digest;

const VERSION: u32 = 1;

/// Everything that the store knows and cannot see from its files.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Index {
    version: u32,
    pub(super) images: BTreeMap<ImageId, Record>,
    /// Full names with a tag.
    pub(super) tags: BTreeMap<String, ImageId>,
    /// Full names with the digest that a registry knows the image by.
    pub(super) digests: BTreeMap<String, ImageId>,
}

/// An image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub(super) manifest: Digest,
    pub(super) manifest_type: String,
    pub(super) layers: Vec<Layer>,
    /// The image that this one was committed from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parent: Option<ImageId>,
    /// When it was last given a name, in nanoseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tagged: Option<i64>,
}

/// A layer in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// The digest of the uncompressed archive; names the EROFS image.
    pub diff_id: Digest,
    /// The digest of the blob as it was transferred.
    pub blob: Digest,
    /// The length of that blob.
    pub blob_size: u64,
    /// What the blob is, as manifests tell it.
    pub media_type: String,
    /// The length of the uncompressed archive.
    pub size: u64,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            version: VERSION,
            images: BTreeMap::new(),
            tags: BTreeMap::new(),
            digests: BTreeMap::new(),
        }
    }
}

impl Index {
    /// Reads the file, which a new store does not have yet.
    pub(super) fn read(path: &Path) -> Result<Self, StoreError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(StoreError::Read { path: path.to_owned(), source }),
        };
        let index: Self = serde_json::from_reader(io::BufReader::new(file))
            .map_err(|source| StoreError::Index { path: path.to_owned(), source })?;
        if index.version != VERSION {
            return Err(StoreError::Version { path: path.to_owned(), version: index.version });
        }
        Ok(index)
    }

    /// Replaces the file; after a crash either the old or the new one is there.
    pub(super) fn write(&self, path: &Path, temporary: &Path) -> Result<(), StoreError> {
        let text = serde_json::to_vec(self)
            .map_err(|source| StoreError::Index { path: path.to_owned(), source })?;
        files::publish_bytes(&text, temporary, path)
    }

    /// The full names of an image: with tags, and with digests.
    pub(super) fn names(&self, id: &ImageId) -> (Vec<&str>, Vec<&str>) {
        (
            self.tags.iter().filter(|(_, n)| *n == id).map(|(name, _)| name.as_str()).collect(),
            self.digests.iter().filter(|(_, n)| *n == id).map(|(name, _)| name.as_str()).collect(),
        )
    }

    /// The images that were committed from `id`.
    pub(super) fn children(&self, id: &ImageId) -> impl Iterator<Item = &ImageId> {
        self.images
            .iter()
            .filter(move |(_, record)| record.parent.as_ref() == Some(id))
            .map(|(child, _)| child)
    }
}
