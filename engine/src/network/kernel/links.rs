//! Bridges and taps, over rtnetlink(7).

use std::io;
use std::net::IpAddr;

use futures_util::TryStreamExt;
use rtnetlink::packet_route::address::AddressHeaderFlags;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::{Error, Handle, LinkBridge, LinkUnspec};

use super::KernelError;
use super::plan::Bridge;

/// A link of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: String,
    /// Whose it is, if its maker has said.
    pub(super) alias: String,
    /// The bridge that it is on.
    pub(super) bridge: Option<u32>,
    pub(super) up: bool,
    pub(super) mtu: u32,
}

/// The kernel, asked for links.
#[derive(Clone, Debug)]
pub(super) struct Links(pub(super) Handle);

impl Links {
    pub(super) async fn all(&self) -> Result<Vec<Link>, KernelError> {
        let all = self.0.link().get().execute();
        let all: Result<Vec<_>, _> = all.map_ok(read).try_collect().await;
        all.map_err(|error| failed("list the links of", "the host", error))
    }

    /// Makes the bridge, nobody's yet and without addresses.
    pub(super) async fn add_bridge(&self, bridge: &Bridge) -> Result<(), KernelError> {
        let link = LinkBridge::new(&bridge.name).mtu(bridge.mtu.into()).build();
        let added = self.0.link().add(link).execute().await;
        added.map_err(|error| failed("make the bridge", &bridge.name, error))
    }

    /// Gives a bridge the addresses that it has not. They are not looked for first on the network,
    /// whose containers get no such.
    pub(super) async fn add_addresses(
        &self,
        bridge: &Bridge,
        index: u32,
    ) -> Result<(), KernelError> {
        for (gateway, range) in &bridge.gateways {
            let mut request = self.0.address().add(index, *gateway, range.prefix());
            if matches!(gateway, IpAddr::V6(_)) {
                request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
            }
            match request.execute().await {
                Err(error) if !is(&error, io::ErrorKind::AlreadyExists) => {
                    return Err(failed("give an address to", &bridge.name, error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Puts a tap onto a bridge and takes both into use.
    pub(super) async fn plug_in(
        &self,
        tap: &Link,
        bridge: &Link,
        mtu: u16,
    ) -> Result<(), KernelError> {
        let link = LinkUnspec::new_with_index(tap.index);
        let link = link.controller(bridge.index).mtu(mtu.into()).up().build();
        let set = self.0.link().set(link).execute().await;
        set.map_err(|error| failed("put onto its bridge", &tap.name, error))
    }

    /// Takes a tap off its bridge.
    pub(super) async fn pull_out(&self, tap: &Link) -> Result<(), KernelError> {
        let link = LinkUnspec::new_with_index(tap.index).nocontroller().down().build();
        let set = self.0.link().set(link).execute().await;
        set.map_err(|error| failed("take off its bridge", &tap.name, error))
    }

    /// Writes down whose it is. Links that are being made take no such note.
    pub(super) async fn claim(&self, link: &Link, owner: &str) -> Result<(), KernelError> {
        let message = LinkUnspec::new_with_index(link.index).alias(owner).build();
        let set = self.0.link().set(message).execute().await;
        set.map_err(|error| failed("write down whose is", &link.name, error))
    }

    pub(super) async fn set_up(&self, link: &Link) -> Result<(), KernelError> {
        let message = LinkUnspec::new_with_index(link.index).up().build();
        let set = self.0.link().set(message).execute().await;
        set.map_err(|error| failed("take into use", &link.name, error))
    }

    pub(super) async fn remove(&self, link: &Link) -> Result<(), KernelError> {
        let removed = self.0.link().del(link.index).execute().await;
        removed.map_err(|error| failed("remove", &link.name, error))
    }
}

fn read(message: LinkMessage) -> Link {
    let up = message.header.flags.contains(LinkFlags::Up);
    let mut link = Link { index: message.header.index, up, ..Link::default() };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::IfAlias(alias) => link.alias = alias,
            LinkAttribute::Controller(index) if index != 0 => link.bridge = Some(index),
            LinkAttribute::Mtu(mtu) => link.mtu = mtu,
            _ => {}
        }
    }
    link
}

fn is(error: &Error, kind: io::ErrorKind) -> bool {
    matches!(error, Error::NetlinkError(error) if error.to_io().kind() == kind)
}

fn failed(task: &'static str, link: &str, error: Error) -> KernelError {
    if is(&error, io::ErrorKind::PermissionDenied) {
        return KernelError::Privilege;
    }
    let source = match error {
        Error::NetlinkError(error) => error.to_io(),
        other => io::Error::other(other.to_string()),
    };
    KernelError::Link { task, link: link.to_owned(), source }
}
