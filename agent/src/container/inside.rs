//! The namespaces of a container, held by descriptors, and entering them.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{Mode, OFlags, open, openat},
    process::Pid,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use agent_protocol::message::CreateContainer;

/// What is inside of a container.
pub(crate) struct Inside {
    pub(crate) mounts: OwnedFd,
    names: OwnedFd,
    groups: OwnedFd,
    /// `None` where it is the machine's.
    ipc: Option<OwnedFd>,
    /// `None` where it is the machine's.
    processes: Option<OwnedFd>,
    /// The writable layer.
    pub(crate) upper: OwnedFd,
    /// The read-only layers.
    pub(crate) lower: OwnedFd,
    /// The files that the host writes.
    pub(crate) files: OwnedFd,
}

impl Inside {
    /// Opens the namespaces of `pid`, which is in them and not reaped yet, with the folders that
    /// it sent: writable layer, read-only layers, files.
    pub(super) fn open(
        pid: Pid,
        shared: Shared,
        [upper, lower, files]: [OwnedFd; 3],
    ) -> io::Result<Self> {
        let folder = format!("/proc/{}/ns", pid.as_raw_nonzero());
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let folder = open(folder, flags | OFlags::DIRECTORY, Mode::empty())?;
        let namespace = |name: &str| openat(&folder, name, flags, Mode::empty());
        Ok(Self {
            mounts: namespace("mnt")?,
            names: namespace("uts")?,
            groups: namespace("cgroup")?,
            ipc: (!shared.ipc).then(|| namespace("ipc")).transpose()?,
            processes: (!shared.processes).then(|| namespace("pid")).transpose()?,
            upper,
            lower,
            files,
        })
    }

    /// The process namespace to be born in.
    pub(crate) fn processes(&self) -> Option<BorrowedFd<'_>> {
        self.processes.as_ref().map(AsFd::as_fd)
    }

    /// What [`Self::enter`] needs in a child.
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let mut all = vec![self.mounts.as_fd(), self.names.as_fd(), self.groups.as_fd()];
        all.extend(self.ipc.as_ref().map(AsFd::as_fd));
        all
    }

    /// Moves this process into all namespaces but that of processes, which only children enter.
    pub(crate) fn enter(&self) -> io::Result<()> {
        let into = |fd: &OwnedFd, kind| move_into_link_name_space(fd.as_fd(), Some(kind));
        into(&self.groups, LinkNameSpaceType::ControlGroup)?;
        into(&self.names, LinkNameSpaceType::HostNameAndNISDomainName)?;
        if let Some(ipc) = &self.ipc {
            into(ipc, LinkNameSpaceType::InterProcessCommunication)?;
        }
        self.enter_mounts()
    }

    /// Moves this process to the container's files.
    pub(crate) fn enter_mounts(&self) -> io::Result<()> {
        Ok(move_into_link_name_space(self.mounts.as_fd(), Some(LinkNameSpaceType::Mount))?)
    }
}

/// Which namespaces a container shares with the machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shared {
    ipc: bool,
    processes: bool,
}

impl Shared {
    pub(crate) fn of(request: &CreateContainer) -> Self {
        Self { ipc: request.share_ipc, processes: request.share_pid }
    }
}
