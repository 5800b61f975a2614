//! An image as the store tells of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::files::Folders;
use super::{ImageId, Layer, State, Store};
use crate::config::{ImageConfig, Step};
use crate::{Digest, Reference};

/// What an image was when it was asked for. It stays readable only while it is held.
#[derive(Clone, Debug)]
pub struct Image {
    id: ImageId,
    config: Arc<ImageConfig>,
    layers: Vec<Layer>,
    tags: Vec<Reference>,
    digests: Vec<Reference>,
    parent: Option<ImageId>,
    manifest: Digest,
    manifest_type: String,
    tagged: Option<i64>,
    folders: Folders,
}

/// A step of an image's history, newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryEntry {
    /// The image, for the newest step; others are not kept as images.
    pub id: Option<ImageId>,
    /// What was done.
    pub step: Step,
    /// Names of the image, for the newest step.
    pub tags: Vec<String>,
    /// What it added, in bytes.
    pub size: u64,
}

impl Store {
    pub(super) fn view(&self, state: &State, id: &ImageId) -> Option<Image> {
        let record = state.index.images.get(id)?;
        let (tags, digests) = state.index.names(id);
        let parse = |names: Vec<&str>| names.iter().filter_map(|name| name.parse().ok()).collect();
        Some(Image {
            id: *id,
            config: state.configs.get(id)?.clone(),
            layers: record.layers.clone(),
            tags: parse(tags),
            digests: parse(digests),
            parent: record.parent,
            manifest: record.manifest,
            manifest_type: record.manifest_type.clone(),
            tagged: record.tagged,
            folders: self.inner.folders.clone(),
        })
    }
}

impl Image {
    /// The digest of its configuration.
    pub fn id(&self) -> ImageId {
        self.id
    }

    /// What its containers run.
    pub fn config(&self) -> &ImageConfig {
        &self.config
    }

    /// Its EROFS images, lowest first: the parts of its disk.
    pub fn layers(&self) -> Vec<PathBuf> {
        self.layers.iter().map(|layer| self.folders.layer(&layer.diff_id)).collect()
    }

    /// What the store knows of its layers, lowest first.
    pub fn layer_records(&self) -> &[Layer] {
        &self.layers
    }

    /// Its names with tags.
    pub fn tags(&self) -> &[Reference] {
        &self.tags
    }

    /// Its names with the digests that registries know it by.
    pub fn digests(&self) -> &[Reference] {
        &self.digests
    }

    /// Names as Docker lists them (`RepoTags`).
    pub fn repo_tags(&self) -> Vec<String> {
        self.tags.iter().map(Reference::familiar).collect()
    }

    /// Names with digests as Docker lists them (`RepoDigests`).
    pub fn repo_digests(&self) -> Vec<String> {
        self.digests.iter().map(Reference::familiar).collect()
    }

    /// Whether it has no name with a tag.
    pub fn is_dangling(&self) -> bool {
        self.tags.is_empty()
    }

    /// The image that it was committed from.
    pub fn parent(&self) -> Option<ImageId> {
        self.parent
    }

    /// The digest and the media type of its manifest.
    pub fn manifest(&self) -> (Digest, &str) {
        (self.manifest, &self.manifest_type)
    }

    /// When it was last given a name here.
    pub fn last_tagged(&self) -> Option<SystemTime> {
        let nanoseconds = u64::try_from(self.tagged?).ok()?;
        Some(UNIX_EPOCH + Duration::from_nanos(nanoseconds))
    }

    /// When it was made, in seconds since 1970; 0 where the configuration does not tell.
    pub fn created_seconds(&self) -> i64 {
        let created = self.config.created.as_deref().unwrap_or_default();
        OffsetDateTime::parse(created, &Rfc3339).map_or(0, OffsetDateTime::unix_timestamp)
    }

    /// The bytes of its layers, uncompressed.
    pub fn size(&self) -> u64 {
        self.layers.iter().map(|layer| layer.size).sum()
    }

    /// How it came to be, newest step first. Layers that the history does not tell of come as
    /// steps without a command.
    pub fn history(&self) -> Vec<HistoryEntry> {
        let mut layers = self.layers.iter();
        let mut entries: Vec<HistoryEntry> = Vec::new();
        for step in &self.config.history {
            let layer = if step.empty_layer { None } else { layers.next() };
            let size = layer.map_or(0, |layer| layer.size);
            entries.push(HistoryEntry { id: None, step: step.clone(), tags: Vec::new(), size });
        }
        entries.extend(layers.map(|layer| HistoryEntry {
            id: None,
            step: Step { created: self.config.created.clone(), ..Step::default() },
            tags: Vec::new(),
            size: layer.size,
        }));
        entries.reverse();
        if let Some(newest) = entries.first_mut() {
            newest.id = Some(self.id);
            newest.tags = self.repo_tags();
        }
        entries
    }
}
