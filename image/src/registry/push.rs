//! Pushing an image: what the registry lacks of its blobs, then its manifest.

use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Body, Method, Response, StatusCode, Url};
use tokio::io::AsyncReadExt;

use super::progress::{Observer, Phase};
use super::session::{Access, Session};
use super::{Credentials, Registries, RegistryError};
use crate::store::{Image, Store};
use crate::{Digest, Reference};

/// What is read of a blob at once.
const PIECE: usize = 256 << 10;

/// An image that was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The digest of its manifest.
    pub digest: Digest,
    /// The manifest's length in bytes, as Docker tells it.
    pub size: u64,
}

struct Push<'a> {
    client: &'a Registries,
    session: Session,
    store: &'a Store,
    source: Option<String>,
    observer: &'a Observer,
}

impl Registries {
    /// Pushes the image that the store has under the name `image` to the registry of that name.
    ///
    /// # Errors
    ///
    /// There is no such image, or the registry does not take it.
    pub async fn push(
        &self,
        store: &Store,
        image: &Reference,
        credentials: &Credentials,
        observer: &Observer,
    ) -> Result<Pushed, RegistryError> {
        let local = store.find(&image.to_string())?;
        let _hold = store.hold(&local.id())?;
        let source = source(&local, image);
        let access = Access::Push { from: source.clone() };
        let session = self.session(image, access, credentials)?;
        let push = Push { client: self, session, store, source, observer };
        push.blobs(&local).await?;
        let (digest, media_type) = local.manifest();
        let manifest = store.document(&digest)?;
        let size = manifest.len() as u64;
        let wanted = image.wanted();
        self.retry(|| push.manifest(&wanted, media_type, &manifest)).await?;
        store.note_digest(local.id(), &image.with_digest(digest))?;
        Ok(Pushed { digest, size })
    }
}

/// Another repository of the same registry that has the image's blobs, or had them.
fn source(local: &Image, target: &Reference) -> Option<String> {
    let mut known = local.digests().iter().filter(|name| name.registry() == target.registry());
    known
        .find(|name| name.repository() != target.repository())
        .map(|name| name.repository().to_owned())
}

impl Push<'_> {
    async fn blobs(&self, image: &Image) -> Result<(), RegistryError> {
        let mut blobs: Vec<Digest> = Vec::new();
        for layer in image.layer_records() {
            if !blobs.contains(&layer.blob) {
                blobs.push(layer.blob);
                self.observer.tell(layer.blob, Phase::Preparing);
            }
        }
        let transfers: Vec<_> = blobs.iter().map(|digest| self.layer(digest)).collect();
        stream::iter(transfers)
            .buffered(self.client.settings.parallel.max(1))
            .try_collect::<()>()
            .await?;
        let config = image.id().0;
        let silent = Observer::default();
        self.client.retry(|| self.blob(&config, &silent)).await.map(drop)
    }

    async fn layer(&self, digest: &Digest) -> Result<(), RegistryError> {
        let phase = self.client.retry(|| self.blob(digest, self.observer)).await?;
        self.observer.tell(*digest, phase);
        Ok(())
    }

    /// Brings a blob there, and tells how.
    async fn blob(&self, digest: &Digest, observer: &Observer) -> Result<Phase, RegistryError> {
        let what = format!("blob {digest}");
        let url = self.session.url(&format!("blobs/{digest}"))?;
        let head = self.session.send(Method::HEAD, url, |request| request).await?;
        if head.status() != StatusCode::NOT_FOUND {
            self.session.expect(head, &what, &[StatusCode::OK]).await?;
            return Ok(Phase::Exists);
        }
        let begun = self.begin(digest, self.source.as_deref()).await?;
        if begun.status() == StatusCode::CREATED {
            return Ok(Phase::Mounted);
        }
        let url = self.target(&begun, digest, &what)?;
        self.upload(url, digest, &what, observer).await?;
        Ok(Phase::Pushed)
    }

    /// Begins an upload, or takes the blob over from another repository.
    async fn begin(&self, digest: &Digest, from: Option<&str>) -> Result<Response, RegistryError> {
        let what = format!("an upload of blob {digest}");
        let mut url = self.session.url("blobs/uploads/")?;
        if let Some(from) = from {
            let mut query = url.query_pairs_mut();
            query.append_pair("mount", &digest.to_string()).append_pair("from", from);
        }
        let response = self
            .session
            .send(Method::POST, url, |request| request.header(CONTENT_LENGTH, "0"))
            .await?;
        let statuses = [StatusCode::ACCEPTED, StatusCode::CREATED];
        self.session.expect(response, &what, &statuses).await
    }

    fn target(&self, begun: &Response, digest: &Digest, what: &str) -> Result<Url, RegistryError> {
        let location = begun.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        let mut url = location
            .and_then(|location| self.session.join(location))
            .ok_or_else(|| self.session.unusable(what, "it does not say where to upload"))?;
        url.query_pairs_mut().append_pair("digest", &digest.to_string());
        Ok(url)
    }

    async fn upload(
        &self,
        url: Url,
        digest: &Digest,
        what: &str,
        observer: &Observer,
    ) -> Result<(), RegistryError> {
        let probe = self.store.open_blob(digest)?;
        let total = probe.metadata().map_err(|source| self.store.unreadable(digest, source))?.len();
        // A request may be sent twice, for credentials: each time from the beginning.
        let body = || match self.store.open_blob(digest) {
            Ok(file) => body(file, total, *digest, observer),
            Err(_) => Body::from(Vec::new()),
        };
        let response = self
            .session
            .send(Method::PUT, url, |request| {
                request
                    .header(CONTENT_TYPE, "application/octet-stream")
                    .header(CONTENT_LENGTH, total)
                    .body(body())
            })
            .await?;
        self.session.expect(response, what, &[StatusCode::CREATED]).await.map(drop)
    }

    async fn manifest(
        &self,
        wanted: &str,
        media_type: &str,
        text: &[u8],
    ) -> Result<(), RegistryError> {
        let url = self.session.url(&format!("manifests/{wanted}"))?;
        let response = self
            .session
            .send(Method::PUT, url, |request| {
                request.header(CONTENT_TYPE, media_type).body(text.to_vec())
            })
            .await?;
        let what = format!("manifest {wanted}");
        self.session.expect(response, &what, &[StatusCode::CREATED]).await.map(drop)
    }
}

/// A file as a request's body that tells how much of it has gone.
fn body(file: std::fs::File, total: u64, digest: Digest, observer: &Observer) -> Body {
    let file = tokio::fs::File::from_std(file);
    let state = (file, 0, observer.meter(digest));
    Body::wrap_stream(stream::try_unfold(
        state,
        move |(mut file, mut current, mut meter)| async move {
            let mut piece = Vec::with_capacity(PIECE);
            if file.read_buf(&mut piece).await? == 0 {
                return Ok::<_, std::io::Error>(None);
            }
            current += piece.len() as u64;
            meter.tell(Phase::Pushing { current, total });
            Ok(Some((piece, (file, current, meter))))
        },
    ))
}
