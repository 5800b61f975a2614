//! New images: of a file system as it is, or of what a container changed.

use std::io::Read;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::ArchiveError;
use crate::config::{ContainerConfig, ImageConfig, Step};
use crate::manifest::{Descriptor, Manifest, OCI_CONFIG, OCI_MANIFEST};
use crate::store::{Expected, ImageId, Layer, Lease, NewImage, Store};
use crate::{Digest, Platform, Reference};

/// How a file system becomes an image.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// Its name.
    pub name: Option<Reference>,
    /// What its history says.
    pub message: String,
    /// What its containers run.
    pub config: ContainerConfig,
    /// What it runs on, if not on this machine.
    pub platform: Option<Platform>,
}

/// How a container becomes an image.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// The container's image, if it has one.
    pub parent: Option<ImageId>,
    /// The name of the new one.
    pub name: Option<Reference>,
    /// What its containers run: the container's settings with the changes that were asked for.
    pub config: ContainerConfig,
    /// Who made it.
    pub author: String,
    /// Why.
    pub comment: String,
    /// The command that ran in the container.
    pub created_by: String,
}

impl Store {
    /// Makes an image of the file system in a tar archive, packed or not. Blocks while it reads.
    ///
    /// # Errors
    ///
    /// The archive cannot be read, or exceeds a limit.
    pub fn import(
        &self,
        source: impl Read + Send,
        import: &Import,
    ) -> Result<ImageId, ArchiveError> {
        self.tidily(|| self.import_layer(source, import))
    }

    fn import_layer(
        &self,
        source: impl Read + Send,
        import: &Import,
    ) -> Result<ImageId, ArchiveError> {
        let mut lease = self.lease();
        let layer = self.take_layer("to import", source, &Expected::default(), &mut lease)?;
        let platform = import.platform.clone().unwrap_or_else(Platform::of_guests);
        let created = now();
        let mut config = ImageConfig {
            created: created.clone(),
            architecture: platform.architecture,
            os: platform.os,
            variant: Some(platform.variant).filter(|variant| !variant.is_empty()),
            config: import.config.clone(),
            ..ImageConfig::default()
        };
        config.history.push(Step { created, comment: text(&import.message), ..Step::default() });
        self.assemble(config, vec![layer], None, import.name.as_ref(), &mut lease)
    }

    /// Makes an image of a container: its image's layers, and on them the tar archive of what the
    /// container changed. Blocks while it reads.
    ///
    /// # Errors
    ///
    /// There is no such parent, or the archive cannot be read.
    pub fn commit(
        &self,
        changes: impl Read + Send,
        commit: &Commit,
    ) -> Result<ImageId, ArchiveError> {
        self.tidily(|| self.commit_layer(changes, commit))
    }

    /// Makes images; what came of some that were not made is removed.
    fn tidily<T>(&self, make: impl FnOnce() -> Result<T, ArchiveError>) -> Result<T, ArchiveError> {
        make().inspect_err(|_| {
            if let Err(error) = self.collect_garbage() {
                log::warn!("what was read of an image stays: {error}");
            }
        })
    }

    fn commit_layer(
        &self,
        changes: impl Read + Send,
        commit: &Commit,
    ) -> Result<ImageId, ArchiveError> {
        let parent = commit.parent.map(|id| self.image(&id)).transpose()?;
        let _hold = commit.parent.map(|id| self.hold(&id)).transpose()?;
        let mut lease = self.lease();
        let layer =
            self.take_layer("of the container", changes, &Expected::default(), &mut lease)?;
        let (mut config, mut layers) = match &parent {
            Some(parent) => (parent.config().clone(), parent.layer_records().to_vec()),
            None => (of_this_machine(), Vec::new()),
        };
        // Steps stand for layers by their order, so none may be missing before the new one.
        let told = config.history.iter().filter(|step| !step.empty_layer).count();
        config
            .history
            .resize(config.history.len() + layers.len().saturating_sub(told), Step::default());
        layers.push(layer);
        let created = now();
        config.created.clone_from(&created);
        config.author = text(&commit.author);
        config.comment = text(&commit.comment);
        config.config = commit.config.clone();
        config.history.push(Step {
            created,
            created_by: text(&commit.created_by),
            author: text(&commit.author),
            comment: text(&commit.comment),
            empty_layer: false,
        });
        self.assemble(config, layers, commit.parent, commit.name.as_ref(), &mut lease)
    }

    fn assemble(
        &self,
        mut config: ImageConfig,
        layers: Vec<Layer>,
        parent: Option<ImageId>,
        name: Option<&Reference>,
        lease: &mut Lease,
    ) -> Result<ImageId, ArchiveError> {
        config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
        let config = serde_json::to_vec(&config)
            .map_err(|source| ArchiveError::Json { name: "the new image".to_owned(), source })?;
        let new = NewImage {
            manifest: manifest_of(&config, &layers),
            manifest_type: OCI_MANIFEST.to_owned(),
            config,
            layers,
            parent,
            names: name.cloned().into_iter().collect(),
            authoritative: false,
        };
        Ok(self.add(new, lease)?)
    }
}

/// A manifest of our own for an image that came without one.
pub(super) fn manifest_of(config: &[u8], layers: &[Layer]) -> Vec<u8> {
    let describe = |media_type: &str, digest, size| Descriptor {
        media_type: media_type.to_owned(),
        digest,
        size,
        platform: None,
        annotations: None,
    };
    let config = describe(OCI_CONFIG, Digest::of(config), config.len() as u64);
    let layers =
        layers.iter().map(|layer| describe(&layer.media_type, layer.blob, layer.blob_size));
    // Of plain text and numbers: this cannot fail.
    serde_json::to_vec(&Manifest::new(config, layers.collect())).unwrap_or_default()
}

fn of_this_machine() -> ImageConfig {
    let Platform { architecture, os, .. } = Platform::of_guests();
    ImageConfig { architecture, os, ..ImageConfig::default() }
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

fn now() -> Option<String> {
    OffsetDateTime::now_utc().format(&Rfc3339).ok()
}
