//! The bytes of a blob, from as many connections as it takes.

use bytes::Bytes;
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Method, Response, StatusCode};
use tokio::sync::mpsc;

use super::progress::{Observer, Phase};
use super::session::Session;
use super::{RegistryError, Settings};
use crate::manifest::Descriptor;

/// The end of the blob, which tells the reader that nothing is missing.
pub(super) const END: Bytes = Bytes::new();

/// A blob on its way.
pub(super) struct Download<'a> {
    pub(super) session: &'a Session,
    pub(super) settings: &'a Settings,
    pub(super) observer: &'a Observer,
    pub(super) blob: &'a Descriptor,
    /// Where the bytes go.
    pub(super) sink: mpsc::Sender<Bytes>,
    pub(super) received: u64,
}

/// What ends an attempt.
enum Ended {
    /// All is here.
    Whole,
    /// Nobody wants more: the reader tells why.
    Unwanted,
}

impl Download<'_> {
    /// Fetches the blob, and goes on where a connection broke.
    pub(super) async fn run(mut self) -> Result<(), RegistryError> {
        let mut failures = 0;
        loop {
            let before = self.received;
            match self.attempt().await {
                Ok(Ended::Whole) => {
                    let _ = self.sink.send(END).await;
                    return Ok(());
                }
                Ok(Ended::Unwanted) => return Ok(()),
                Err(error) => {
                    failures = if self.received > before { 1 } else { failures + 1 };
                    let pause = self.settings.pause_after(failures, &error).ok_or(error)?;
                    self.observer.tell(self.blob.digest, Phase::Retrying(pause));
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn attempt(&mut self) -> Result<Ended, RegistryError> {
        let what = format!("blob {}", self.blob.digest);
        let url = self.session.url(&format!("blobs/{}", self.blob.digest))?;
        let range = format!("bytes={}-", self.received);
        let from_start = self.received == 0;
        let response = self
            .session
            .send(Method::GET, url, |request| match from_start {
                true => request,
                false => request.header(RANGE, &range),
            })
            .await?;
        let statuses = [StatusCode::OK, StatusCode::PARTIAL_CONTENT];
        let response = self.session.expect(response, &what, &statuses).await?;
        let skipped = self.start_of(&response, &what)?;
        self.read(response, skipped).await
    }

    /// How much of the response is here already: all of that if the registry begins anew.
    fn start_of(&self, response: &Response, what: &str) -> Result<u64, RegistryError> {
        if response.status() == StatusCode::OK {
            return Ok(self.received);
        }
        let start = response.headers().get(CONTENT_RANGE).and_then(|range| {
            let range = range.to_str().ok()?.trim().strip_prefix("bytes ")?;
            range.split('-').next()?.parse::<u64>().ok()
        });
        match start == Some(self.received) {
            true => Ok(0),
            false => Err(self.session.unusable(what, "it is another part than asked for")),
        }
    }

    async fn read(
        &mut self,
        mut response: Response,
        mut skipped: u64,
    ) -> Result<Ended, RegistryError> {
        let size = self.blob.size;
        let mut meter = self.observer.meter(self.blob.digest);
        while let Some(mut chunk) =
            response.chunk().await.map_err(|source| self.session.failed(source))?
        {
            let known = skipped.min(chunk.len() as u64);
            skipped -= known;
            let fresh = chunk.split_off(usize::try_from(known).unwrap_or(chunk.len()));
            if fresh.is_empty() {
                continue;
            }
            self.received += fresh.len() as u64;
            if self.received > size {
                let what = format!("blob {}", self.blob.digest);
                return Err(RegistryError::TooLong { what, limit: size });
            }
            meter.tell(Phase::Downloading { current: self.received, total: size });
            if self.sink.send(fresh).await.is_err() {
                return Ok(Ended::Unwanted);
            }
        }
        match self.received == size {
            true => Ok(Ended::Whole),
            false => Err(RegistryError::Truncated {
                digest: self.blob.digest,
                received: self.received,
                size,
            }),
        }
    }
}
