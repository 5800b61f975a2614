//! Cards of running machines follow the switch: a new one has to be found by each of them.

use std::sync::Weak;

use futures_util::future::join_all;

use super::{Container, Ground};

/// As long as the engine works: plugs all cards in again when there is another switch, and once at
/// the beginning.
pub(super) async fn keep_plugged_in(ground: Weak<Ground>) {
    let Some(switches) = ground.upgrade().map(|ground| ground.networks.switches()) else { return };
    let mut switches = switches;
    loop {
        let Some(ground) = ground.upgrade() else { return };
        let homes = [ground.all(), ground.pods()].concat();
        join_all(homes.iter().map(|home| home.plug_in_cards())).await;
        drop((homes, ground));
        if switches.changed().await.is_err() {
            return;
        }
    }
}

impl Container {
    /// Lets the cards of its machine look for the switch, if it has one.
    pub(super) async fn plug_in_cards(&self) {
        let Some(machine) = self.home_machine() else { return };
        if let Err(error) = machine.plug_in_cards().await {
            log::warn!("container {}: its network cards: {error}", self.id);
        }
    }
}
