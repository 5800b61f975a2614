//! Containers: what they are, their life, their streams and their files.
//!
//! | module | what it holds |
//! |---|---|
//! | [`spec`] | what a container is, checked: from Docker's bodies |
//! | [`record`] | what is written down of it |
//! | [`live`] | a container, live |
//! | [`home`], [`pods`] | the machine around it, its own or a pod's |
//! | [`life`] | create, start, stop, restart, remove, wait |
//! | [`guest`] | a container as the agent is told of it |
//! | [`streams`], [`logs`] | its output and input |
//! | [`exec`] | commands in it |
//! | [`health`] | probes of its health |
//! | [`stats`], `top` | what it uses, and its processes |
//! | [`files`], [`commit`] | its files, running or not |
//! | [`document`] | it as `inspect` and `ps` show it |

pub mod attach;
mod build_line;
mod cards;
pub mod commit;
mod create;
pub mod document;
mod error;
pub mod exec;
pub mod files;
mod ground;
mod guest;
pub mod health;
mod home;
pub mod life;
mod links;
pub mod live;
pub mod logs;
mod machine;
pub mod moment;
mod mounts;
pub mod names;
mod networks;
#[cfg(test)]
mod played;
pub mod pods;
pub mod record;
pub mod spec;
pub mod stats;
pub mod streams;
mod top;

use std::sync::Arc;

pub use self::error::ContainerError;
use self::exec::Execs;
pub use self::ground::{Ground, Services};
pub use self::live::Container;
pub use self::names::short_id;
use crate::http::error::chain;
use crate::store::Store;

/// All containers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Service {
    ground: Arc<Ground>,
    execs: Arc<Execs>,
}

impl Service {
    /// The containers that the store knows. None of them is looked after before
    /// [`Service::adopt`].
    pub fn open(store: &Store, services: Services) -> Result<Self, ContainerError> {
        let ground = Arc::new(Ground::new(store.table(), services));
        let records = ground.table.list();
        for (id, record) in records.map_err(|error| ContainerError::Store(chain(&error)))? {
            let name = record.name.clone();
            match Container::new(Arc::clone(&ground), record) {
                Ok(container) => {
                    // Names are unique in the store.
                    if let Err(error) = ground.reserve(&name, &id) {
                        log::error!("container {id}: {error}");
                    }
                    ground.add(container);
                }
                Err(error) => log::error!("container {id} cannot be used: {error}"),
            }
        }
        Ok(Self { ground, execs: Arc::default() })
    }

    /// The container that `text` means: its id, its name, or the beginning of its id.
    pub fn find(&self, text: &str) -> Result<Arc<Container>, ContainerError> {
        self.ground.find(text)
    }

    /// All containers, newest first.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Container>> {
        self.ground.all()
    }

    /// Removes a container and what is known of commands in it.
    pub async fn remove(
        &self,
        container: &Arc<Container>,
        options: life::RemoveOptions,
    ) -> Result<(), ContainerError> {
        container.remove(options).await?;
        self.execs.forget(&container.id);
        Ok(())
    }

    /// The images that containers are made of.
    #[must_use]
    pub fn images(&self) -> &image::Store {
        &self.ground.images
    }

    /// The commands run in containers.
    #[must_use]
    pub fn execs(&self) -> &Execs {
        &self.execs
    }

    /// Gives a container another name.
    pub async fn rename(&self, container: &Container, name: &str) -> Result<(), ContainerError> {
        let _operation = container.operation.lock().await;
        let name = names::checked(name)?;
        let old = container.name();
        if name == old {
            let text = "Renaming a container with the same name as its current name";
            return Err(ContainerError::Invalid(text.to_owned()));
        }
        self.ground.reserve(&name, &container.id)?;
        let renamed = container.change(|record| record.name.clone_from(&name)).await;
        if let Err(error) = renamed {
            container.note(|record| record.name.clone_from(&old)).await;
            self.ground.release(&name, &container.id);
            return Err(error);
        }
        self.ground.release(&old, &container.id);
        if let Err(error) = self.ground.networks.rename(&container.id, &name).await {
            log::warn!("container {}: {}", container.id, chain(&error));
        }
        container.emit("rename", &[("oldName", format!("/{old}"))]);
        Ok(())
    }
}
