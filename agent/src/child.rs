//! Forked children that carry out what may take long, fail late, or needs a place of its own.
//!
//! The agent is one thread, so a child is a whole agent for itself: it may allocate, block and
//! change its namespaces, and what it has to say comes back over a [`Channel`] as the reply to the
//! host's request. A child that becomes a program says nothing: its channel closes at `execve`.

mod channel;
mod fork;

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use agent_protocol::message::{Failure, Reply};
use rustix::process::Pid;

pub(crate) use channel::{Channel, Received};
pub(crate) use fork::{NewNamespaces, close_all_but, fork_again, leave};

/// Where a child lives.
#[derive(Default)]
pub(crate) struct Place<'fd> {
    /// Namespaces that are made for it.
    pub(crate) namespaces: NewNamespaces,
    /// An existing process namespace that it is born in.
    pub(crate) pid_namespace: Option<BorrowedFd<'fd>>,
    /// The control group that it is born in.
    pub(crate) cgroup: Option<BorrowedFd<'fd>>,
}

/// A running child and our end of its channel.
pub(crate) struct Child {
    pub(crate) pid: Pid,
    pub(crate) channel: Channel,
}

/// Forks a child that runs `task` and ends with its result as exit status; a failure is sent over
/// the channel first. The child has the standard descriptors, its channel and those of `keep`.
pub(crate) fn spawn(
    place: &Place<'_>,
    keep: &[BorrowedFd<'_>],
    task: impl FnOnce(&Channel) -> Result<u8, Failure>,
) -> io::Result<Child> {
    let (ours, theirs) = Channel::pair()?;
    let mut keep = keep.to_vec();
    keep.push(theirs.as_fd());
    let forked = fork::fork(place, &keep, || {
        let result = task(&theirs);
        result.unwrap_or_else(|failure| {
            // An agent that is gone needs no answer.
            let _ = theirs.send(Reply::Failure(failure), &[]);
            1
        })
    });
    forked.map(|pid| Child { pid, channel: ours })
}

/// Descriptors to keep, without those that are not there.
pub(crate) fn present<'fd>(
    descriptors: impl IntoIterator<Item = &'fd Option<OwnedFd>>,
) -> Vec<BorrowedFd<'fd>> {
    descriptors.into_iter().flatten().map(AsFd::as_fd).collect()
}
