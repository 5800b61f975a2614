//! From the documents of an archive to images.

use std::collections::HashSet;

use super::ArchiveError;
use super::assemble::manifest_of;
use super::layout::{BLOBS, Entry, INDEX, MANIFEST, NAME, REF_NAME};
use super::load::Contents;
use crate::config::ImageConfig;
use crate::manifest::{Descriptor, Document, Manifest, ManifestError, OCI_MANIFEST};
use crate::store::{Layer, NewImage};
use crate::{Digest, Platform, Reference};

impl Contents {
    /// The images of Docker's form.
    pub(super) fn docker_images(&mut self) -> Result<Vec<NewImage>, ArchiveError> {
        let entries: Vec<Entry> = self.parse(MANIFEST)?;
        let manifests = self.manifests();
        let mut images = Vec::new();
        for entry in entries {
            let config = self.document(&entry.config)?.to_vec();
            let mut layers = Vec::new();
            for path in &entry.layers {
                layers.push(self.layer(path)?);
            }
            let mut names = Vec::new();
            for name in entry.repo_tags.iter().flatten() {
                names.push(name.parse()?);
            }
            let own = Digest::of(&config);
            let manifest = manifests.iter().find(|(manifest, _)| manifest.config.digest == own);
            images.push(self.image(&entry.config, config, layers, manifest.cloned(), names)?);
        }
        Ok(images)
    }

    /// The images of an OCI layout that run here.
    pub(super) fn oci_images(&mut self) -> Result<Vec<NewImage>, ArchiveError> {
        if !self.documents.contains_key(INDEX) {
            return Err(ArchiveError::Unknown);
        }
        let list = match self.parse_manifest(INDEX)? {
            Document::List(list) => list,
            Document::Image(_) => return Err(ArchiveError::Unknown),
        };
        let ours = Platform::of_guests();
        let mut images = Vec::new();
        for entry in &list.manifests {
            if entry.platform.as_ref().is_none_or(|platform| platform.serves(&ours)) {
                images.push(self.oci_image(entry, &ours)?);
            }
        }
        match images.is_empty() {
            true => {
                let unusable = |source| ArchiveError::Manifest { name: INDEX.to_owned(), source };
                list.choose(&ours).map_err(unusable)?;
                Err(ArchiveError::Missing("an image".to_owned()))
            }
            false => Ok(images),
        }
    }

    fn oci_image(
        &mut self,
        entry: &Descriptor,
        platform: &Platform,
    ) -> Result<NewImage, ArchiveError> {
        let mut path = blob(&entry.digest);
        let unusable =
            |path: &str, source| ArchiveError::Manifest { name: path.to_owned(), source };
        let mut document = self.parse_manifest(&path)?;
        if let Document::List(list) = &document {
            let chosen = list.choose(platform).map_err(|source| unusable(&path, source))?;
            path = blob(&chosen.digest);
            document = self.parse_manifest(&path)?;
        }
        let Document::Image(manifest) = document else {
            return Err(unusable(&path, ManifestError::Nested));
        };
        let text = self.document(&path)?.to_vec();
        let config_path = blob(&manifest.config.digest);
        let config = self.document(&config_path)?.to_vec();
        let mut layers = Vec::new();
        for layer in &manifest.layers {
            layers.push(self.layer(&blob(&layer.digest))?);
        }
        let names = name_of(entry).into_iter().collect();
        self.image(&config_path, config, layers, Some((manifest, text)), names)
    }

    /// Puts an image together. A manifest is kept if it names the blobs that we keep.
    fn image(
        &self,
        name: &str,
        config: Vec<u8>,
        layers: Vec<Layer>,
        manifest: Option<(Manifest, Vec<u8>)>,
        names: Vec<Reference>,
    ) -> Result<NewImage, ArchiveError> {
        let parsed = ImageConfig::parse(&config)
            .map_err(|source| ArchiveError::Json { name: name.to_owned(), source })?;
        if !layers.iter().map(|layer| layer.diff_id).eq(parsed.rootfs.diff_ids) {
            return Err(ArchiveError::Layers(name.to_owned()));
        }
        let same = |manifest: &Manifest| {
            let named = manifest.layers.iter().map(|layer| layer.digest);
            named.eq(layers.iter().map(|layer| layer.blob))
        };
        let (manifest, manifest_type) = match manifest.filter(|(manifest, _)| same(manifest)) {
            Some((manifest, text)) => (text, manifest.effective_media_type().to_owned()),
            None => (manifest_of(&config, &layers), OCI_MANIFEST.to_owned()),
        };
        Ok(NewImage {
            config,
            manifest,
            manifest_type,
            layers,
            parent: None,
            names,
            authoritative: false,
        })
    }

    /// The manifests of the archive, where it has both forms.
    fn manifests(&self) -> Vec<(Manifest, Vec<u8>)> {
        let blobs = self.documents.iter().filter(|(path, _)| path.starts_with(BLOBS));
        let read = |text: &Vec<u8>| match Document::parse(text) {
            Ok(Document::Image(manifest)) => Some((manifest, text.clone())),
            _ => None,
        };
        let mut seen = HashSet::new();
        let mut found: Vec<_> = blobs.filter_map(|(_, text)| read(text)).collect();
        found.retain(|(_, text)| seen.insert(Digest::of(text)));
        found
    }

    fn document(&self, path: &str) -> Result<&[u8], ArchiveError> {
        let found = self.documents.get(self.links.follow(path));
        found.map(Vec::as_slice).ok_or_else(|| ArchiveError::Missing(path.to_owned()))
    }

    fn layer(&mut self, path: &str) -> Result<Layer, ArchiveError> {
        let path = self.links.follow(path);
        if let Some(layer) = self.layers.get(path) {
            return Ok(layer.clone());
        }
        match self.refused.remove(path) {
            Some(error) => Err(error.into()),
            None => Err(ArchiveError::Missing(path.to_owned())),
        }
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, ArchiveError> {
        serde_json::from_slice(self.document(path)?)
            .map_err(|source| ArchiveError::Json { name: path.to_owned(), source })
    }

    fn parse_manifest(&self, path: &str) -> Result<Document, ArchiveError> {
        Document::parse(self.document(path)?)
            .map_err(|source| ArchiveError::Manifest { name: path.to_owned(), source })
    }
}

fn blob(digest: &Digest) -> String {
    format!("{BLOBS}{}", digest.hex())
}

/// The name that an OCI layout gives an image. A bare tag names nothing.
fn name_of(entry: &Descriptor) -> Option<Reference> {
    let notes = entry.annotations.as_ref()?;
    let name =
        notes.get(NAME).or_else(|| notes.get(REF_NAME).filter(|name| name.contains(['/', ':'])))?;
    name.parse().ok()
}
