//! Keeping what is in use, and removing what nothing refers to.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::{ImageId, Inner, State, Store, StoreError, files};
use crate::Digest;

/// As long as this value lives, its image stays.
#[must_use = "the image is held only as long as this value lives"]
pub struct Hold {
    store: Store,
    id: ImageId,
}

impl Hold {
    /// Which image is held.
    pub fn id(&self) -> ImageId {
        self.id
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hold").field(&self.id).finish()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.store.state();
        if let Some(count) = state.holds.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                state.holds.remove(&self.id);
            }
        }
    }
}

/// As long as this value lives, files with its digests are not garbage: those of an image that
/// is on its way.
pub(crate) struct Lease {
    inner: Arc<Inner>,
    digests: Vec<Digest>,
}

impl Lease {
    pub(crate) fn take(&mut self, digests: &[Digest]) {
        let inner = self.inner.clone();
        self.take_locked(&mut inner.state(), digests);
    }

    /// The same for those who look at the state under the same lock.
    pub(super) fn take_locked(&mut self, state: &mut State, digests: &[Digest]) {
        for digest in digests {
            *state.leases.entry(*digest).or_default() += 1;
            self.digests.push(*digest);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.inner.state();
        for digest in &self.digests {
            if let Some(count) = state.leases.get_mut(digest) {
                *count -= 1;
                if *count == 0 {
                    state.leases.remove(digest);
                }
            }
        }
    }
}

impl Store {
    /// Keeps the image as long as the result lives, whatever is removed meanwhile.
    ///
    /// # Errors
    ///
    /// There is no such image.
    pub fn hold(&self, id: &ImageId) -> Result<Hold, StoreError> {
        let mut state = self.state();
        if self.view(&state, id).is_none() {
            return Err(StoreError::NoSuchImage(id.to_string()));
        }
        *state.holds.entry(*id).or_default() += 1;
        Ok(Hold { store: self.clone(), id: *id })
    }

    pub(crate) fn lease(&self) -> Lease {
        Lease { inner: self.inner.clone(), digests: Vec::new() }
    }

    /// Removes files that no image refers to, as an aborted pull leaves them for the next one;
    /// the bytes that this gave back.
    ///
    /// # Errors
    ///
    /// A folder could not be read, or a file not removed.
    pub fn collect_garbage(&self) -> Result<u64, StoreError> {
        self.collect(&mut self.state()).map(|(bytes, _)| bytes)
    }

    /// Under the lock: the bytes given back, and the diff ids of layers that went.
    pub(super) fn collect(&self, state: &mut State) -> Result<(u64, Vec<Digest>), StoreError> {
        let folders = &self.inner.folders;
        let kept: HashSet<Digest> = state.needed().collect();
        let (mut bytes, mut layers) = (0, Vec::new());
        for path in folders.all_blobs()?.into_iter().chain(folders.all_layers()?) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let diff_id = name.strip_suffix(".erofs");
            let Some(digest) = Digest::from_hex(diff_id.unwrap_or(name)) else { continue };
            if kept.contains(&digest) {
                continue;
            }
            bytes += super::usage::allocated(&path);
            files::remove(&path)?;
            if diff_id.is_some() {
                layers.push(digest);
            }
        }
        state.layers.retain(|blob, layer| kept.contains(blob) && kept.contains(&layer.diff_id));
        Ok((bytes, layers))
    }
}

impl State {
    fn needed(&self) -> impl Iterator<Item = Digest> {
        let of_images = self.index.images.iter().flat_map(|(id, record)| {
            let layers = record.layers.iter().flat_map(|layer| [layer.blob, layer.diff_id]);
            [id.0, record.manifest].into_iter().chain(layers)
        });
        of_images.chain(self.leases.keys().copied())
    }
}
