//! Networks: names and ranges of addresses, and which container is where on them.
//!
//! The switch does the work ([`wire`]); it knows nothing but what it is told. What it was told is
//! written down before, so that both this engine and the switch may end at any time: the engine
//! finds its memory in the store, and a new switch is told everything ([`Service::switches`] then
//! says that cards must be plugged in again).
//!
//! A container is a *member* while it has a machine: it gets its addresses when it starts and gives
//! them back when it ends.

mod document;
mod error;
mod kernel;
mod life;
mod members;
mod model;
mod pools;
mod publish;
mod range;
mod request;
mod state;
#[cfg(test)]
mod tests;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;

use switch::address::Mac;
use tokio::sync::{Mutex, watch};

pub use self::document::endpoint_settings;
pub use self::error::NetworkError;
use self::kernel::Kernel;
pub use self::kernel::KernelError;
pub(crate) use self::kernel::tap_name;
pub use self::life::Neighbour;
pub use self::members::{EndpointRequest, Joined, Joining};
pub use self::model::{Attachment, BRIDGE, HOST, Member, NONE, Network, Publication, Subnet};
pub use self::publish::PortRequest;
pub use self::request::{Request, SubnetRequest};
use self::state::State;
use self::wire::Wire;
use crate::events::Bus;
use crate::store::{Store, Table};

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Service(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    networks: Table<Network>,
    members: Table<Member>,
    events: Bus,
    wire: Wire,
    kernel: Kernel,
    /// Held through each change, so that the switch is told in the order of the changes.
    state: Mutex<State>,
}

impl Service {
    /// The networks that `store` knows; `bridge` and `none` are made where they are missing. The
    /// switch's sockets are in `folder`; `identity` is the engine's own. Where members are on record, a switch that was away is
    /// told of them.
    ///
    /// # Errors
    ///
    /// Where the store fails.
    pub async fn open(
        store: &Store,
        folder: PathBuf,
        identity: &str,
        events: Bus,
    ) -> Result<Self, NetworkError> {
        let (networks, members) = (store.table::<Network>(), store.table::<Member>());
        let mut state = State::new(networks.list()?, members.list()?);
        let missing = |name| !state.networks.values().any(|network| network.name == name);
        let mut made = Vec::new();
        if missing(BRIDGE) {
            let taken = [state.ranges(), pools::of_the_host()].concat();
            made.push(request::bridge(&taken).or_else(|_| request::bridge(&state.ranges()))?);
        }
        if missing(NONE) {
            made.push(request::none()?);
        }
        for network in made {
            networks.put(&network.id, &network).await?;
            state.networks.insert(network.id.clone(), network);
        }
        let (wire, state) = (Wire::new(folder), Mutex::new(state));
        let inner = Arc::new(Inner {
            networks,
            members,
            events,
            wire,
            kernel: Kernel::new(identity),
            state,
        });
        tokio::spawn(keep_switch(Arc::downgrade(&inner), inner.wire.clone()));
        tokio::spawn(keep_links(Arc::downgrade(&inner)));
        let service = Self(inner);
        service.0.settle_or_log().await;
        service.0.find_switch().await;
        Ok(service)
    }

    /// The address and the name of the port of a card of the container `id`.
    #[must_use]
    pub fn card(id: &str, slot: u8) -> (Mac, String) {
        let digits = |at: usize| {
            let pair = id.get(at..at + 2).unwrap_or("00");
            u8::from_str_radix(pair, 16).unwrap_or_default()
        };
        // Locally administered, and a single card's.
        let mac = Mac([2, digits(0), digits(2), digits(4), digits(6), slot]);
        (mac, state::port(id, slot))
    }

    /// The switch's socket for cards.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.0.wire.cards()
    }

    /// Ends the switch where no container needs it, so that an engine that ends leaves nothing
    /// behind but what runs.
    pub async fn retire(&self) {
        let state = self.0.state.lock().await;
        if state.members.is_empty() {
            self.0.wire.shut_down().await;
        }
    }

    /// The process id of the switch that was told everything, once there is one. With each change
    /// cards have to be plugged in again.
    #[must_use]
    pub fn switches(&self) -> watch::Receiver<Option<u32>> {
        self.0.wire.switches()
    }
}

impl Inner {
    /// Lets the kernel follow.
    async fn settle(&self, state: &State, subject: &str) -> Result<(), NetworkError> {
        let settled = self.kernel.settle(state).await;
        let subject = || subject.to_owned();
        settled.map_err(|source| NetworkError::Kernel { subject: subject(), source })
    }

    /// As [`Self::settle`], where nobody waits for an answer.
    async fn settle_or_log(&self) {
        let state = self.state.lock().await;
        self.follow(&state, "all containers").await;
    }

    async fn follow(&self, state: &State, subject: &str) {
        if let Err(error) = self.settle(state, subject).await {
            log::error!("{}", crate::http::error::chain(&error));
        }
    }

    /// Where there are members there has to be a switch.
    async fn find_switch(&self) {
        let state = self.state.lock().await;
        if state.members.is_empty() {
            return;
        }
        let told = self.wire.tell("all containers", || state.everything(), Vec::new()).await;
        if let Err(error) = told {
            log::error!("{}", crate::http::error::chain(&error));
        }
    }
}

/// As long as the service lives: links that somebody changed are put right.
async fn keep_links(inner: std::sync::Weak<Inner>) {
    loop {
        let Some(changed) = inner.upgrade().map(|inner| inner.kernel.changes()) else { return };
        changed.notified().await;
        let Some(inner) = inner.upgrade() else { return };
        inner.settle_or_log().await;
    }
}

/// As long as the service lives: each switch that ends is replaced, if anybody needs one.
async fn keep_switch(inner: std::sync::Weak<Inner>, wire: Wire) {
    loop {
        wire.died().await;
        let Some(inner) = inner.upgrade() else { return };
        inner.find_switch().await;
    }
}
