//! The images of one engine: their blobs, their layers as EROFS images, and their names.
//!
//! ```text
//! lock                        held as long as the store is open
//! index.json                  images and names; replaced as a whole
//! blobs/sha256/<digest>       manifests, configurations and layers as they were transferred
//! layers/<diff id>.erofs      the same layers for machines
//! temporary/                  what is being made
//! ```
//!
//! Layers are kept in both forms: what is pushed or saved must have the digest that its manifest
//! names, and no compressor makes the same bytes twice.

mod error;
mod files;
mod garbage;
mod image;
mod index;
mod intake;
mod names;
mod removal;
#[cfg(test)]
mod tests;
mod usage;

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex as AsyncMutex;

pub use error::{LayerError, StoreError};
pub use garbage::Hold;
pub(crate) use garbage::Lease;
pub use image::{HistoryEntry, Image};
pub use index::Layer;
pub(crate) use intake::Expected;
pub use removal::{PruneReport, RemoveOptions, Removed, Use};
pub use usage::{ImageUsage, Usage};

use crate::config::ImageConfig;
use crate::{Digest, Reference};
use files::Folders;
use index::{Index, Record};

/// The digest of an image's configuration, by which Docker knows images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(pub Digest);

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for ImageId {
    type Err = crate::InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// The store; clones are the same one.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("root", &self.inner.folders.root).finish_non_exhaustive()
    }
}

struct Inner {
    folders: Folders,
    state: Mutex<State>,
    /// One lock for each blob that is being transferred, so that two do not do the same work.
    transfers: Mutex<HashMap<Digest, Arc<AsyncMutex<()>>>>,
    /// Locked until the process ends.
    _lock: File,
}

#[derive(Default)]
struct State {
    index: Index,
    /// Of every image that is offered. One in the index that is not here is damaged.
    configs: HashMap<ImageId, Arc<ImageConfig>>,
    /// Every layer that is there in both forms, by the digest of its blob.
    layers: HashMap<Digest, Layer>,
    holds: HashMap<ImageId, usize>,
    leases: HashMap<Digest, usize>,
}

/// An image whose layers are in the store already.
pub(crate) struct NewImage {
    pub(crate) config: Vec<u8>,
    pub(crate) manifest: Vec<u8>,
    pub(crate) manifest_type: String,
    pub(crate) layers: Vec<Layer>,
    pub(crate) parent: Option<ImageId>,
    pub(crate) names: Vec<Reference>,
    /// Whether the manifest counts more than the one of the same image that is there.
    pub(crate) authoritative: bool,
}

impl Store {
    /// Opens the store in the folder `root`, which is made if it is missing. Files that no image
    /// refers to are removed.
    ///
    /// # Errors
    ///
    /// Another process has it open, or its files cannot be used.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(root)
            .map_err(|source| StoreError::Write { path: root.to_owned(), source })?;
        let lock = lock(&root.join("lock"), root)?;
        let folders = Folders::prepare(root)?;
        folders.sweep_temporary()?;
        let mut state = State { index: Index::read(&folders.index())?, ..State::default() };
        state.take_stock(&folders);
        let store = Self {
            inner: Arc::new(Inner {
                folders,
                state: Mutex::new(state),
                transfers: Mutex::default(),
                _lock: lock,
            }),
        };
        store.collect_garbage()?;
        Ok(store)
    }

    /// All images, in no order that means anything.
    pub fn images(&self) -> Vec<Image> {
        let state = self.state();
        state.index.images.keys().filter_map(|id| self.view(&state, id)).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state()
    }

    /// Changes the index: on disk first, so that what is told to a client is true.
    fn change<T>(
        &self,
        state: &mut State,
        change: impl FnOnce(&mut Index) -> T,
    ) -> Result<T, StoreError> {
        let mut index = state.index.clone();
        let result = change(&mut index);
        self.write_down(&index)?;
        state.index = index;
        Ok(result)
    }

    fn write_down(&self, index: &Index) -> Result<(), StoreError> {
        let folders = &self.inner.folders;
        let written = index.write(&folders.index(), folders.temporary());
        written.map_err(|error| error.of_disk(&folders.root))
    }

    /// Takes an image up whose layers were taken in under `lease`.
    pub(crate) fn add(&self, new: NewImage, lease: &mut Lease) -> Result<ImageId, StoreError> {
        let id = ImageId(Digest::of(&new.config));
        let config =
            ImageConfig::parse(&new.config).map_err(|source| StoreError::Config { id, source })?;
        let manifest = Digest::of(&new.manifest);
        lease.take(&[id.0, manifest]);
        let folders = &self.inner.folders;
        for (digest, bytes) in [(id.0, &new.config), (manifest, &new.manifest)] {
            files::publish_bytes(bytes, folders.temporary(), &folders.blob(&digest))
                .map_err(|error| error.of_disk(&folders.root))?;
        }
        let record = Record {
            manifest,
            manifest_type: new.manifest_type,
            layers: new.layers,
            parent: new.parent,
            tagged: None,
        };
        let mut state = self.state();
        let whole = state.configs.contains_key(&id);
        self.change(&mut state, |index| {
            let known = index.images.get(&id).filter(|_| whole).cloned();
            let kept = known.filter(|_| !new.authoritative).unwrap_or(record);
            index.images.insert(id, kept);
            for name in &new.names {
                index.give_name(name, id);
            }
        })?;
        state.configs.insert(id, Arc::new(config));
        Ok(id)
    }

    /// The bytes of a manifest or configuration.
    pub(crate) fn document(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let path = self.inner.folders.blob(digest);
        fs::read(&path).map_err(|source| StoreError::Read { path, source })
    }

    /// A layer as it was transferred.
    pub(crate) fn open_blob(&self, digest: &Digest) -> Result<File, StoreError> {
        let path = self.inner.folders.blob(digest);
        File::open(&path).map_err(|source| StoreError::Read { path, source })
    }

    pub(crate) fn unreadable(&self, digest: &Digest, source: io::Error) -> StoreError {
        StoreError::Read { path: self.inner.folders.blob(digest), source }
    }

    /// The layer of a blob, if it is there in both forms.
    pub(crate) fn known_layer(&self, blob: &Digest) -> Option<Layer> {
        self.state().layers.get(blob).cloned()
    }

    /// The lock under which the blob is transferred.
    pub(crate) fn transfer(&self, blob: &Digest) -> Arc<AsyncMutex<()>> {
        let mut transfers = self.inner.transfers.lock().unwrap_or_else(PoisonError::into_inner);
        transfers.retain(|_, lock| Arc::strong_count(lock) > 1);
        transfers.entry(*blob).or_default().clone()
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Finds which images of the index are really there. The others are not offered, so that they
    /// can be pulled again; but they stay in the index and keep what is left of their files: the
    /// disk may read them the next time, and there may be no other copy.
    fn take_stock(&mut self, folders: &Folders) {
        for (id, record) in &self.index.images {
            let config = fs::read(folders.blob(&id.0))
                .ok()
                .filter(|text| Digest::of(text) == id.0)
                .and_then(|text| ImageConfig::parse(&text).ok());
            let whole = folders.blob(&record.manifest).is_file()
                && record.layers.iter().all(|layer| {
                    folders.blob(&layer.blob).is_file() && folders.layer(&layer.diff_id).is_file()
                });
            let (Some(config), true) = (config, whole) else {
                log::warn!("image {id} is damaged and no longer offered");
                continue;
            };
            for layer in &record.layers {
                self.layers.insert(layer.blob, layer.clone());
            }
            self.configs.insert(*id, Arc::new(config));
        }
    }
}

fn lock(path: &Path, root: &Path) -> Result<File, StoreError> {
    let failed = |source| StoreError::Write { path: path.to_owned(), source };
    let file = File::create(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked(root.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
