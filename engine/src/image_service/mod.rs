//! Images as the engine offers them: the store and the registries, with events.
//!
//! The store itself knows neither containers nor events.

mod error;
mod usage;

use image::registry::{Credentials, Found, PullOptions, Pulled, Pushed, Registries, Settings};
use image::registry::{Observer, RegistryError};
use image::store::{PruneReport, RemoveOptions, Removed, Use};
use image::{Image, ImageId, Reference, Store};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

pub use self::error::ImageError;
pub use self::usage::user_of;
use crate::events::{Actor, Bus, Kind};

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Service {
    store: Store,
    registries: Registries,
    events: Bus,
}

/// Tells of a container that uses an image. Asked while the store is locked.
pub type Used<'a> = &'a dyn Fn(&ImageId) -> Option<Use>;

impl Service {
    /// Over `store`. The `insecure` registries speak plain HTTP, besides those of this host.
    ///
    /// # Errors
    ///
    /// Where the certificates that the host trusts cannot be loaded.
    pub fn new(store: Store, events: Bus, insecure: Vec<String>) -> Result<Self, RegistryError> {
        let settings = Settings { insecure, ..Settings::default() };
        Ok(Self { store, registries: Registries::new(settings)?, events })
    }

    /// The store, for what only looks.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Pulls an image.
    ///
    /// # Errors
    ///
    /// As [`Registries::pull`].
    pub async fn pull(&self, name: &Reference, options: PullOptions) -> Result<Pulled, ImageError> {
        let Self { store, registries, .. } = self.clone();
        let wanted = name.clone();
        let pulling =
            apart(move || async move { registries.pull(&store, &wanted, &options).await });
        let pulled = pulling.await??;
        self.tell("pull", &name.familiar(), &name.familiar());
        Ok(pulled)
    }

    /// Pushes an image to the registry of its name.
    ///
    /// # Errors
    ///
    /// As [`Registries::push`].
    pub async fn push(
        &self,
        name: &Reference,
        credentials: Credentials,
        observer: Observer,
    ) -> Result<Pushed, ImageError> {
        let Self { store, registries, .. } = self.clone();
        let wanted = name.clone();
        let pushing = apart(move || async move {
            registries.push(&store, &wanted, &credentials, &observer).await
        });
        let pushed = pushing.await??;
        self.tell("push", &name.familiar(), &name.familiar());
        Ok(pushed)
    }

    /// Looks what a registry has under a name.
    ///
    /// # Errors
    ///
    /// As [`Registries::look`].
    pub async fn look(
        &self,
        name: &Reference,
        credentials: Credentials,
    ) -> Result<Found, ImageError> {
        let (registries, name) = (self.registries.clone(), name.clone());
        let looking = apart(move || async move { registries.look(&name, &credentials).await });
        Ok(looking.await??)
    }

    /// The names with tags that a registry has of a repository.
    ///
    /// # Errors
    ///
    /// As [`Registries::tags`].
    pub async fn names(
        &self,
        repository: &Reference,
        credentials: Credentials,
    ) -> Result<Vec<Reference>, ImageError> {
        let (registries, wanted) = (self.registries.clone(), repository.clone());
        let asking = apart(move || async move { registries.tags(&wanted, &credentials).await });
        let names = asking.await??.into_iter().map(|tag| repository.with_tag(&tag));
        Ok(names.collect::<Result<_, _>>()?)
    }

    /// Whether a registry takes credentials.
    ///
    /// # Errors
    ///
    /// As [`Registries::login`].
    pub async fn login(&self, registry: &str, credentials: Credentials) -> Result<(), ImageError> {
        let (registries, registry) = (self.registries.clone(), registry.to_owned());
        let asking = apart(move || async move { registries.login(&registry, &credentials).await });
        Ok(asking.await??)
    }

    /// Gives an image a further name.
    ///
    /// # Errors
    ///
    /// There is no such image, or the name has a digest.
    pub fn tag(&self, source: &str, name: &Reference) -> Result<(), ImageError> {
        let id = self.store.tag(source, name)?;
        self.tell("tag", &id.to_string(), &name.familiar());
        Ok(())
    }

    /// Removes a name, or an image.
    ///
    /// # Errors
    ///
    /// There is none, or containers use it.
    pub fn remove(
        &self,
        text: &str,
        options: RemoveOptions,
        used: Used<'_>,
    ) -> Result<Vec<Removed>, ImageError> {
        // A damaged one is not found, and can be removed.
        let id = self.store.find(text).ok().map(|image| image.id());
        let removed = self.store.remove(text, options, used)?;
        self.tell_removed(id, &removed);
        Ok(removed)
    }

    /// Removes the images that nothing uses and `chosen` chooses: those without a name, or `all`.
    ///
    /// # Errors
    ///
    /// Where files cannot be removed.
    pub fn prune(
        &self,
        all: bool,
        chosen: &dyn Fn(&Image) -> bool,
        used: Used<'_>,
    ) -> Result<PruneReport, ImageError> {
        let report = self.store.prune(all, chosen, used)?;
        self.tell_removed(None, &report.removed);
        let actor = Actor::default().with("reclaimed", report.reclaimed.to_string());
        self.events.emit(Kind::Image, "prune", actor);
        Ok(report)
    }

    fn tell_removed(&self, of: Option<ImageId>, removed: &[Removed]) {
        for one in removed {
            match one {
                Removed::Untagged(name) => {
                    let id = of.map(|id| id.to_string());
                    self.tell("untag", id.as_deref().unwrap_or(name), name);
                }
                Removed::Deleted(digest) => self.tell("delete", digest, digest),
            }
        }
    }

    /// An event of an image, for others who make images too.
    pub fn tell(&self, action: &str, id: &str, name: &str) {
        self.events.emit(Kind::Image, action, Actor::new(id).with("name", name));
    }
}

/// Runs a transfer on a thread of its own, where it need not be able to move to others. It is
/// dropped with the future that is returned.
async fn apart<F, T>(transfer: impl FnOnce() -> F + Send + 'static) -> Result<T, ImageError>
where
    F: Future<Output = T>,
    T: Send + 'static,
{
    let runtime = Handle::current();
    let (waits, gone) = oneshot::channel::<()>();
    let working = tokio::task::spawn_blocking(move || {
        runtime.block_on(async {
            tokio::select! {
                done = transfer() => Some(done),
                _ = gone => None,
            }
        })
    });
    let done = working.await.ok().flatten();
    drop(waits);
    done.ok_or(ImageError::Ending)
}
