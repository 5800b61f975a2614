//! Pulling an image: manifest, configuration, and its layers side by side.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::mpsc;

use super::download::Download;
use super::progress::{Observer, Phase};
use super::session::{Access, Session};
use super::{Credentials, Registries, RegistryError};
use crate::config::{ImageConfig, MAX_CONFIG};
use crate::manifest::{Descriptor, Document, Manifest, ManifestError};
use crate::store::{Expected, ImageId, Layer, NewImage, Store};
use crate::{Digest, Platform, Reference, StoreError};

/// Pieces of a blob between the connection and the thread that imports them.
const QUEUE: usize = 32;

/// How to pull.
#[derive(Clone, Debug, Default)]
pub struct PullOptions {
    /// For which platform, if not this machine's.
    pub platform: Option<Platform>,
    /// Who we are.
    pub credentials: Credentials,
    /// What is told of the progress.
    pub observer: Observer,
}

/// An image that was pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// The image.
    pub id: ImageId,
    /// What the registry has under the name: of a list, not of our image in it.
    pub digest: Digest,
    /// Whether the name meant this image before.
    pub up_to_date: bool,
}

/// A manifest, and what names it.
struct Found {
    manifest: Manifest,
    text: Vec<u8>,
    /// Of the document under the name.
    digest: Digest,
}

struct Pull<'a> {
    client: &'a Registries,
    session: Session,
    store: &'a Store,
    name: String,
    observer: &'a Observer,
}

impl Registries {
    /// Pulls an image into the store, and gives it its name there.
    ///
    /// # Errors
    ///
    /// The registry does not give it, or what it gives is not what it should be.
    pub async fn pull(
        &self,
        store: &Store,
        image: &Reference,
        options: &PullOptions,
    ) -> Result<Pulled, RegistryError> {
        let pulled = self.pull_whole(store, image, options).await;
        // The next pull would find what has come, but nothing else could be done until then.
        if let Err(RegistryError::Store(StoreError::Full { .. })) = &pulled
            && let Err(error) = store.collect_garbage()
        {
            log::warn!("what was pulled of {} stays: {error}", image.familiar());
        }
        pulled
    }

    async fn pull_whole(
        &self,
        store: &Store,
        image: &Reference,
        options: &PullOptions,
    ) -> Result<Pulled, RegistryError> {
        let pull = Pull {
            client: self,
            session: self.session(image, Access::Pull, &options.credentials)?,
            store,
            name: image.familiar(),
            observer: &options.observer,
        };
        let platform = options.platform.clone().unwrap_or_else(Platform::of_guests);
        let found = pull.find(&image.wanted(), &platform).await?;
        let mut lease = store.lease();
        let (config_text, config) = pull.config(&found.manifest).await?;
        let layers = &found.manifest.layers;
        lease.take(&config.rootfs.diff_ids);
        lease.take(&layers.iter().map(|layer| layer.digest).collect::<Vec<_>>());
        let layers = pull.layers(layers, &config.rootfs.diff_ids).await?;
        let digest = found.digest;
        let mut names = vec![image.with_digest(digest)];
        if image.digest().is_none() {
            names.push(image.without_digest());
        }
        let id = ImageId(Digest::of(&config_text));
        let up_to_date =
            names.iter().all(|name| store.find(&name.to_string()).is_ok_and(|i| i.id() == id));
        let id = store.add(
            NewImage {
                config: config_text,
                manifest_type: found.manifest.effective_media_type().to_owned(),
                manifest: found.text,
                layers,
                parent: None,
                names,
                authoritative: true,
            },
            &mut lease,
        )?;
        Ok(Pulled { id, digest, up_to_date })
    }
}

impl Pull<'_> {
    /// The manifest of the image for `platform`.
    async fn find(&self, wanted: &str, platform: &Platform) -> Result<Found, RegistryError> {
        let (document, text) = self.document(wanted).await?;
        let digest = Digest::of(&text);
        let list = match document {
            Document::Image(manifest) => return Ok(Found { manifest, text, digest }),
            Document::List(list) => list,
        };
        let chosen = list.choose(platform).map_err(|source| self.unusable(source))?;
        match self.document(&chosen.digest.to_string()).await? {
            (Document::Image(manifest), text) => Ok(Found { manifest, text, digest }),
            (Document::List(_), _) => Err(self.unusable(ManifestError::Nested)),
        }
    }

    async fn document(&self, wanted: &str) -> Result<(Document, Vec<u8>), RegistryError> {
        let text = self.client.retry(|| self.session.manifest(wanted)).await?;
        let document = Document::parse(&text).map_err(|source| self.unusable(source))?;
        Ok((document, text))
    }

    async fn config(&self, manifest: &Manifest) -> Result<(Vec<u8>, ImageConfig), RegistryError> {
        let digest = &manifest.config.digest;
        let text = self.client.retry(|| self.session.document(digest, MAX_CONFIG)).await?;
        let config = ImageConfig::parse(&text)
            .map_err(|source| RegistryError::Config { name: self.name.clone(), source })?;
        match (manifest.layers.len(), config.rootfs.diff_ids.len()) {
            (layers, diff_ids) if layers == diff_ids => Ok((text, config)),
            (manifest, config) => {
                Err(RegistryError::Layers { name: self.name.clone(), manifest, config })
            }
        }
    }

    async fn layers(
        &self,
        layers: &[Descriptor],
        diff_ids: &[Digest],
    ) -> Result<Vec<Layer>, RegistryError> {
        for layer in layers {
            self.observer.tell(layer.digest, Phase::Pulling);
        }
        // Made beforehand: the compiler cannot see that a closure over any lifetime is `Send`.
        let transfers: Vec<_> =
            layers.iter().zip(diff_ids).map(|(blob, diff_id)| self.layer(blob, diff_id)).collect();
        stream::iter(transfers).buffered(self.client.settings.parallel.max(1)).try_collect().await
    }

    /// One layer; if somebody else transfers it already, theirs.
    async fn layer(&self, blob: &Descriptor, diff_id: &Digest) -> Result<Layer, RegistryError> {
        let lock = self.store.transfer(&blob.digest);
        let _turn = match lock.try_lock() {
            Ok(turn) => turn,
            Err(_) => {
                self.observer.tell(blob.digest, Phase::Waiting);
                lock.lock().await
            }
        };
        let same = |known: &Layer| known.diff_id == *diff_id && known.blob_size == blob.size;
        if let Some(known) = self.store.known_layer(&blob.digest).filter(same) {
            self.observer.tell(blob.digest, Phase::Exists);
            return Ok(known);
        }
        let layer = self.transfer(blob, diff_id).await?;
        self.observer.tell(blob.digest, Phase::Done);
        Ok(layer)
    }

    async fn transfer(&self, blob: &Descriptor, diff_id: &Digest) -> Result<Layer, RegistryError> {
        let (sink, source) = mpsc::channel(QUEUE);
        let expected =
            Expected { digest: Some(blob.digest), size: Some(blob.size), diff_id: Some(*diff_id) };
        let store = self.store.clone();
        let import = tokio::task::spawn_blocking(move || {
            let source = Incoming { source, piece: Bytes::new(), ended: false };
            let name = expected.digest.map(|digest| digest.to_string()).unwrap_or_default();
            store.take_layer(&name, source, &expected, &mut store.lease())
        });
        let download = Download {
            session: &self.session,
            settings: &self.client.settings,
            observer: self.observer,
            blob,
            sink,
            received: 0,
        };
        let downloaded = download.run().await;
        if downloaded.is_ok() {
            self.observer.tell(blob.digest, Phase::Extracting);
        }
        // After a failure as well: the thread then sees the end and removes what it wrote.
        let imported = import.await.map_err(|_| RegistryError::Aborted(blob.digest));
        downloaded?;
        Ok(imported??)
    }

    fn unusable(&self, source: ManifestError) -> RegistryError {
        RegistryError::Manifest { name: self.name.clone(), source }
    }
}

/// The pieces that a download sends, as a file.
struct Incoming {
    source: mpsc::Receiver<Bytes>,
    piece: Bytes,
    ended: bool,
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() && !self.ended {
            // A sender that goes away without the end has failed.
            self.piece = self.source.blocking_recv().ok_or(io::ErrorKind::UnexpectedEof)?;
            self.ended = self.piece.is_empty();
        }
        let count = self.piece.len().min(buffer.len());
        self.piece.copy_to_slice(buffer.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}
