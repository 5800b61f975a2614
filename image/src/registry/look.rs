//! What a registry has, without pulling it.

use super::session::Access;
use super::{Credentials, Registries, RegistryError};
use crate::config::{ImageConfig, MAX_CONFIG};
use crate::manifest::{Document, OCI_INDEX};
use crate::{Digest, Platform, Reference};

/// Pages of tags that are read; registries give 100 or more on one.
const MAX_PAGES: usize = 100;
/// Tags that are read; the largest repositories have some ten thousand.
const MAX_TAGS: usize = 100_000;

/// What stands under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Whether it is an image or a list of some, and in which form.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// What it runs on.
    pub platforms: Vec<Platform>,
}

impl Registries {
    /// Looks what the registry has under a name.
    ///
    /// # Errors
    ///
    /// It has nothing or does not tell, or it is no image.
    pub async fn look(
        &self,
        image: &Reference,
        credentials: &Credentials,
    ) -> Result<Found, RegistryError> {
        let session = self.session(image, Access::Pull, credentials)?;
        let wanted = image.wanted();
        let text = self.retry(|| session.manifest(&wanted)).await?;
        let name = image.familiar();
        let document = Document::parse(&text)
            .map_err(|source| RegistryError::Manifest { name: name.clone(), source })?;
        let (media_type, platforms) = match document {
            Document::Image(manifest) => {
                let digest = manifest.config.digest;
                let text = self.retry(|| session.document(&digest, MAX_CONFIG)).await?;
                let config = ImageConfig::parse(&text)
                    .map_err(|source| RegistryError::Config { name, source })?;
                (manifest.effective_media_type().to_owned(), vec![config.platform()])
            }
            Document::List(list) => {
                let platforms = list.manifests.into_iter().filter_map(|entry| entry.platform);
                let known = Some(list.media_type).filter(|known| !known.is_empty());
                (known.unwrap_or_else(|| OCI_INDEX.to_owned()), platforms.collect())
            }
        };
        Ok(Found { media_type, digest: Digest::of(&text), size: text.len() as u64, platforms })
    }

    /// The tags that the registry has of a repository.
    ///
    /// # Errors
    ///
    /// It has none or does not tell, or there is no end to them.
    pub async fn tags(
        &self,
        repository: &Reference,
        credentials: &Credentials,
    ) -> Result<Vec<String>, RegistryError> {
        let session = self.session(repository, Access::Pull, credentials)?;
        let mut all = Vec::new();
        let mut next = Some(session.url("tags/list")?);
        for _ in 0..MAX_PAGES {
            let Some(url) = next else { return Ok(all) };
            let (tags, more) = self.retry(|| session.tags(url.clone())).await?;
            all.extend(tags);
            if all.len() > MAX_TAGS {
                return Err(session.unusable("the list of its tags", "it has too many tags"));
            }
            next = more;
        }
        Err(session.unusable("the list of its tags", "it has too many pages"))
    }
}
