//! The services of an engine, as the API sees them.

use crate::{container, events, image_service, network, system, vm, volume};

/// What there is one of in an engine. Services are cheap to clone, and know each other only as
/// far as their own needs go.
#[derive(Debug)]
pub struct Engine {
    /// Containers.
    pub containers: container::Service,
    /// What happens, for those who listen.
    pub events: events::Bus,
    /// Images.
    pub images: image_service::Service,
    /// Networks.
    pub networks: network::Service,
    /// What the engine says of itself and its host.
    pub system: system::Service,
    /// Machines as such.
    pub vms: vm::Service,
    /// Volumes.
    pub volumes: volume::Service,
}
