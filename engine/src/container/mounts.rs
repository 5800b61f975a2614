//! Which folders of the host a container gets.

use super::record::{ContainerRecord, MountRecord, MountedSource};
use super::spec::{ContainerSpec, MountSource};
use super::{ContainerError, Service};
use crate::http::ApiError;
use crate::volume::Request;

impl Service {
    /// Decides which volumes and folders the container `id` gets, and makes those that are
    /// missing.
    pub(super) async fn decide_mounts(
        &self,
        id: &str,
        spec: &ContainerSpec,
    ) -> Result<Vec<MountRecord>, ContainerError> {
        let mut all = Vec::new();
        for (other, read_only) in &spec.volumes_from {
            let mounts = self.find(other)?.with_record(|record| record.mounts.clone());
            for mut mount in mounts {
                mount.read_only |= read_only;
                if let MountedSource::Volume { name, populate, .. } = &mut mount.source {
                    *populate = false;
                    let request = Request { name: Some(name.clone()), ..Request::default() };
                    self.claim(request, id).await?;
                }
                all.push(mount);
            }
        }
        for request in &spec.mounts {
            all.retain(|mount: &MountRecord| mount.target != request.target);
            let source = match &request.source {
                MountSource::Tmpfs { options } => MountedSource::Tmpfs { options: options.clone() },
                MountSource::Bind { path, create } => bind(path, *create)?,
                MountSource::Volume { name, no_copy, subpath, driver, options, labels } => {
                    let request = Request {
                        name: name.clone(),
                        driver: driver.clone(),
                        options: options.clone(),
                        labels: labels.clone(),
                    };
                    let (name, folder) = self.claim(request, id).await?;
                    let (subpath, populate) = (subpath.clone(), !no_copy);
                    MountedSource::Volume { name, folder, subpath, populate }
                }
            };
            let (target, read_only) = (request.target.clone(), request.read_only);
            all.push(MountRecord { target, read_only, source });
        }
        all.sort_by(|one, other| one.target.cmp(&other.target));
        Ok(all)
    }

    /// The volume's name and the folder to share.
    async fn claim(&self, request: Request, id: &str) -> Result<(String, String), ContainerError> {
        let volumes = &self.ground.volumes;
        let volume = volumes.claim(request, id).await.map_err(|error| {
            let error = ApiError::from(error);
            let (status, message) = (error.status(), error.message().to_owned());
            ContainerError::Other { status, message }
        })?;
        let folder = volumes.source(&volume).display().to_string();
        Ok((volume.name, folder))
    }

    /// Claims what containers have that an earlier engine made.
    pub(super) async fn claim_again(&self, record: &ContainerRecord) {
        for mount in &record.mounts {
            if let MountedSource::Volume { name, .. } = &mount.source {
                let request = Request { name: Some(name.clone()), ..Request::default() };
                if let Err(error) = self.claim(request, &record.id).await {
                    log::error!("container {}: {error}", record.id);
                }
            }
        }
    }
}

fn bind(path: &str, create: bool) -> Result<MountedSource, ContainerError> {
    match std::fs::metadata(path) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && create => {
            let what = format!("error while creating mount source path '{path}'");
            std::fs::create_dir_all(path).map_err(ContainerError::io(what))?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(ContainerError::Invalid(format!(
                "invalid mount config for type \"bind\": bind source path does not exist: {path}"
            )));
        }
        Err(error) => return Err(ContainerError::io(format!("Failed to look at {path}"))(error)),
    }
    Ok(MountedSource::Bind { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_folder_is_made_for_binds_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/folder").display().to_string();
        assert!(matches!(bind(&path, false), Err(ContainerError::Invalid(_))));
        bind(&path, true).unwrap();
        assert!(folder.path().join("new/folder").is_dir());
    }
}
