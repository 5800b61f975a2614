//! Volumes: folders on the host with a name, that outlive the containers they are shared with.
//!
//! What should be is written down before it is done, so a crash leaves either a record whose folder
//! is made again, or one that says that it is being removed, which is then finished.

mod error;
mod folder;
mod model;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use time::OffsetDateTime;
use tokio::sync::Mutex;

pub use self::error::VolumeError;
pub use self::model::{Request, Volume};
use crate::container::names;
use crate::events::{Actor, Bus, Kind};
use crate::store::{Store, Table};

/// The only driver.
pub const LOCAL: &str = "local";

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Service(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    table: Table<Volume>,
    events: Bus,
    /// Held while one is made or removed: no two at once of a name.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    volumes: BTreeMap<String, Volume>,
    /// Ids of the containers that each volume is part of, running or not.
    users: BTreeMap<String, BTreeSet<String>>,
}

/// What a prune removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Names.
    pub names: Vec<String>,
    /// Bytes given back.
    pub reclaimed: u64,
}

/// A volume and what there is to know of it besides.
#[derive(Clone, Debug)]
pub struct Usage {
    /// The volume.
    pub volume: Volume,
    /// Bytes of its files.
    pub size: u64,
    /// How many containers it is part of.
    pub users: usize,
}

impl Service {
    /// The volumes in `folder` that `store` knows. Containers must claim theirs before any can be
    /// removed.
    ///
    /// # Errors
    ///
    /// Where the store or a folder fails.
    pub async fn open(store: &Store, folder: PathBuf, events: Bus) -> Result<Self, VolumeError> {
        let table = store.table::<Volume>();
        folder::clean(&folder)?;
        let mut state = State::default();
        for (name, volume) in table.list()? {
            if volume.removing {
                folder::discard(&folder, &name)?;
                table.remove(&name).await?;
                continue;
            }
            folder::make(&folder, &name)?;
            state.volumes.insert(name, volume);
        }
        Ok(Self(Arc::new(Inner { folder, table, events, state: Mutex::new(state) })))
    }

    /// Makes a volume, or gives the one that has the name already.
    ///
    /// # Errors
    ///
    /// The request is refused, or the host fails.
    pub async fn create(&self, request: Request) -> Result<Volume, VolumeError> {
        let mut state = self.0.state.lock().await;
        self.0.create(&mut state, request).await
    }

    /// As [`Self::create`], for the container `id`, which keeps it from being removed until
    /// [`Self::release`].
    ///
    /// # Errors
    ///
    /// As [`Self::create`].
    pub async fn claim(&self, request: Request, id: &str) -> Result<Volume, VolumeError> {
        let mut state = self.0.state.lock().await;
        let volume = self.0.create(&mut state, request).await?;
        state.users.entry(volume.name.clone()).or_default().insert(id.to_owned());
        Ok(volume)
    }

    /// The container `id` is gone: its volumes are its no more. With `remove` the anonymous ones
    /// that nobody else has go with it.
    pub async fn release(&self, id: &str, remove: bool) {
        let mut state = self.0.state.lock().await;
        let mut left = Vec::new();
        for (name, users) in &mut state.users {
            if users.remove(id) {
                left.push(name.clone());
            }
        }
        for name in left {
            let goes = state.volumes.get(&name).is_some_and(|volume| volume.anonymous());
            if !(remove && goes) || state.is_used(&name) {
                continue;
            }
            if let Err(error) = self.0.remove(&mut state, &name).await {
                log::warn!("{}", crate::http::error::chain(&error));
            }
        }
    }

    /// The volume of that name.
    ///
    /// # Errors
    ///
    /// [`VolumeError::NotFound`].
    pub async fn get(&self, name: &str) -> Result<Volume, VolumeError> {
        let state = self.0.state.lock().await;
        state.volumes.get(name).cloned().ok_or_else(|| VolumeError::NotFound(name.to_owned()))
    }

    /// All volumes by name, each with whether containers have it.
    pub async fn list(&self) -> Vec<(Volume, bool)> {
        let state = self.0.state.lock().await;
        state.volumes.values().map(|v| (v.clone(), state.is_used(&v.name))).collect()
    }

    /// All volumes with their sizes. Reads every folder.
    pub async fn usage(&self) -> Vec<Usage> {
        let mut all = Vec::new();
        for (volume, _) in self.list().await {
            let size = self.0.size(&volume).await;
            let state = self.0.state.lock().await;
            let users = state.users.get(&volume.name).map_or(0, BTreeSet::len);
            all.push(Usage { volume, size, users });
        }
        all
    }

    /// Removes a volume and what is in it.
    ///
    /// # Errors
    ///
    /// There is none, containers have it, or the host fails.
    pub async fn remove(&self, name: &str) -> Result<(), VolumeError> {
        let mut state = self.0.state.lock().await;
        self.0.remove(&mut state, name).await
    }

    /// Removes all that no container has and that `chosen` chooses.
    ///
    /// # Errors
    ///
    /// Where the host fails.
    pub async fn prune(&self, chosen: impl Fn(&Volume) -> bool) -> Result<Pruned, VolumeError> {
        let mut pruned = Pruned::default();
        for (volume, used) in self.list().await {
            if used || !chosen(&volume) {
                continue;
            }
            let size = self.0.size(&volume).await;
            match self.remove(&volume.name).await {
                Ok(()) => {
                    pruned.reclaimed += size;
                    pruned.names.push(volume.name);
                }
                // Somebody was faster.
                Err(VolumeError::InUse { .. } | VolumeError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let actor = Actor::default().with("reclaimed", pruned.reclaimed.to_string());
        self.0.events.emit(Kind::Volume, "prune", actor);
        Ok(pruned)
    }

    /// The folder of a volume's files, also what `inspect` shows.
    #[must_use]
    pub fn mountpoint(&self, volume: &Volume) -> PathBuf {
        self.0.mountpoint(&volume.name)
    }

    /// The folder to share with machines: elsewhere than the mountpoint where the options say so.
    #[must_use]
    pub fn source(&self, volume: &Volume) -> PathBuf {
        volume.device().map_or_else(|| self.mountpoint(volume), Path::to_owned)
    }
}

impl State {
    fn is_used(&self, name: &str) -> bool {
        self.users.get(name).is_some_and(|users| !users.is_empty())
    }
}

impl Inner {
    async fn create(&self, state: &mut State, request: Request) -> Result<Volume, VolumeError> {
        let anonymous = request.name.is_none();
        let name = match &request.name {
            Some(name) => name.clone(),
            None => names::new_id().map_err(|error| VolumeError::Name(error.to_string()))?,
        };
        if let Some(volume) = state.volumes.get(&name) {
            return Ok(volume.clone());
        }
        let volume = Volume::new(&name, request, anonymous, OffsetDateTime::now_utc())?;
        self.table.put(&name, &volume).await?;
        if let Err(error) = folder::make(&self.folder, &name) {
            self.table.remove(&name).await?;
            return Err(error);
        }
        state.volumes.insert(name, volume.clone());
        self.emit("create", &volume);
        Ok(volume)
    }

    async fn remove(&self, state: &mut State, name: &str) -> Result<(), VolumeError> {
        let Some(volume) = state.volumes.get(name) else {
            return Err(VolumeError::NotFound(name.to_owned()));
        };
        if let Some(users) = state.users.get(name).filter(|users| !users.is_empty()) {
            let users = users.iter().cloned().collect();
            return Err(VolumeError::InUse { name: name.to_owned(), users });
        }
        let removing = Volume { removing: true, ..volume.clone() };
        self.table.put(name, &removing).await?;
        if let Err(error) = folder::discard(&self.folder, name) {
            self.table.put(name, volume).await?;
            return Err(error);
        }
        self.table.remove(name).await?;
        state.users.remove(name);
        state.volumes.remove(name);
        self.emit("destroy", &removing);
        // Large ones take long; what is left by a crash goes at the next start.
        let folder = self.folder.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = folder::clean(&folder) {
                log::warn!("{}", crate::http::error::chain(&error));
            }
        });
        Ok(())
    }

    async fn size(&self, volume: &Volume) -> u64 {
        let path = self.mountpoint(&volume.name);
        tokio::task::spawn_blocking(move || folder::size(&path)).await.unwrap_or(0)
    }

    fn mountpoint(&self, name: &str) -> PathBuf {
        folder::data(&self.folder, name)
    }

    fn emit(&self, action: &str, volume: &Volume) {
        self.events.emit(Kind::Volume, action, Actor::new(&volume.name).with("driver", LOCAL));
    }
}
