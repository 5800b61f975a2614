//! Putting the engine's services together.

use std::time::Duration;

use anyhow::Context;
use engine::engine::Engine;
use engine::paths::Paths;
use engine::sandbox::{Guest, Sandboxes};
use engine::store::{Record, Store};
use engine::{container, events, image_service, network, system, vm, volume};
use serde::{Deserialize, Serialize};

use super::Args;

/// What an engine calls itself, for as long as its state lives.
#[derive(Serialize, Deserialize)]
struct Identity {
    id: String,
}

impl Record for Identity {
    const TABLE: &'static str = "engine";
    const VERSION: u32 = 1;
}

/// The engine of these folders.
pub(super) async fn engine(args: &Args, paths: &Paths) -> anyhow::Result<Engine> {
    let store = Store::open(&paths.store())?;
    let id = identity(&store).await?;
    let rootless = !rustix::process::geteuid().is_root();
    let events = events::Bus::new();
    let volumes = volume::Service::open(&store, paths.volumes(), events.clone()).await?;
    let networks = network::Service::open(&store, paths.switch(), &id, events.clone()).await?;
    let store_of_images = image::Store::open(&paths.images())?;
    let images = image_service::Service::new(
        store_of_images.clone(),
        events.clone(),
        args.insecure_registry.clone(),
    )?;
    let machines = machines(args, paths);
    let services = container::Services {
        paths: paths.clone(),
        images: store_of_images,
        sandboxes: machines.clone(),
        volumes: volumes.clone(),
        networks: networks.clone(),
        events: events.clone(),
    };
    let containers = container::Service::open(&store, services)?;
    let vms = vm::Service::open(&store, machines, events.clone(), containers.clone())?;
    containers.adopt(vms.ids()).await?;
    vms.adopt().await;
    let system = system::Service::new(id, paths.state(), rootless, args.insecure_registry.clone());
    Ok(Engine { containers, events, images, networks, system, vms, volumes })
}

fn machines(args: &Args, paths: &Paths) -> Sandboxes {
    let guest = args.guest();
    match Guest::find(&guest) {
        Ok(guest) => log::info!("Machines boot {}", guest.kernel().display()),
        // All but containers works, and the guest may be made while the engine runs.
        Err(error) => log::warn!("Containers cannot start: {error}"),
    }
    let machines = Sandboxes::new(paths.clone(), guest)
        .with_boot_limit(Duration::from_secs(args.boot_timeout.into()));
    match &args.monitor {
        Some(monitor) => machines.with_monitor(monitor),
        None => machines,
    }
}

async fn identity(store: &Store) -> anyhow::Result<String> {
    let table = store.table::<Identity>();
    if let Some(identity) = table.get("self")? {
        return Ok(identity.id);
    }
    let mut random = [0u8; 16];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
        .context("failed to get random numbers")?;
    let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    table.put("self", &Identity { id: id.clone() }).await?;
    Ok(id)
}
