//! How much room images take.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{ImageId, Store};
use crate::Digest;

/// The room that all images take together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of all layers, uncompressed, each counted once (Docker's `LayersSize`).
    pub layers: u64,
    /// Bytes on the host's disk, both forms of the layers and the documents.
    pub disk: u64,
    /// Each image.
    pub images: HashMap<ImageId, ImageUsage>,
}

/// The room that one image takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageUsage {
    /// Bytes of its layers, uncompressed.
    pub size: u64,
    /// Those of layers that other images have as well.
    pub shared: u64,
}

impl Store {
    /// How much room the images take.
    pub fn usage(&self) -> Usage {
        let state = self.state();
        let mut users: HashMap<Digest, (u64, usize)> = HashMap::new();
        for record in state.index.images.values() {
            let mut own: Vec<_> = record.layers.iter().collect();
            own.sort_by_key(|layer| layer.diff_id);
            own.dedup_by_key(|layer| layer.diff_id);
            for layer in own {
                users.entry(layer.diff_id).or_insert((layer.size, 0)).1 += 1;
            }
        }
        let is_shared = |diff_id| users.get(diff_id).is_some_and(|(_, count)| *count > 1);
        let images = state.index.images.iter().map(|(id, record)| {
            let shared = record.layers.iter().filter(|layer| is_shared(&layer.diff_id));
            let usage = ImageUsage {
                size: record.layers.iter().map(|layer| layer.size).sum(),
                shared: shared.map(|layer| layer.size).sum(),
            };
            (*id, usage)
        });
        let folders = &self.inner.folders;
        let files = [folders.all_blobs(), folders.all_layers()];
        Usage {
            layers: users.values().map(|(size, _)| size).sum(),
            disk: files.iter().flatten().flatten().map(|path| allocated(path)).sum(),
            images: images.collect(),
        }
    }
}

/// The bytes of disk that a file takes; 0 if it is gone.
pub(super) fn allocated(path: &Path) -> u64 {
    fs::symlink_metadata(path).map_or(0, |metadata| metadata.blocks() * 512)
}
