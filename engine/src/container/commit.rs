//! Making an image of a container.

use std::io::{self, Read};
use std::sync::Arc;

use agent_protocol::message::ReadArchive;
use bollard_stubs::models::{ContainerConfig, ImageConfig};
use image::Reference;
use image::archive::Commit;
use tokio::io::AsyncReadExt;
use tokio::runtime::Handle;

use super::files::{self, Access};
use super::live::Container;
use super::record::Phase;
use super::spec::merge;
use super::{ContainerError, Service, build_line};
use crate::agent::{Command, Output};
use crate::http::error::chain;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct CommitRequest {
    /// The new image's name, without a tag; empty for none.
    pub repository: String,
    /// Its tag; empty for `latest`.
    pub tag: String,
    /// Who made it.
    pub author: String,
    /// Why.
    pub comment: String,
    /// Freeze the container meanwhile.
    pub pause: bool,
    /// Lines of a Dockerfile that change the configuration.
    pub changes: Vec<String>,
    /// A configuration that goes before the container's own.
    pub config: Option<ContainerConfig>,
}

impl Service {
    /// Makes an image of what the container changed, on its own image: the new id.
    pub async fn commit(
        &self,
        container: &Arc<Container>,
        request: CommitRequest,
    ) -> Result<String, ContainerError> {
        let record = container.record();
        let name = name(&request)?;
        let parent = self.ground.image(&record.image_id)?;
        let mut config = request.config.clone().unwrap_or_else(|| record.config.clone());
        build_line::apply(&mut config, &request.changes)?;
        merge(&mut config, &image_part(&record.config))?;
        let commit = Commit {
            parent: Some(parent.id()),
            name,
            config: image_config(&config)?,
            author: request.author.clone(),
            comment: request.comment.clone(),
            created_by: container.spec().process.argv.join(" "),
        };
        let access = container.access().await?;
        let reading = self.read_changes(&access, commit);
        let committed = if request.pause && container.phase() == Phase::Running {
            container.frozen(reading).await
        } else {
            reading.await
        };
        access.close().await;
        let id = committed?;
        let shown = [request.repository, request.tag];
        let named = shown.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>();
        container.emit(
            "commit",
            &[("comment", request.comment), ("imageID", id.clone()), ("imageRef", named.join(":"))],
        );
        Ok(id)
    }

    async fn read_changes(
        &self,
        access: &Access,
        commit: Commit,
    ) -> Result<String, ContainerError> {
        let read = ReadArchive {
            path: b"/".to_vec(),
            changes_only: true,
            one_file_system: true,
            ..ReadArchive::default()
        };
        let mut command = access.read(read).await?;
        let Some(stdout) = command.streams.stdout.take() else {
            return Err(ContainerError::Machine("the changes have no stream".to_owned()));
        };
        let (container, runtime) = (access.name(), Handle::current());
        let changes = Changes { stdout, command: Some(command), container, runtime };
        let images = self.ground.images.clone();
        let making = tokio::task::spawn_blocking(move || images.commit(changes, &commit));
        let made = making.await.map_err(|error| ContainerError::Machine(error.to_string()))?;
        made.map(|id| id.to_string()).map_err(|error| ContainerError::Machine(chain(&error)))
    }
}

/// What a container changed, for the thread that makes an image of it. The store reads to the end
/// before it keeps anything, and there it learns whether that was all.
struct Changes {
    stdout: Output,
    /// What gives them, until its end is known.
    command: Option<Command>,
    container: String,
    runtime: Handle,
}

impl Read for Changes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = files::in_time(&self.container, self.stdout.read(buffer));
        let length = self.runtime.block_on(read).map_err(io::Error::other)?;
        if length == 0
            && !buffer.is_empty()
            && let Some(command) = self.command.take()
        {
            let finished = files::finish(command, &self.container);
            self.runtime.block_on(finished).map_err(io::Error::other)?;
        }
        Ok(length)
    }
}

fn name(request: &CommitRequest) -> Result<Option<Reference>, ContainerError> {
    if request.repository.is_empty() {
        return Ok(None);
    }
    let tag = if request.tag.is_empty() { "latest" } else { &request.tag };
    let text = format!("{}:{tag}", request.repository);
    let name = text.parse().map_err(|error| ContainerError::Invalid(format!("{error}")))?;
    Ok(Some(name))
}

/// The part of a container's configuration that an image has.
fn image_config(
    config: &ContainerConfig,
) -> Result<image::config::ContainerConfig, ContainerError> {
    let part = serde_json::to_value(image_part(config)).and_then(serde_json::from_value);
    part.map_err(|error| ContainerError::Invalid(error.to_string()))
}

fn image_part(config: &ContainerConfig) -> ImageConfig {
    ImageConfig {
        user: config.user.clone(),
        exposed_ports: config.exposed_ports.clone(),
        env: config.env.clone(),
        cmd: config.cmd.clone(),
        healthcheck: config.healthcheck.clone(),
        args_escaped: None,
        volumes: config.volumes.clone(),
        working_dir: config.working_dir.clone(),
        entrypoint: config.entrypoint.clone(),
        on_build: config.on_build.clone(),
        labels: config.labels.clone(),
        stop_signal: config.stop_signal.clone(),
        shell: config.shell.clone(),
    }
}

#[cfg(test)]
mod tests;
