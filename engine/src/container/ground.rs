//! What containers stand on: the other services of the engine, and the list of containers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::live::{Container, lock};
use super::record::{ContainerRecord, Role};
use super::{ContainerError, names};
use crate::events::Bus;
use crate::paths::Paths;
use crate::sandbox::{Disks, Sandboxes};
use crate::store::Table;
use crate::{network, volume};

/// The services and the list.
#[derive(Debug)]
pub struct Ground {
    pub(super) paths: Paths,
    pub(super) table: Table<ContainerRecord>,
    pub(super) images: image::Store,
    pub(super) sandboxes: Sandboxes,
    pub(super) disks: Disks,
    pub(super) volumes: volume::Service,
    pub(super) networks: network::Service,
    pub(super) events: Bus,
    /// Locked under the lock of `images`, which asks for its users: never the other way round.
    index: Mutex<Index>,
}

/// What the engine gives to its containers.
#[derive(Clone, Debug)]
pub struct Services {
    /// Folders.
    pub paths: Paths,
    /// Images.
    pub images: image::Store,
    /// Machines.
    pub sandboxes: Sandboxes,
    /// Volumes.
    pub volumes: volume::Service,
    /// Networks.
    pub networks: network::Service,
    /// Where events go.
    pub events: Bus,
}

#[derive(Debug, Default)]
struct Index {
    containers: HashMap<String, Arc<Container>>,
    /// Ids by name. A name is here before its container is in the list.
    names: HashMap<String, String>,
}

impl Ground {
    pub(super) fn new(table: Table<ContainerRecord>, services: Services) -> Self {
        let Services { paths, images, sandboxes, volumes, networks, events } = services;
        let disks = Disks::new(paths.disks());
        let index = Mutex::default();
        Self { paths, table, images, sandboxes, disks, volumes, networks, events, index }
    }

    /// The image of this id.
    pub(super) fn image(&self, id: &str) -> Result<image::Image, ContainerError> {
        self.images.find(id).map_err(|_| ContainerError::NoImage(id.to_owned()))
    }

    /// Takes a name for the container `id`: one of many who want it at once gets it.
    pub(super) fn reserve(&self, name: &str, id: &str) -> Result<(), ContainerError> {
        let mut index = lock(&self.index);
        if let Some(holder) = index.names.get(name) {
            let (name, holder) = (name.to_owned(), holder.clone());
            return Err(ContainerError::NameTaken { name, holder });
        }
        index.names.insert(name.to_owned(), id.to_owned());
        Ok(())
    }

    /// Takes a made-up name.
    pub(super) fn reserve_any(&self, id: &str) -> Result<String, ContainerError> {
        let mut attempt = 0;
        loop {
            let name = names::made_up(attempt)?;
            match self.reserve(&name, id) {
                Ok(()) => return Ok(name),
                Err(error) if attempt >= 100 => return Err(error),
                Err(_) => attempt += 1,
            }
        }
    }

    /// Gives a name back, if it is this container's.
    pub(super) fn release(&self, name: &str, id: &str) {
        let mut index = lock(&self.index);
        if index.names.get(name).is_some_and(|holder| holder == id) {
            index.names.remove(name);
        }
    }

    pub(super) fn add(&self, container: Arc<Container>) {
        lock(&self.index).containers.insert(container.id.clone(), container);
    }

    /// Takes a container off the list, with its name.
    pub(super) fn forget(&self, container: &Container) {
        lock(&self.index).containers.remove(&container.id);
        self.release(&container.name(), &container.id);
    }

    /// All containers, newest first. Pods are none.
    pub(super) fn all(&self) -> Vec<Arc<Container>> {
        self.those(|container| !container.is_pod())
    }

    /// All pods, newest first.
    pub(super) fn pods(&self) -> Vec<Arc<Container>> {
        self.those(Container::is_pod)
    }

    /// The containers of a pod, newest first.
    pub(super) fn members(&self, id: &str) -> Vec<Arc<Container>> {
        self.those(|container| {
            container
                .with_record(|record| matches!(&record.role, Role::Member { pod } if pod == id))
        })
    }

    /// The pod of this id.
    pub(super) fn pod(&self, id: &str) -> Option<Arc<Container>> {
        let found = lock(&self.index).containers.get(id).cloned();
        found.filter(|container| container.is_pod())
    }

    fn those(&self, fit: impl Fn(&Container) -> bool) -> Vec<Arc<Container>> {
        let mut all: Vec<_> = lock(&self.index).containers.values().cloned().collect();
        all.retain(|container| fit(container));
        all.sort_by_cached_key(|container| {
            std::cmp::Reverse(container.with_record(|record| record.created_ns))
        });
        all
    }

    /// The container that `text` means: its id, its name, or the beginning of its id.
    pub(super) fn find(&self, text: &str) -> Result<Arc<Container>, ContainerError> {
        self.find_one(text, false)
    }

    /// The pod that `text` means, in the same way.
    pub(super) fn find_pod(&self, text: &str) -> Result<Arc<Container>, ContainerError> {
        self.find_one(text, true)
    }

    fn find_one(&self, text: &str, pod: bool) -> Result<Arc<Container>, ContainerError> {
        let index = lock(&self.index);
        let bare = text.strip_prefix('/').unwrap_or(text);
        let by_name = index.names.get(bare).and_then(|id| index.containers.get(id));
        let exact = index.containers.get(bare).or(by_name);
        if let Some(container) = exact.filter(|container| container.is_pod() == pod) {
            return Ok(Arc::clone(container));
        }
        let mut fitting = index
            .containers
            .iter()
            .filter(|(id, container)| id.starts_with(bare) && container.is_pod() == pod);
        match (fitting.next(), fitting.next()) {
            (Some((_, container)), None) if !bare.is_empty() => Ok(Arc::clone(container)),
            (Some(_), Some(_)) if !bare.is_empty() => {
                Err(ContainerError::Ambiguous(text.to_owned()))
            }
            _ if pod => Err(ContainerError::NoPod(text.to_owned())),
            _ => Err(ContainerError::NotFound(text.to_owned())),
        }
    }
}
