//! What this process may do: privileges, limits, system calls.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use anyhow::Context;
use devices::fs::NEEDED_CAPABILITIES;
use jail::folder::shut_in;
use jail::limits::Limits;
use jail::privileges::Privileges;
use jail::seccomp::{self, ThreadKind};
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::args::{Args, ResourceLimit};

/// What threads give up before they serve a guest or clients.
#[derive(Clone, Copy)]
pub(crate) struct Confinement {
    privileges: Privileges,
    seccomp: bool,
    exit_with_parent: bool,
}

impl Confinement {
    /// Limits the process as `args` say. To be called before threads are started, which inherit
    /// part of it.
    pub(crate) fn new(args: &Args) -> anyhow::Result<Self> {
        let limits = limits(&args.resource_limits);
        limits.apply()?;
        if limits.open_files.is_none() {
            // Guests hold descriptors: connections, and files of shared folders.
            Limits::raise_open_files()?;
        }
        let user = args.uid.zip(args.gid);
        let privileges = Privileges { user, ..Privileges::default() };
        privileges.seal()?;
        let seccomp = !args.no_seccomp;
        if seccomp {
            seccomp::prepare().context("failed to prepare for filters of system calls")?;
        }
        let this = Self { privileges, seccomp, exit_with_parent: args.exit_with_parent };
        this.bind_to_parent()?;
        Ok(this)
    }

    /// Confines the calling thread. A thread that cannot be confined does not go on.
    pub(crate) fn confine(&self, kind: ThreadKind) {
        conclude(kind, self.try_confine(kind, || Ok(())));
    }

    /// `last` runs before system calls are filtered.
    fn try_confine(
        &self,
        kind: ThreadKind,
        last: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut privileges = self.privileges;
        if kind == ThreadKind::FileServer {
            // A monitor that is root serves files of all users. One that becomes another user
            // loses these with that.
            privileges.keep = NEEDED_CAPABILITIES;
        }
        privileges.drop_of_thread()?;
        if kind == ThreadKind::Main {
            // A process that becomes another user's is no longer bound.
            self.bind_to_parent()?;
        }
        last()?;
        if self.seccomp {
            seccomp::install(kind)?;
        }
        Ok(())
    }

    fn bind_to_parent(&self) -> anyhow::Result<()> {
        if self.exit_with_parent {
            set_parent_process_death_signal(Some(Signal::KILL))
                .context("failed to bind this process's life to its parent's")?;
        }
        Ok(())
    }

    /// What confines a thread of this kind, to be called on it.
    pub(crate) fn on(&self, kind: ThreadKind) -> Arc<dyn Fn() + Send + Sync> {
        let this = *self;
        Arc::new(move || this.confine(kind))
    }

    /// What confines a thread that serves a folder, to be called on it: with the folder, and
    /// whether it is read-only.
    pub(crate) fn on_file_server(&self) -> Arc<dyn Fn(BorrowedFd<'_>, bool) + Send + Sync> {
        let this = *self;
        Arc::new(move |folder, read_only| {
            let kind = ThreadKind::FileServer;
            let result = this.try_confine(kind, || {
                if !shut_in(folder, read_only)? {
                    log::info!("The kernel cannot shut threads in folders (Landlock)");
                }
                Ok(())
            });
            conclude(kind, result);
        })
    }
}

/// A thread that could not be confined does not go on.
fn conclude(kind: ThreadKind, result: anyhow::Result<()>) {
    if let Err(e) = result {
        log::error!("Failed to confine a {} thread: {e:#}", kind.name());
        std::process::exit(1);
    }
    log::debug!("A {} thread is confined", kind.name());
}

/// No core dump: it would hold guest memory.
fn limits(wanted: &[ResourceLimit]) -> Limits {
    let mut limits = Limits { core: Some(0), ..Limits::default() };
    for limit in wanted {
        match *limit {
            ResourceLimit::FileSize(bytes) => limits.file_size = Some(bytes),
            ResourceLimit::OpenFiles(count) => limits.open_files = Some(count),
        }
    }
    limits
}
