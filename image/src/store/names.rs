//! Which image a text means, and giving and taking names.

use super::index::Index;
use super::{Image, ImageId, Store, StoreError, now};
use crate::{Digest, Reference};

impl Index {
    /// Gives a name, with a tag or with a digest, to an image; takes it from the one that had it.
    pub(super) fn give_name(&mut self, name: &Reference, id: ImageId) {
        match name.digest() {
            Some(_) => self.digests.insert(name.key(), id),
            None => self.tags.insert(name.key(), id),
        };
        if let Some(record) = self.images.get_mut(&id) {
            record.tagged = Some(now());
        }
    }

    /// The image that a text means: an id, a name, or the beginning of an id, in this order.
    pub(super) fn find(&self, text: &str) -> Result<ImageId, StoreError> {
        let missing = |shown: String| Err(StoreError::NoSuchImage(shown));
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        if let Some(digest) = Digest::from_hex(digits) {
            let id = ImageId(digest);
            return match self.images.contains_key(&id) {
                true => Ok(id),
                false => missing(text.to_owned()),
            };
        }
        let name = text.parse::<Reference>();
        if let Some(id) = name.as_ref().ok().and_then(|name| self.named(name)) {
            return Ok(id);
        }
        match (self.begins_with(digits)?, name) {
            (Some(id), _) => Ok(id),
            (None, Ok(name)) => missing(name.familiar()),
            (None, Err(error)) => Err(error.into()),
        }
    }

    pub(super) fn named(&self, name: &Reference) -> Option<ImageId> {
        let names = if name.digest().is_some() { &self.digests } else { &self.tags };
        names.get(&name.key()).copied()
    }

    fn begins_with(&self, digits: &str) -> Result<Option<ImageId>, StoreError> {
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let mut found = self.images.keys().filter(|id| id.0.hex().starts_with(digits));
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(StoreError::Ambiguous(digits.to_owned())),
            (found, _) => Ok(found.copied()),
        }
    }
}

impl Store {
    /// The image that `text` means, by Docker's rules: an id, a name, or the beginning of an id.
    ///
    /// # Errors
    ///
    /// There is none, more than one, or the text cannot mean one.
    pub fn find(&self, text: &str) -> Result<Image, StoreError> {
        let state = self.state();
        let id = state.index.find(text)?;
        self.view(&state, &id).ok_or_else(|| StoreError::NoSuchImage(text.to_owned()))
    }

    /// The image of that id.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn image(&self, id: &ImageId) -> Result<Image, StoreError> {
        self.view(&self.state(), id).ok_or_else(|| StoreError::NoSuchImage(id.to_string()))
    }

    /// Gives the image that `source` means the name `name`, as well as those that it has.
    ///
    /// # Errors
    ///
    /// There is no such image, or the name has a digest.
    pub fn tag(&self, source: &str, name: &Reference) -> Result<ImageId, StoreError> {
        if name.digest().is_some() {
            return Err(StoreError::TagWithDigest(name.familiar()));
        }
        let mut state = self.state();
        let id = state.index.find(source)?;
        if self.view(&state, &id).is_none() {
            return Err(StoreError::NoSuchImage(source.to_owned()));
        }
        self.change(&mut state, |index| index.give_name(name, id))?;
        Ok(id)
    }

    /// Notes by which digest a registry knows an image.
    pub(crate) fn note_digest(&self, id: ImageId, name: &Reference) -> Result<(), StoreError> {
        let mut state = self.state();
        self.change(&mut state, |index| {
            if index.images.contains_key(&id) {
                index.digests.insert(name.key(), id);
            }
        })
    }
}
