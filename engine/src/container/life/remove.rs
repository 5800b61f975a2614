//! Removing a container.

use std::io;
use std::sync::Arc;

use crate::container::ContainerError;
use crate::container::live::Container;
use crate::container::record::Phase;
use crate::container::spec::signal;
use crate::http::error::chain;

/// How to remove a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemoveOptions {
    /// Its anonymous volumes, too.
    pub volumes: bool,
    /// Kill it first.
    pub force: bool,
}

impl Container {
    /// Removes it. Doing so twice at once is fine; the second is told that it is under way.
    pub async fn remove(self: &Arc<Self>, options: RemoveOptions) -> Result<(), ContainerError> {
        if self.phase().is_up() {
            if !options.force {
                return Err(self.in_the_way());
            }
            match self.kill(signal::KILL).await {
                // It may have ended meanwhile.
                Ok(()) | Err(ContainerError::Conflict(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let _operation = self.operation.lock().await;
        if self.progress.borrow().removed {
            return Err(ContainerError::NotFound(self.id.clone()));
        }
        if self.phase().is_up() {
            return Err(self.in_the_way());
        }
        // Where there is no room to write this down, the container's files may be what takes it.
        self.note(|record| {
            record.state.phase = Phase::Removing;
            // For an engine that has to finish it.
            record.state.remove_volumes = options.volumes;
        })
        .await;
        let removed = self.remove_all(options).await;
        if let Err(error) = &removed {
            self.note(|record| {
                record.state.phase = Phase::Dead;
                record.state.error = error.to_string();
            })
            .await;
        }
        removed
    }

    async fn remove_all(self: &Arc<Self>, options: RemoveOptions) -> Result<(), ContainerError> {
        let ended = self.ground.sandboxes.end(&self.id).await;
        ended.map_err(|error| ContainerError::Machine(chain(&error)))?;
        let folder = self.folder();
        let removing = {
            let folder = folder.clone();
            tokio::task::spawn_blocking(move || std::fs::remove_dir_all(folder))
        };
        match removing.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let what = format!("Failed to remove {}", folder.display());
                return Err(ContainerError::io(what)(error));
            }
            _ => {}
        }
        // Until all know that it is gone, so that nobody writes it down once more.
        let _writing = self.writing.lock().await;
        let removed = self.ground.table.remove(&self.id).await;
        removed.map_err(|error| ContainerError::Store(chain(&error)))?;
        self.ground.forget(self);
        self.ground.volumes.release(&self.id, options.volumes).await;
        self.emit("destroy", &[]);
        self.progress.send_modify(|progress| progress.removed = true);
        Ok(())
    }

    fn in_the_way(&self) -> ContainerError {
        let (name, phase) = (self.name(), self.phase().as_str());
        ContainerError::Conflict(format!(
            "cannot remove container \"/{name}\": container is {phase}: stop the container before \
             removing or force remove"
        ))
    }
}
