//! The engine's folders and machines, without the engine around them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::paths::{Overrides, Paths};
use engine::sandbox::{GuestOverrides, Sandboxes};

pub(crate) struct Host {
    pub(crate) paths: Paths,
    pub(crate) machines: Sandboxes,
    _folder: tempfile::TempDir,
}

impl Host {
    /// `guest` may put files into the folder that it is given. A guest has `limit` to boot.
    pub(crate) fn with(
        guest: impl FnOnce(&Path) -> anyhow::Result<GuestOverrides>,
        monitor: PathBuf,
        limit: Duration,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let paths = Paths::find(Overrides {
            state: Some(folder.path().join("state")),
            runtime: Some(folder.path().join("run")),
            socket: None,
        })?;
        paths.prepare()?;
        let machines = Sandboxes::new(paths.clone(), guest(folder.path())?);
        let machines = machines.with_monitor(monitor).with_boot_limit(limit);
        Ok(Self { paths, machines, _folder: folder })
    }
}

impl Drop for Host {
    /// Ends what a test that failed has left: machines outlive whoever started them.
    fn drop(&mut self) {
        let machines = self.machines.clone();
        // This thread may be a runtime's.
        let ending = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(machines.end_others([])).map_err(std::io::Error::other)
        });
        if let Ok(Err(error)) = ending.join() {
            #[expect(clippy::print_stderr, reason = "the harness keeps it for failed tests")]
            {
                eprintln!("machines are left: {error}");
            }
        }
    }
}
