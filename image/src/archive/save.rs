//! Writing images to an archive: an OCI layout that Docker's older form leads through as well.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Read, Write};

use tar::{Builder, EntryType, Header};

use super::ArchiveError;
use super::layout::{BLOBS, Entry, INDEX, LAYOUT, MANIFEST, NAME, REF_NAME};
use crate::manifest::{Descriptor, List};
use crate::store::{Hold, Image, Store, StoreError};
use crate::{Digest, Reference};

/// An image to write, under these names.
struct Wanted {
    image: Image,
    names: Vec<Reference>,
    _hold: Hold,
}

impl Store {
    /// Writes images and what they are made of as one archive. A name brings itself along, a
    /// repository without a tag all its tags, an id none. Blocks while it writes.
    ///
    /// # Errors
    ///
    /// There is no such image, or the archive cannot be written.
    pub fn save(&self, images: &[&str], sink: impl Write) -> Result<(), ArchiveError> {
        let wanted = self.wanted(images)?;
        let mut archive = Output { archive: Builder::new(sink), written: HashSet::new() };
        let mut listed = Vec::new();
        let mut entries = Vec::new();
        for Wanted { image, names, .. } in &wanted {
            entries.push(self.save_image(&mut archive, image, names)?);
            listed.extend(self.describe(image, names)?);
        }
        let json = |name: &str, source| ArchiveError::Json { name: name.to_owned(), source };
        let index = serde_json::to_vec(&List::new(listed)).map_err(|e| json(INDEX, e))?;
        let manifest = serde_json::to_vec(&entries).map_err(|e| json(MANIFEST, e))?;
        archive.file(INDEX, index.len() as u64, index.as_slice())?;
        archive.file(MANIFEST, manifest.len() as u64, manifest.as_slice())?;
        archive.file(LAYOUT.0, LAYOUT.1.len() as u64, LAYOUT.1.as_bytes())?;
        archive.archive.into_inner().and_then(|mut sink| sink.flush()).map_err(ArchiveError::Write)
    }

    fn wanted(&self, images: &[&str]) -> Result<Vec<Wanted>, ArchiveError> {
        let mut wanted: Vec<Wanted> = Vec::new();
        for text in images {
            for (image, name) in self.meant(text)? {
                let known = wanted.iter_mut().find(|known| known.image.id() == image.id());
                match known {
                    Some(known) => known.names.extend(name),
                    None => {
                        let hold = self.hold(&image.id())?;
                        let names = name.into_iter().collect();
                        wanted.push(Wanted { image, names, _hold: hold });
                    }
                }
            }
        }
        for image in &mut wanted {
            image.names.sort();
            image.names.dedup();
        }
        Ok(wanted)
    }

    /// The images that a text means, each with the name that led to it.
    fn meant(&self, text: &str) -> Result<Vec<(Image, Option<Reference>)>, StoreError> {
        let name = text.parse::<Reference>().ok();
        let last = text.rsplit('/').next().unwrap_or_default();
        if let Some(name) = name.as_ref().filter(|_| !last.contains([':', '@'])) {
            let own = |tag: &&Reference| tag.name() == name.name();
            let found: Vec<_> = self
                .images()
                .into_iter()
                .flat_map(|image| {
                    let tags: Vec<_> = image.tags().iter().filter(own).cloned().collect();
                    tags.into_iter().map(move |tag| (image.clone(), Some(tag)))
                })
                .collect();
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let image = self.find(text)?;
        let name = name.filter(|name| image.tags().contains(name));
        Ok(vec![(image, name)])
    }

    fn save_image(
        &self,
        archive: &mut Output<impl Write>,
        image: &Image,
        names: &[Reference],
    ) -> Result<Entry, ArchiveError> {
        let (manifest, _) = image.manifest();
        for digest in [image.id().0, manifest] {
            let text = self.document(&digest)?;
            archive.blob(&digest, text.len() as u64, text.as_slice())?;
        }
        for layer in image.layer_records() {
            archive.blob(&layer.blob, layer.blob_size, self.open_blob(&layer.blob)?)?;
        }
        let path = |digest: &Digest| format!("{BLOBS}{}", digest.hex());
        let tags: Vec<_> = names.iter().map(Reference::familiar).collect();
        Ok(Entry {
            config: path(&image.id().0),
            repo_tags: Some(tags).filter(|tags| !tags.is_empty()),
            layers: image.layer_records().iter().map(|layer| path(&layer.blob)).collect(),
        })
    }

    /// The image's entries in the index: one for each name.
    fn describe(
        &self,
        image: &Image,
        names: &[Reference],
    ) -> Result<Vec<Descriptor>, ArchiveError> {
        let (digest, media_type) = image.manifest();
        let plain = Descriptor {
            media_type: media_type.to_owned(),
            digest,
            size: self.document(&digest)?.len() as u64,
            platform: Some(image.config().platform()).filter(|platform| !platform.os.is_empty()),
            annotations: None,
        };
        let named = |name: &Reference| Descriptor {
            annotations: Some(BTreeMap::from([
                (NAME.to_owned(), name.to_string()),
                (REF_NAME.to_owned(), name.tag().unwrap_or_default().to_owned()),
            ])),
            ..plain.clone()
        };
        Ok(match names {
            [] => vec![plain],
            names => names.iter().map(named).collect(),
        })
    }
}

struct Output<W: Write> {
    archive: Builder<W>,
    written: HashSet<Digest>,
}

impl<W: Write> Output<W> {
    fn blob(&mut self, digest: &Digest, size: u64, content: impl Read) -> Result<(), ArchiveError> {
        match self.written.insert(*digest) {
            true => self.file(&format!("{BLOBS}{}", digest.hex()), size, content),
            false => Ok(()),
        }
    }

    /// Without times or owners, so that one image gives one archive.
    fn file(&mut self, path: &str, size: u64, content: impl Read) -> Result<(), ArchiveError> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_size(size);
        header.set_mode(0o644);
        let mut content = content.take(size);
        self.archive
            .append_data(&mut header, path, &mut content)
            .and_then(|()| match content.limit() {
                0 => Ok(()),
                _ => Err(io::ErrorKind::UnexpectedEof.into()),
            })
            .map_err(ArchiveError::Write)
    }
}
