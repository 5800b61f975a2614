//! A network namespace for cards that no network is on: containers share the machine's, and a card
//! there is one that they see.

// For making a namespace.
#![allow(unsafe_code)]

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd},
};

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use super::{
    card::Mac,
    socket::{Link, Socket},
};

/// The namespace, and the way back.
#[derive(Debug)]
pub(crate) struct Spare {
    own: File,
    namespace: File,
}

impl Spare {
    pub(super) fn make() -> io::Result<Self> {
        let current = || File::open("/proc/self/ns/net");
        let own = current()?;
        // SAFETY: only CLONE_FILES makes this unsafe, which is not among the flags.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?;
        // Wherever this fails the agent must not stay in it.
        let namespace = current();
        enter(own.as_fd())?;
        Ok(Self { own, namespace: namespace? })
    }

    /// A conversation about the cards in it.
    fn socket(&self) -> io::Result<Socket> {
        enter(self.namespace.as_fd())?;
        let socket = Socket::open();
        enter(self.own.as_fd())?;
        socket
    }

    /// The card of this address, if it is here.
    pub(super) fn find(&self, mac: Mac) -> io::Result<Option<Link>> {
        Ok(self.socket()?.links()?.into_iter().find(|link| link.mac == Some(mac)))
    }

    /// Puts a card here. Its name is one that no other takes.
    pub(super) fn put(&self, socket: &mut Socket, index: u32, mac: Mac) -> io::Result<()> {
        socket.move_to(index, self.namespace.as_fd(), &mac.name())
    }

    /// Gives a card back to the machine, down and with this name.
    pub(super) fn take(&self, link: &Link, name: &str) -> io::Result<()> {
        self.socket()?.move_to(link.index, self.own.as_fd(), name)
    }
}

fn enter(namespace: BorrowedFd<'_>) -> io::Result<()> {
    Ok(move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))?)
}
