//! Networks that are bridges of the host's kernel: for root, and for speed.
//!
//! A machine's monitor makes its taps, so that they go with it, however it ends; here they are put
//! onto bridges. What there has to be follows from the [`Plan`] alone, and [`Kernel::settle`]
//! compares it with what there is: after each change, after the engine's start, and whenever
//! somebody else changes one of our links.

mod links;
mod nft;
mod plan;
mod reserve;
mod rules;
mod settings;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::StreamExt;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::{MulticastGroup, new_multicast_connection};
use tokio::sync::{Mutex, Notify};

use self::links::{Link, Links};
pub(crate) use self::plan::tap_name;
use self::plan::{Forward, Plan};
use self::reserve::Reserved;
use super::model::Publication;
use super::state::State;

/// The kernel's side of a network could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// Only root may.
    #[error(
        "bridges of the kernel are for root: run the engine as root, or leave out the driver, \
         for a network that needs no privileges"
    )]
    Privilege,
    /// The kernel's configuration is out of reach.
    #[error("Failed to reach the kernel's network configuration")]
    Socket(#[source] io::Error),
    /// A link is not as it should be.
    #[error("Failed to {task} {link}")]
    Link {
        /// What was to be done.
        task: &'static str,
        /// The link.
        link: String,
        /// Why.
        source: io::Error,
    },
    /// The card of a machine is not there.
    #[error("the tap {0} does not exist: the machine's monitor has ended, or it was removed")]
    NoTap(String),
    /// nft is not installed.
    #[error("bridges of the kernel need the program nft: install the package nftables")]
    NoNft,
    /// nft does not run.
    #[error("Failed to run nft")]
    Nft(#[source] io::Error),
    /// The kernel takes no such rules.
    #[error("Failed to set the rules of the bridges: nft says {0:?}")]
    Rules(String),
    /// A setting.
    #[error("Failed to set {}", path.display())]
    Setting {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No rule can lead from there to the container.
    #[error(
        "nothing leads from {0} to the container: on a bridge of the kernel it takes an address \
         of the container's of the same family, and another than ::1"
    )]
    Unreachable(SocketAddr),
    /// A port of the host.
    #[error("Failed to reserve {address} of the host")]
    Port {
        /// The port.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// The kernel's side of all networks. What is done is done for one caller at a time.
#[derive(Debug)]
pub(super) struct Kernel {
    /// Whose the bridges and tables are: a name that no other engine has.
    owner: String,
    inside: Mutex<Inside>,
    changed: Arc<Notify>,
}

#[derive(Debug)]
struct Inside {
    links: Option<Links>,
    /// The rules in force.
    rules: Option<String>,
    reserved: Reserved,
    /// There is, or may be, something of ours.
    in_use: bool,
}

impl Kernel {
    /// For the engine that has this identity.
    pub(super) fn new(identity: &str) -> Self {
        let owner = format!("bulkhead-{}", identity.get(..8).unwrap_or(identity));
        // Others have left nothing, as they could not make it.
        let in_use = rustix::process::geteuid().is_root();
        let (links, rules, reserved) = (None, None, Reserved::default());
        let inside = Mutex::new(Inside { links, rules, reserved, in_use });
        Self { owner, inside, changed: Arc::default() }
    }

    /// Tells when somebody has changed one of our links.
    pub(super) fn changes(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }

    /// Makes everything as it should be.
    pub(super) async fn settle(&self, state: &State) -> Result<(), KernelError> {
        let plan = Plan::of(state);
        let mut inside = self.inside.lock().await;
        if plan.bridges.is_empty() && !inside.in_use {
            return Ok(());
        }
        if inside.links.is_none() {
            inside.links = Some(open(&self.changed)?);
        }
        let Some(links) = inside.links.clone() else { return Ok(()) };
        let before = links.all().await?;
        inside.in_use = !plan.bridges.is_empty();
        if plan.bridges.is_empty() && !before.iter().any(|link| self.is_our_bridge(link)) {
            return Ok(());
        }
        self.make_bridges(&links, &plan, &before).await?;
        inside.enforce(&self.owner, &plan).await?;
        inside.reserved.keep(&plan.forwards);
        self.connect(&links, &plan).await
    }

    /// Keeps a port of the host from others until the plan knows of it: its number.
    pub(super) async fn reserve(
        &self,
        publication: &Publication,
        addresses: &[IpAddr],
    ) -> Result<u16, KernelError> {
        let Publication { protocol, host_address, host_port, .. } = *publication;
        let address = SocketAddr::new(host_address, host_port);
        let leads = Forward::of(publication, addresses).is_some();
        if !leads || address.ip() == Ipv6Addr::LOCALHOST {
            return Err(KernelError::Unreachable(address));
        }
        let taken = self.inside.lock().await.reserved.take(protocol, address);
        taken.map_err(|source| KernelError::Port { address, source })
    }

    /// Whether the tap of a card is there.
    pub(super) async fn check_tap(&self, name: &str) -> Result<(), KernelError> {
        let links = self.inside.lock().await.links.clone();
        let all = match links {
            Some(links) => links.all().await?,
            None => Vec::new(),
        };
        let there = all.iter().any(|link| link.name == name);
        there.then_some(()).ok_or_else(|| KernelError::NoTap(name.to_owned()))
    }

    fn is_our_bridge(&self, link: &Link) -> bool {
        link.alias == self.owner
    }

    async fn make_bridges(
        &self,
        links: &Links,
        plan: &Plan,
        before: &[Link],
    ) -> Result<(), KernelError> {
        // One without a note is of an engine that was killed before it could write it.
        let here = |name: &str| before.iter().any(|link| link.name == name);
        for bridge in plan.bridges.iter().filter(|bridge| !here(&bridge.name)) {
            links.add_bridge(bridge).await?;
        }
        let all = links.all().await?;
        for bridge in &plan.bridges {
            let Some(link) = all.iter().find(|link| link.name == bridge.name) else { continue };
            if !self.is_our_bridge(link) {
                links.claim(link, &self.owner).await?;
            }
            settings::set(bridge)?;
            links.add_addresses(bridge, link.index).await?;
            if !link.up {
                links.set_up(link).await?;
            }
        }
        Ok(())
    }

    /// Puts taps onto their bridges, and takes away what belongs to nothing.
    async fn connect(&self, links: &Links, plan: &Plan) -> Result<(), KernelError> {
        let all = links.all().await?;
        let named = |name: &str| all.iter().find(|link| link.name == name);
        for card in &plan.cards {
            // Before the machine starts there is none.
            let (Some(tap), Some(bridge)) = (named(&card.tap), named(&card.bridge)) else {
                continue;
            };
            let mtu = plan.bridges.iter().find(|b| b.name == card.bridge).map_or(0, |b| b.mtu);
            if tap.bridge != Some(bridge.index) || !tap.up || tap.mtu != u32::from(mtu) {
                links.plug_in(tap, bridge, mtu).await?;
            }
        }
        let ours: Vec<_> = all.iter().filter(|link| self.is_our_bridge(link)).collect();
        for tap in all.iter().filter(|link| ours.iter().any(|o| link.bridge == Some(o.index))) {
            if !plan.cards.iter().any(|card| card.tap == tap.name) {
                links.pull_out(tap).await?;
            }
        }
        for bridge in ours {
            if !plan.bridges.iter().any(|planned| planned.name == bridge.name) {
                links.remove(bridge).await?;
            }
        }
        Ok(())
    }
}

impl Inside {
    async fn enforce(&mut self, owner: &str, plan: &Plan) -> Result<(), KernelError> {
        let rules = rules::render(owner, plan);
        if self.rules.as_ref() == Some(&rules) {
            return Ok(());
        }
        let script = rules.clone();
        let ran = tokio::task::spawn_blocking(move || nft::run(&script)).await;
        ran.unwrap_or_else(|error| Err(KernelError::Nft(io::Error::other(error))))?;
        self.rules = Some(rules);
        Ok(())
    }
}

/// Opens a conversation with the kernel, and listens to what it says of our links.
fn open(changed: &Arc<Notify>) -> Result<Links, KernelError> {
    let opened = new_multicast_connection(&[MulticastGroup::Link]);
    let (connection, handle, mut news) = opened.map_err(KernelError::Socket)?;
    tokio::spawn(connection);
    let changed = Arc::clone(changed);
    tokio::spawn(async move {
        while let Some((message, _)) = news.next().await {
            if is_ours(&message.payload) {
                changed.notify_one();
            }
        }
    });
    Ok(Links(handle))
}

fn is_ours(news: &rtnetlink::packet_core::NetlinkPayload<RouteNetlinkMessage>) -> bool {
    use rtnetlink::packet_core::NetlinkPayload::InnerMessage;
    let InnerMessage(RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link)) =
        news
    else {
        return false;
    };
    let named = |attribute: &LinkAttribute| matches!(attribute, LinkAttribute::IfName(n) if n.starts_with("bht") || n.starts_with("bhb"));
    link.attributes.iter().any(named)
}
