//! The machine's network cards, over rtnetlink(7).

mod card;
mod message;
mod socket;
mod spare;

use std::{io, net::IpAddr};

use agent_protocol::message::{Card, ConfigureNetwork, FailureKind};

use crate::failure::ToFailure;
use card::Mac;
pub(crate) use socket::up;
use socket::{Link, Socket};
pub(crate) use spare::Spare;

/// A card could not be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetworkError {
    #[error("Invalid hardware address: {0:?}")]
    BadMac(String),
    #[error("Invalid address: {0:?}")]
    BadAddress(String),
    #[error("Invalid name of a network card: {0:?}")]
    BadName(String),
    #[error("No network card has hardware address {0}")]
    NoCard(String),
    #[error("Failed to {task} of network card {mac}")]
    Set { task: &'static str, mac: String, source: io::Error },
    #[error("Failed to reach the kernel's network configuration")]
    Socket(#[source] io::Error),
}

impl ToFailure for NetworkError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::BadMac(_) | Self::BadAddress(_) | Self::BadName(_) => FailureKind::InvalidRequest,
            Self::NoCard(_) | Self::Set { .. } | Self::Socket(_) => FailureKind::System,
        }
    }
}

/// Sets cards up. All are looked at before any is touched. `spare` is where those are that nobody
/// is to see, once there are such.
pub(crate) fn configure(
    request: &ConfigureNetwork,
    spare: &mut Option<Spare>,
) -> Result<(), NetworkError> {
    let mut socket = Socket::open().map_err(NetworkError::Socket)?;
    let links = socket.links().map_err(NetworkError::Socket)?;
    let wanted = request.cards.iter().map(|card| Wanted::parse(card, &links, spare.as_ref()));
    let mut wanted: Vec<Wanted<'_>> = wanted.collect::<Result<_, _>>()?;
    if request.hide_others && spare.is_none() {
        // They are in nobody's way, so a kernel without network namespaces is good enough.
        match Spare::make() {
            Ok(made) => *spare = Some(made),
            Err(error) => crate::say!("failed to hide spare network cards: {error}"),
        }
    }
    if let Some(spare) = spare.as_ref().filter(|_| request.hide_others) {
        hide(&mut socket, &links, &wanted, spare);
    }
    wanted.iter_mut().try_for_each(|wanted| wanted.apply(&mut socket, spare.as_ref()))
}

fn hide(socket: &mut Socket, links: &[Link], wanted: &[Wanted<'_>], spare: &Spare) {
    let named = |mac| wanted.iter().any(|wanted| wanted.link.mac == Some(mac));
    for link in links.iter().filter(|link| !link.up) {
        if let Some(mac) = link.mac.filter(|mac| !named(*mac))
            && let Err(error) = spare.put(socket, link.index, mac)
        {
            crate::say!("failed to hide network card {}: {error}", link.name);
        }
    }
}

/// An address with the length of its network's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) ip: IpAddr,
    pub(crate) prefix: u8,
}

impl Address {
    fn parse(text: &str) -> Option<Self> {
        let (ip, prefix) = text.split_once('/')?;
        let (ip, prefix): (IpAddr, u8) = (ip.parse().ok()?, prefix.parse().ok()?);
        let longest = if ip.is_ipv4() { 32 } else { 128 };
        (prefix <= longest).then_some(Self { ip, prefix })
    }
}

/// A card's settings, understood.
struct Wanted<'a> {
    card: &'a Card,
    mac: Mac,
    link: Link,
    /// It is among the spare ones.
    hidden: bool,
    addresses: Vec<Address>,
    gateways: Vec<IpAddr>,
}

impl<'a> Wanted<'a> {
    fn parse(card: &'a Card, links: &[Link], spare: Option<&Spare>) -> Result<Self, NetworkError> {
        let mac = Mac::parse(&card.mac).ok_or_else(|| NetworkError::BadMac(card.mac.clone()))?;
        let seen = links.iter().find(|link| link.mac == Some(mac)).cloned();
        let hidden = match spare.filter(|_| seen.is_none()) {
            Some(spare) => spare.find(mac).map_err(NetworkError::Socket)?,
            None => None,
        };
        let is_hidden = hidden.is_some();
        let link = seen.or(hidden).ok_or_else(|| NetworkError::NoCard(card.mac.clone()))?;
        // A card's name is a file name of at most 15 bytes.
        let odd = |c: char| c == '/' || c == ':' || c.is_whitespace() || c == '\0';
        if card.name.len() > 15 || card.name.contains(odd) {
            return Err(NetworkError::BadName(card.name.clone()));
        }
        let bad = |text: &String| NetworkError::BadAddress(text.clone());
        let addresses = card.addresses.iter().map(|a| Address::parse(a).ok_or_else(|| bad(a)));
        let gateways = card.gateways.iter().map(|g| g.parse().map_err(|_| bad(g)));
        Ok(Self {
            card,
            mac,
            link,
            hidden: is_hidden,
            addresses: addresses.collect::<Result<_, _>>()?,
            gateways: gateways.collect::<Result<_, _>>()?,
        })
    }

    fn apply(&mut self, socket: &mut Socket, spare: Option<&Spare>) -> Result<(), NetworkError> {
        let card = self.card;
        let failed = |task| {
            let mac = card.mac.clone();
            move |source| NetworkError::Set { task, mac, source }
        };
        if self.hidden && card.down {
            return Ok(());
        }
        if let Some(spare) = spare.filter(|_| self.hidden) {
            self.show(socket, spare).map_err(failed("begin the use"))?;
        }
        let index = self.link.index;
        self.remove_others(socket).map_err(failed("remove the addresses"))?;
        if card.down {
            let done = match spare {
                Some(spare) => spare.put(socket, index, self.mac),
                None => socket.set_up(index, false),
            };
            return done.map_err(failed("end the use"));
        }
        if !card.name.is_empty() && card.name != self.link.name {
            // Not every kernel renames a card that is up.
            socket.set_up(index, false).map_err(failed("change the name"))?;
            socket.rename(index, &card.name).map_err(failed("change the name"))?;
        }
        if card.mtu != 0 {
            socket.set_mtu(index, card.mtu).map_err(failed("change the largest packet"))?;
        }
        socket.set_up(index, true).map_err(failed("begin the use"))?;
        for address in &self.addresses {
            socket.add_address(index, *address).map_err(failed("set an address"))?;
        }
        for gateway in &self.gateways {
            socket.set_default_route(index, *gateway).map_err(failed("set a gateway"))?;
        }
        Ok(())
    }

    /// Takes it out of the spare ones.
    fn show(&mut self, socket: &mut Socket, spare: &Spare) -> io::Result<()> {
        let name = if self.card.name.is_empty() { &self.link.name } else { &self.card.name };
        spare.take(&self.link, name)?;
        let shown = socket.links()?.into_iter().find(|link| link.mac == Some(self.mac));
        self.link = shown.ok_or(io::ErrorKind::NotFound)?;
        Ok(())
    }

    /// Takes away the addresses that it is not to have, and with them their routes. What the
    /// kernel has given the link itself stays while it is in use.
    fn remove_others(&self, socket: &mut Socket) -> io::Result<()> {
        for address in socket.addresses(self.link.index)? {
            let wanted = self.addresses.contains(&address);
            if !wanted && (self.card.down || !is_link_local(address.ip)) {
                socket.remove_address(self.link.index, address)?;
            }
        }
        Ok(())
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_prefix_that_fits() {
        let expected = Address { ip: [10, 0, 0, 2].into(), prefix: 16 };
        assert_eq!(Address::parse("10.0.0.2/16"), Some(expected));
        assert!(Address::parse("fd00::2/64").is_some());
        for wrong in ["10.0.0.2", "10.0.0.2/33", "fd00::/129", "10.0.0/8", "/8"] {
            assert_eq!(Address::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_card_that_is_not_there_is_named() {
        let card = Card { mac: "02:00:00:00:00:77".into(), ..Card::default() };
        let request = ConfigureNetwork { cards: vec![card], hide_others: false };
        let error = configure(&request, &mut None).unwrap_err();
        assert_eq!(error.to_string(), "No network card has hardware address 02:00:00:00:00:77");
    }
}
