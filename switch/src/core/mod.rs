//! What all parts of the switch share: cards, ports, networks, waiting and time.

pub(crate) mod card;
pub(crate) mod network;
pub(crate) mod poller;
pub(crate) mod port;
pub(crate) mod timers;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::IpAddr;
use std::time::Instant;

use self::card::Card;
use self::network::Network;
use self::poller::{EventFlags, Poller, Source, Token};
use self::port::{FEW_FLOWS, MAX_FLOWS, MAX_PUBLISHED, Port, PortId};
use self::timers::Timers;
use crate::address::Mac;
use crate::frame::{LONGEST, VIRTIO, header};

/// See the [module](self).
pub(crate) struct Core {
    pub(crate) poller: Poller,
    pub(crate) timers: Timers,
    pub(crate) now: Instant,
    pub(crate) cards: HashMap<u64, Card>,
    pub(crate) ports: HashMap<PortId, Port>,
    pub(crate) port_names: BTreeMap<String, PortId>,
    pub(crate) networks: BTreeMap<String, Network>,
    /// What the gateways' addresses lead to, if not to the host's outward address.
    pub(crate) host_addresses: Vec<IpAddr>,
    /// Ports whose cards have room again, for those who wait for that.
    pub(crate) relieved: Vec<PortId>,
    /// Where frames to cards are made.
    pub(crate) draft: Vec<u8>,
    last_id: u64,
}

impl Core {
    pub(crate) fn new(host_addresses: Vec<IpAddr>) -> io::Result<Self> {
        Ok(Self {
            poller: Poller::new()?,
            timers: Timers::default(),
            now: Instant::now(),
            cards: HashMap::new(),
            ports: HashMap::new(),
            port_names: BTreeMap::new(),
            networks: BTreeMap::new(),
            host_addresses,
            relieved: Vec::new(),
            draft: vec![0; LONGEST],
            last_id: 0,
        })
    }

    /// An id that nobody had before.
    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// The network of a port.
    pub(crate) fn network_of(&self, port: PortId) -> Option<&Network> {
        self.networks.get(self.ports.get(&port)?.spec.network.as_deref()?)
    }

    /// The card of a port, unless it has none or its link is down.
    fn card_of(&mut self, port: PortId) -> Option<(u64, &mut Card)> {
        let id = self.ports.get(&port)?.card?;
        self.cards.get_mut(&id).filter(|card| card.is_link_up()).map(|card| (id, card))
    }

    /// Whether frames to a port would wait. A port without a card takes everything, to no effect.
    pub(crate) fn is_busy(&self, port: PortId) -> bool {
        let card = self.ports.get(&port).and_then(|port| self.cards.get(&port.card?));
        card.is_some_and(Card::is_busy)
    }

    /// The port's Ethernet address, if its card is there.
    pub(crate) fn mac_of(&self, port: PortId) -> Option<Mac> {
        self.ports.get(&port).map(|port| port.spec.mac)
    }

    /// The switch's address that a port sees, of the family of `like`.
    pub(crate) fn gateway_of(&self, port: PortId, like: IpAddr) -> Option<IpAddr> {
        self.network_of(port)?.gateway_like(like)
    }

    /// Sends a frame behind its header to a port.
    pub(crate) fn send(&mut self, port: PortId, frame: &mut [u8]) {
        let Some((id, card)) = self.card_of(port) else { return };
        if !card.takes_partial() {
            header::complete(frame);
        }
        let was_busy = card.is_busy();
        let sent = card.send(frame);
        let starts_to_wait = !was_busy && card.is_busy();
        if starts_to_wait {
            self.watch_card(id);
        }
        let Some(port) = self.ports.get_mut(&port) else { return };
        if sent {
            port.counters.tx_frames += 1;
            port.counters.tx_bytes += (frame.len() - VIRTIO.min(frame.len())) as u64;
        } else {
            port.counters.tx_dropped += 1;
        }
    }

    /// Sends the first `len` bytes of the [`draft`](Self::draft).
    pub(crate) fn send_draft(&mut self, port: PortId, len: usize) {
        let mut draft = std::mem::take(&mut self.draft);
        if let Some(frame) = draft.get_mut(..len) {
            self.send(port, frame);
        }
        self.draft = draft;
    }

    /// Watches a card for what it has, and for room if something waits for it.
    pub(crate) fn watch_card(&self, id: u64) {
        let Some(card) = self.cards.get(&id) else { return };
        let mut flags = EventFlags::IN;
        flags.set(EventFlags::OUT, card.is_busy());
        if let Err(error) = self.poller.rewatch(card, Token::new(Source::Card, id), flags) {
            log::error!("failed to watch a card: {error}");
        }
    }

    /// There is room for a card's frames.
    pub(crate) fn relieve(&mut self, id: u64) {
        let Some(card) = self.cards.get_mut(&id) else { return };
        card.flush();
        if !card.is_busy() {
            self.relieved.extend(card.port);
            self.watch_card(id);
        }
    }

    /// Tells a port's card whether it is on a network.
    pub(crate) fn tell_link(&mut self, port: PortId) {
        let up = self.network_of(port).is_some();
        let Some(id) = self.ports.get(&port).and_then(|port| port.card) else { return };
        let Some(card) = self.cards.get_mut(&id) else { return };
        card.set_link(up);
        self.watch_card(id);
    }

    /// Takes the right to one more flow, unless the port has as many as it may.
    pub(crate) fn begin_flow(&mut self, port: PortId) -> bool {
        let Some(port) = self.ports.get_mut(&port) else { return false };
        if port.flows >= MAX_FLOWS {
            port.counters.refused += 1;
            return false;
        }
        port.flows += 1;
        true
    }

    /// Whether a port may have one more flow by a publication.
    pub(crate) fn has_room_for_published(&self, port: PortId) -> bool {
        let room = |port: &Port| port.published < MAX_PUBLISHED && port.flows < MAX_FLOWS;
        self.ports.get(&port).is_some_and(room)
    }

    /// Takes the right to one more flow that comes by a publication.
    pub(crate) fn begin_published(&mut self, port: PortId) -> bool {
        let room = self.has_room_for_published(port);
        let Some(port) = self.ports.get_mut(&port) else { return false };
        if room {
            port.flows += 1;
            port.published += 1;
        } else {
            port.counters.refused += 1;
        }
        room
    }

    /// Whether a port has so few flows that one more may take much memory.
    pub(crate) fn has_few_flows(&self, port: PortId) -> bool {
        self.ports.get(&port).is_some_and(|port| port.flows < FEW_FLOWS)
    }

    /// Gives that right back.
    pub(crate) fn end_flow(&mut self, port: PortId) {
        if let Some(port) = self.ports.get_mut(&port) {
            port.flows = port.flows.saturating_sub(1);
        }
    }

    /// Gives the right to one by a publication back.
    pub(crate) fn end_published(&mut self, port: PortId) {
        self.end_flow(port);
        if let Some(port) = self.ports.get_mut(&port) {
            port.published = port.published.saturating_sub(1);
        }
    }
}
