//! Removing images, by Docker's rules: a name first, the image with its last name.

use super::index::Index;
use super::{Image, ImageId, State, Store, StoreError};
use crate::Reference;

/// A container that uses an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// Its id.
    pub container: String,
    /// Whether it runs, or is paused.
    pub running: bool,
}

/// How an image is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemoveOptions {
    /// Remove all names even where containers use the image. The image itself stays, without a
    /// name, until the last of its containers is gone.
    pub force: bool,
    /// Leave the images that it was committed from, even if they have no names.
    pub keep_parents: bool,
}

/// What was removed, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// A name.
    Untagged(String),
    /// An image or a layer, by its digest.
    Deleted(String),
}

/// What a prune removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneReport {
    /// What was removed, in order.
    pub removed: Vec<Removed>,
    /// Bytes given back to the host's disk.
    pub reclaimed: u64,
}

type Used<'a> = &'a dyn Fn(&ImageId) -> Option<Use>;

/// What stands in the way of removing an image.
struct Obstacle {
    reason: String,
    forceable: bool,
}

impl Store {
    /// Removes the name or the image that `text` means. `used` tells which containers use an
    /// image.
    ///
    /// # Errors
    ///
    /// There is no such image, or it is in use.
    pub fn remove(
        &self,
        text: &str,
        options: RemoveOptions,
        used: Used<'_>,
    ) -> Result<Vec<Removed>, StoreError> {
        let mut state = self.state();
        let id = state.index.find(text)?;
        let name = text.parse().ok().filter(|name| state.index.named(name) == Some(id));
        let goes = match &name {
            Some(name) => state.may_remove_name(id, name, options, used)?,
            None => state.may_remove_image(id, text, options, used)?,
        };
        let parent = state.parent(id);
        let (mut removed, _) = self.take_out(&mut state, |index| {
            let names = match (&name, goes) {
                (Some(name), _) if !index.is_last_name(name, id) => index.names_with(name, id),
                _ => index.all_names(id),
            };
            let mut removed = index.take_names(names);
            if goes {
                removed.push(Removed::Deleted(id.to_string()));
                index.images.remove(&id);
            }
            removed
        })?;
        if goes {
            let parent = parent.filter(|_| !options.keep_parents);
            self.finish_removal(&mut state, parent, &mut removed, used)?;
        }
        Ok(removed)
    }

    /// Removes images that nothing uses and `wanted` wants away: those without a tag, or `all`; and
    /// damaged ones without a name.
    ///
    /// # Errors
    ///
    /// The index could not be written, or files not removed.
    pub fn prune(
        &self,
        all: bool,
        wanted: &dyn Fn(&Image) -> bool,
        used: Used<'_>,
    ) -> Result<PruneReport, StoreError> {
        let mut state = self.state();
        let mut report = PruneReport::default();
        // The parents of what goes in one round may go in the next.
        loop {
            let going: Vec<ImageId> = state
                .index
                .images
                .keys()
                .filter(|id| state.obstacle(id, used).is_none())
                .filter(|id| match self.view(&state, id) {
                    Some(image) => (all || image.is_dangling()) && wanted(&image),
                    // A damaged one that nobody can name to remove it.
                    None => state.index.all_names(**id).is_empty(),
                })
                .copied()
                .collect();
            if going.is_empty() {
                break;
            }
            let (removed, reclaimed) = self.take_out(&mut state, |index| {
                let mut removed = Vec::new();
                for id in &going {
                    let names = index.all_names(*id);
                    removed.extend(index.take_names(names));
                    removed.push(Removed::Deleted(id.to_string()));
                    index.images.remove(id);
                }
                removed
            })?;
            report.removed.extend(removed);
            report.reclaimed += reclaimed;
        }
        state.forget_configs();
        let (reclaimed, layers) = self.collect(&mut state)?;
        report.reclaimed += reclaimed;
        report.removed.extend(layers.iter().map(|layer| Removed::Deleted(layer.to_string())));
        Ok(report)
    }

    /// Takes names and images out of the index: what went, and the bytes that this gave back.
    ///
    /// Where there is no room to write that down, the files go first: what they take may be all
    /// there is. Should the host fail in between, their images are damaged, and can be removed.
    fn take_out(
        &self,
        state: &mut State,
        take: impl Fn(&mut Index) -> Vec<Removed>,
    ) -> Result<(Vec<Removed>, u64), StoreError> {
        match self.change(state, &take) {
            Err(StoreError::Full { .. }) => {}
            changed => return changed.map(|removed| (removed, 0)),
        }
        let before = state.index.clone();
        let mut removed = take(&mut state.index);
        state.forget_configs();
        let collected = self.collect(state);
        match collected.and_then(|collected| self.write_down(&state.index).map(|()| collected)) {
            Ok((bytes, layers)) => {
                removed.extend(layers.iter().map(|layer| Removed::Deleted(layer.to_string())));
                Ok((removed, bytes))
            }
            Err(error) => {
                state.index = before;
                Err(error)
            }
        }
    }

    /// Removes the parents of a removed image that are left without a name, and the files.
    fn finish_removal(
        &self,
        state: &mut State,
        mut parent: Option<ImageId>,
        removed: &mut Vec<Removed>,
        used: Used<'_>,
    ) -> Result<(), StoreError> {
        while let Some(id) = parent {
            let nameless = state.index.all_names(id).is_empty();
            if !nameless || state.obstacle(&id, used).is_some() {
                break;
            }
            parent = state.parent(id);
            let (gone, _) = self.take_out(state, |index| {
                index.images.remove(&id);
                vec![Removed::Deleted(id.to_string())]
            })?;
            removed.extend(gone);
        }
        state.forget_configs();
        let (_, layers) = self.collect(state)?;
        removed.extend(layers.iter().map(|layer| Removed::Deleted(layer.to_string())));
        Ok(())
    }
}

impl State {
    /// Whether the image goes with the name.
    fn may_remove_name(
        &self,
        id: ImageId,
        name: &Reference,
        options: RemoveOptions,
        used: Used<'_>,
    ) -> Result<bool, StoreError> {
        if !self.index.is_last_name(name, id) {
            return Ok(false);
        }
        if let Some(user) = used(&id).filter(|_| !options.force) {
            return Err(StoreError::Conflict {
                action: format!("remove repository reference {:?}", name.familiar()),
                forceable: true,
                reason: format!(
                    "container {} is using its referenced image {}",
                    short(&user.container),
                    short(&id.0.hex())
                ),
            });
        }
        Ok(self.obstacle(&id, used).is_none())
    }

    /// Whether the image goes, or only its names.
    fn may_remove_image(
        &self,
        id: ImageId,
        text: &str,
        options: RemoveOptions,
        used: Used<'_>,
    ) -> Result<bool, StoreError> {
        let conflict = |reason: String, forceable| {
            Err(StoreError::Conflict { action: format!("delete {text}"), forceable, reason })
        };
        let obstacle = self.obstacle(&id, used);
        match &obstacle {
            Some(obstacle) if !(obstacle.forceable && options.force) => {
                return conflict(obstacle.reason.clone(), obstacle.forceable);
            }
            _ => {}
        }
        if self.index.repositories(id) > 1 && !options.force {
            return conflict("image is referenced in multiple repositories".to_owned(), true);
        }
        Ok(obstacle.is_none())
    }

    fn obstacle(&self, id: &ImageId, used: Used<'_>) -> Option<Obstacle> {
        if self.index.children(id).next().is_some() {
            let reason = "image has dependent child images".to_owned();
            return Some(Obstacle { reason, forceable: false });
        }
        if let Some(user) = used(id) {
            let kind = if user.running { "running" } else { "stopped" };
            let container = short(&user.container);
            let reason = format!("image is being used by {kind} container {container}");
            return Some(Obstacle { reason, forceable: !user.running });
        }
        self.holds.contains_key(id).then(|| Obstacle {
            reason: "image is being used by an operation that has not ended".to_owned(),
            forceable: false,
        })
    }

    fn parent(&self, id: ImageId) -> Option<ImageId> {
        let parent = self.index.images.get(&id)?.parent?;
        self.index.images.contains_key(&parent).then_some(parent)
    }

    fn forget_configs(&mut self) {
        let images = &self.index.images;
        self.configs.retain(|id, _| images.contains_key(id));
    }
}

impl Index {
    fn all_names(&self, id: ImageId) -> Vec<String> {
        let (tags, digests) = self.names(&id);
        tags.into_iter().chain(digests).map(str::to_owned).collect()
    }

    /// A name, and with the last tag of a repository its digests there.
    fn names_with(&self, name: &Reference, id: ImageId) -> Vec<String> {
        let (tags, digests) = self.names(&id);
        let repository = name.name();
        let key = name.key();
        let more_tags = tags.iter().any(|tag| *tag != key && repository_of(tag) == repository);
        let mut names = vec![key];
        if name.digest().is_none() && !more_tags {
            let own = digests.iter().filter(|name| repository_of(name) == repository);
            names.extend(own.map(|name| (*name).to_owned()));
        }
        names
    }

    /// Whether nothing is left of an image's names when this one goes.
    fn is_last_name(&self, name: &Reference, id: ImageId) -> bool {
        self.names_with(name, id).len() == self.all_names(id).len()
    }

    fn take_names(&mut self, names: Vec<String>) -> Vec<Removed> {
        names
            .into_iter()
            .map(|name| {
                self.tags.remove(&name);
                self.digests.remove(&name);
                let shown = name.parse().map(|name: Reference| name.familiar());
                Removed::Untagged(shown.unwrap_or(name))
            })
            .collect()
    }

    fn repositories(&self, id: ImageId) -> usize {
        let mut names: Vec<_> = self.all_names(id).iter().map(|name| repository_of(name)).collect();
        names.sort_unstable();
        names.dedup();
        names.len()
    }
}

fn repository_of(name: &str) -> String {
    name.parse().map(|name: Reference| name.name()).unwrap_or_default()
}

fn short(id: &str) -> String {
    id.chars().take(12).collect()
}
