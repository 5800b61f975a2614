//! Networks that come and go.

use switch::control::{self, NetworkName};

use super::model::{Attachment, Network};
use super::request::Request;
use super::{Inner, NetworkError, Service};
use crate::events::{Actor, Kind};

/// A container on a network, as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The container's id.
    pub container: String,
    /// Its name.
    pub name: String,
    /// Where it is.
    pub attachment: Attachment,
}

impl Service {
    /// Makes a network.
    ///
    /// # Errors
    ///
    /// The request is refused, or the store fails.
    pub async fn create(&self, request: Request) -> Result<Network, NetworkError> {
        let mut state = self.0.state.lock().await;
        if state.networks.values().any(|network| network.name == request.name) {
            return Err(NetworkError::Exists(request.name));
        }
        let network = request.into_network(&state.ranges())?;
        // The switch hears of it with the first container on it.
        self.0.networks.put(&network.id, &network).await?;
        state.networks.insert(network.id.clone(), network.clone());
        if network.on_kernel_bridge()
            && let Err(error) = self.0.settle(&state, &network.name).await
        {
            state.networks.remove(&network.id);
            self.0.networks.remove(&network.id).await?;
            self.0.follow(&state, &network.name).await;
            return Err(error);
        }
        self.0.emit("create", &network, None);
        Ok(network)
    }

    /// The network that `text` means: a name, an id, or the beginning of an id.
    ///
    /// # Errors
    ///
    /// There is none, or more than one; or it is the host's.
    pub async fn find(&self, text: &str) -> Result<Network, NetworkError> {
        self.0.state.lock().await.find(text).cloned()
    }

    /// All networks, the oldest first.
    pub async fn list(&self) -> Vec<Network> {
        let state = self.0.state.lock().await;
        let mut all: Vec<_> = state.networks.values().cloned().collect();
        all.sort_by_key(|network| network.created);
        all
    }

    /// The containers on the network with this id.
    pub async fn neighbours(&self, network: &str) -> Vec<Neighbour> {
        let state = self.0.state.lock().await;
        let on = state.on(network).map(|(id, member, attachment)| Neighbour {
            container: id.clone(),
            name: member.name.clone(),
            attachment: attachment.clone(),
        });
        on.collect()
    }

    /// Removes a network that no container is on.
    ///
    /// # Errors
    ///
    /// There is none, it stays, or it is used.
    pub async fn remove(&self, text: &str) -> Result<Network, NetworkError> {
        let mut state = self.0.state.lock().await;
        let network = state.find(text)?.clone();
        if network.predefined() {
            return Err(NetworkError::Stays(network.name));
        }
        let members: Vec<_> = state
            .on(&network.id)
            .map(|(id, member, _)| {
                format!("name:\"{}\" id:\"{}\"", member.name, crate::container::short_id(id))
            })
            .collect();
        if !members.is_empty() {
            return Err(NetworkError::InUse { name: network.name, members: members.join(", ") });
        }
        self.0.networks.remove(&network.id).await?;
        state.networks.remove(&network.id);
        self.0.follow(&state, &network.name).await;
        if !state.members.is_empty() {
            let remove = control::Request::RemoveNetwork(NetworkName { id: network.id.clone() });
            let told = self.0.wire.tell(&network.name, || state.everything(), vec![remove]).await;
            if let Err(error) = told {
                // An empty network in the switch harms nobody.
                log::warn!("{}", crate::http::error::chain(&error));
            }
        }
        self.0.emit("destroy", &network, None);
        Ok(network)
    }

    /// Removes all that no container is on and that `chosen` chooses: their names.
    ///
    /// # Errors
    ///
    /// Where the store fails.
    pub async fn prune(
        &self,
        chosen: impl Fn(&Network) -> bool,
    ) -> Result<Vec<String>, NetworkError> {
        let mut removed = Vec::new();
        for network in self.list().await {
            if network.predefined() || !chosen(&network) {
                continue;
            }
            match self.remove(&network.id).await {
                Ok(network) => removed.push(network.name),
                Err(NetworkError::InUse { .. } | NetworkError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let actor = Actor::default().with("reclaimed", "0");
        self.0.events.emit(Kind::Network, "prune", actor);
        Ok(removed)
    }
}

impl Inner {
    pub(super) fn emit(&self, action: &str, network: &Network, container: Option<&str>) {
        let actor = Actor::new(&network.id);
        let mut actor = actor.with("name", &network.name).with("type", &network.driver);
        if let Some(container) = container {
            actor = actor.with("container", container);
        }
        self.events.emit(Kind::Network, action, actor);
    }
}
