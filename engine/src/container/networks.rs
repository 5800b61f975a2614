//! A container on its networks.

use super::ContainerError;
use super::guest::NetworkFiles;
use super::live::Container;
use super::machine::Machine;
use crate::sandbox::Card;

impl Container {
    /// Gets its places on its networks: a card each.
    pub(super) async fn join_networks(&self) -> Result<Vec<Card>, ContainerError> {
        Ok(Vec::new())
    }

    /// Gives them back.
    pub(super) async fn leave_networks(&self) {}

    /// Gives the machine's cards their addresses; what follows for the container's files.
    pub(super) async fn configure_network(
        &self,
        _machine: &Machine,
    ) -> Result<NetworkFiles, ContainerError> {
        Ok(NetworkFiles { name_servers: Vec::new(), addresses: Vec::new(), gateway: None })
    }
}
