//! The API's socket: who may use it, and one engine to a socket.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::Path;

use anyhow::{Context, bail};
use api::vm::{SocketFile, listen};

/// A socket that listens. Its file goes with it, if it is this process's.
#[derive(Debug)]
pub(super) struct ApiSocket {
    listener: UnixListener,
    file: Option<SocketFile>,
}

impl ApiSocket {
    /// One that was passed to this process.
    pub(super) fn given(listener: UnixListener) -> Self {
        Self { listener, file: None }
    }

    /// Makes the socket. One at which nobody listens any more is replaced; a live one is an error.
    /// This user may use it, and of `group`, if given, everybody.
    pub(super) fn bind(path: &Path, group: Option<&str>) -> anyhow::Result<Self> {
        let group = group.map(group_id).transpose()?;
        // Nobody else gets in between the making and the change of mode.
        let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
        let bound = listen(path);
        rustix::process::umask(before);
        let (listener, file) = bound?;
        if let Some(group) = group {
            let of_group = || -> std::io::Result<()> {
                chown(path, None, Some(group))?;
                fs::set_permissions(path, Permissions::from_mode(0o660))
            };
            of_group().with_context(|| format!("failed to give {} to a group", path.display()))?;
        }
        Ok(Self { listener, file: Some(file) })
    }

    /// The socket for tasks, and its file.
    pub(super) fn into_parts(
        self,
    ) -> anyhow::Result<(tokio::net::UnixListener, Option<SocketFile>)> {
        self.listener.set_nonblocking(true)?;
        Ok((tokio::net::UnixListener::from_std(self.listener)?, self.file))
    }
}

/// The number of a group, by name or as it is.
fn group_id(group: &str) -> anyhow::Result<u32> {
    if let Ok(id) = group.parse() {
        return Ok(id);
    }
    let groups = fs::read_to_string("/etc/group").context("failed to read /etc/group")?;
    let found = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(group)).then(|| fields.nth(1)?.parse().ok()).flatten()
    });
    match found {
        Some(id) => Ok(id),
        None => bail!("--group {group}: there is no such group"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn socket_is_for_this_user_unless_a_group_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let socket = ApiSocket::bind(&path, None).unwrap();
        assert_eq!(mode(&path), 0o600);
        drop(socket);
        assert!(!path.exists());
        let own = fs::metadata(folder.path()).unwrap().gid();
        let _socket = ApiSocket::bind(&path, Some(&own.to_string())).unwrap();
        assert_eq!(mode(&path), 0o660);
    }

    #[test]
    fn live_socket_is_refused_and_a_stale_one_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        let _socket = ApiSocket::bind(&path, None).unwrap();
        let error = ApiSocket::bind(&path, None).unwrap_err();
        assert!(error.to_string().contains("it is in use"), "{error}");
    }

    #[test]
    fn group_that_is_missing_is_named() {
        let error = group_id("no-such-group").unwrap_err();
        assert_eq!(error.to_string(), "--group no-such-group: there is no such group");
        assert_eq!(group_id("root").unwrap(), 0);
    }
}
