//! A running machine, whatever is in it: its end, and the ways to bring that about.

use std::sync::Arc;
use std::time::Duration;

use api::vm::client::{Client, ClientError};
use api::vm::wire::InstanceState;
use launch::{EndRecord, Folder};
use tokio::time::timeout;

use super::document::CardEnd;
use super::monitor::Monitor;

/// How long a monitor may take to answer, or to end its machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// A machine with its monitor. Cheap to clone; dropping it leaves the machine as it is.
#[derive(Clone, Debug)]
pub struct Vm {
    folder: Folder,
    monitor: Monitor,
}

/// A machine could not be controlled.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Its monitor refuses or does not answer.
    #[error("Failed to {what} the machine {name}")]
    Monitor {
        /// What was asked for.
        what: &'static str,
        /// The machine.
        name: String,
        /// Why.
        source: ClientError,
    },
    /// The system does not let its monitor end.
    #[error("Failed to end the machine {0}: its monitor was killed and is still there")]
    Undead(String),
    /// What it was made of cannot be read.
    #[error("Failed to read the document of the machine {name}")]
    Document {
        /// The machine.
        name: String,
        /// Why.
        source: std::io::Error,
    },
    /// The engine is ending.
    #[error("Failed to {what} the machine {name}: the engine is ending")]
    Ending {
        /// What was asked for.
        what: &'static str,
        /// The machine.
        name: String,
    },
}

impl Vm {
    pub(super) fn new(folder: Folder, monitor: Monitor) -> Self {
        Self { folder, monitor }
    }

    /// The id that it was started with.
    #[must_use]
    pub fn id(&self) -> &str {
        self.folder.name()
    }

    /// Its folder on the host.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Waits for its end.
    pub async fn ended(&self) -> Arc<EndRecord> {
        self.monitor.ended().await
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn end(&self) -> Option<Arc<EndRecord>> {
        self.monitor.end()
    }

    /// The last lines of its console, without what would move a terminal's cursor.
    #[must_use]
    pub fn console(&self) -> String {
        super::console::last_lines(&self.folder)
    }

    /// Presses its power button; ends it when it has not ended by `limit`.
    pub async fn press_power_button(
        &self,
        limit: Duration,
    ) -> Result<Arc<EndRecord>, ControlError> {
        let asked = async {
            // A guest that does not listen, or a monitor: it is ended when the time is over.
            let _ = self.ask("press the power button of", Client::power_button).await;
            self.ended().await
        };
        match timeout(limit, asked).await {
            Ok(end) => Ok(end),
            Err(_) => self.kill().await,
        }
    }

    /// Ends it without asking the guest.
    pub async fn kill(&self) -> Result<Arc<EndRecord>, ControlError> {
        // The monitor leaves things tidy, if it can.
        let stopped = async {
            self.ask("stop", Client::stop).await.ok()?;
            Some(self.ended().await)
        };
        if let Ok(Some(end)) = timeout(PATIENCE, stopped).await {
            return Ok(end);
        }
        self.monitor.kill();
        let ended = timeout(PATIENCE, self.ended()).await;
        ended.map_err(|_| ControlError::Undead(self.id().to_owned()))
    }

    /// Stops its processors. An agent in it does not answer until it is resumed.
    pub async fn pause(&self) -> Result<(), ControlError> {
        self.ask("pause", Client::pause).await
    }

    /// Lets its processors go on.
    pub async fn resume(&self) -> Result<(), ControlError> {
        self.ask("resume", Client::resume).await
    }

    /// Whether its processors stand still.
    pub async fn is_paused(&self) -> Result<bool, ControlError> {
        let instance = self.ask("look at", Client::instance).await?;
        Ok(instance.state == InstanceState::Paused)
    }

    /// Its monitor's metrics, as Prometheus reads them.
    pub async fn metrics(&self) -> Result<String, ControlError> {
        self.ask("measure", Client::metrics).await
    }

    /// Its network cards, in order.
    pub fn cards(&self) -> Result<Vec<CardEnd>, ControlError> {
        let cards = super::document::cards(&self.folder.spec_file());
        cards.map_err(|source| ControlError::Document { name: self.id().to_owned(), source })
    }

    /// Plugs its cards in, so that those whose switch went look for it again. Nothing changes for
    /// the others.
    pub async fn plug_in_cards(&self) -> Result<(), ControlError> {
        let cards = self.cards()?;
        let plug_in = move |client: &Client| {
            cards.iter().try_for_each(|card| client.set_link(&card.id, true))
        };
        self.ask("plug in the cards of", plug_in).await
    }

    /// Removes what it had on the host while it ran. To be called once it has ended.
    pub fn discard(&self) {
        self.folder.remove();
    }

    pub(super) async fn ask<T: Send + 'static>(
        &self,
        what: &'static str,
        act: impl FnOnce(&Client) -> Result<T, ClientError> + Send + 'static,
    ) -> Result<T, ControlError> {
        let client = Client::new(self.folder.api_socket()).with_timeout(PATIENCE);
        let name = || self.id().to_owned();
        match tokio::task::spawn_blocking(move || act(&client)).await {
            Ok(done) => done.map_err(|source| ControlError::Monitor { what, name: name(), source }),
            Err(_) => Err(ControlError::Ending { what, name: name() }),
        }
    }
}
