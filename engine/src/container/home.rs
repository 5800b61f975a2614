//! Where a container lives: machine, network and size are those of its *home*.
//!
//! A container is at home in itself, or in a pod. A pod is a container without a process of its
//! own: its machine starts with the pod, or with the first container in it, and ends with the pod.
//! The machine of a container that is alone comes and goes with the container's runs.
//!
//! A machine has the disks and folders of those who were there when it started, and no others: who
//! joins a pod that runs has to wait for its next start.

use std::collections::HashSet;
use std::sync::Arc;

use vm_spec::Mib;

use super::live::{Container, lock};
use super::machine::Machine;
use super::record::{Phase, Role};
use super::{ContainerError, guest, moment};
use crate::http::error::chain;
use crate::sandbox::{Adopted, Card, Disk, DiskContent, SandboxSpec, Share};
use crate::start_times::{Point, StartTimes};

/// Bytes of a writable disk where none are asked for: sparse, so this is a limit, not a cost.
const DISK_SIZE: u64 = 64 << 30;

/// A home's machine while it runs.
#[derive(Clone, Debug)]
pub(super) struct Lodging {
    pub(super) machine: Machine,
    /// The containers that it has the devices of.
    inside: HashSet<String>,
}

#[cfg(test)]
impl Lodging {
    /// A machine that `id` is alone in.
    pub(super) fn of(id: &str, machine: Machine) -> Self {
        Self { machine, inside: HashSet::from([id.to_owned()]) }
    }
}

/// What containers need of a machine.
#[derive(Debug, Default)]
struct Devices {
    disks: Vec<Disk>,
    shares: Vec<Share>,
}

impl Container {
    /// The pod that it is in.
    #[must_use]
    pub fn pod(&self) -> Option<Arc<Container>> {
        let id = self.with_record(|record| match &record.role {
            Role::Member { pod } => Some(pod.clone()),
            Role::Alone | Role::Pod { .. } => None,
        })?;
        self.ground.pod(&id)
    }

    /// Whether it is a pod.
    #[must_use]
    pub fn is_pod(&self) -> bool {
        self.with_record(|record| matches!(record.role, Role::Pod { .. }))
    }

    /// Its machine, of a home.
    pub(super) fn lodging(&self) -> Option<Lodging> {
        lock(&self.lodging).clone()
    }

    /// Its machine, of a home that runs.
    #[must_use]
    pub fn home_machine(&self) -> Option<Machine> {
        self.lodging().map(|lodging| lodging.machine)
    }

    /// The home's machine, started if it does not run, for `lodger` to be in.
    pub(super) async fn enter(&self, lodger: &Self) -> Result<Machine, ContainerError> {
        let _opening = self.opening.lock().await;
        // One that has ended is about to be cleared away.
        let runs = |lodging: &Lodging| lodging.machine.vm().end().is_none();
        if let Some(lodging) = self.lodging().filter(runs) {
            if lodging.inside.contains(&lodger.id) {
                return Ok(lodging.machine);
            }
            return Err(ContainerError::Conflict(format!(
                "pod {} runs without container {}: a machine gets its disks when it starts; stop \
                 the pod and start it again",
                self.name(),
                lodger.name()
            )));
        }
        let mut switches = self.ground.networks.switches();
        let times = lodger.start_times();
        let cards = self.join_networks().await?;
        times.reach(Point::Networks);
        switches.mark_unchanged();
        let opened = self.open(cards, &times).await;
        if opened.is_err() {
            self.leave_networks().await;
        } else if switches.has_changed().unwrap_or_default() {
            // From now on it is among those that are seen to.
            self.plug_in_cards().await;
        }
        opened
    }

    async fn open(&self, cards: Vec<Card>, times: &StartTimes) -> Result<Machine, ContainerError> {
        let (inside, devices) = self.all_devices().await?;
        times.reach(Point::Disks);
        self.pod_opens(&inside).await?;
        let opened = async {
            let machine = self.boot(devices, cards, times).await?;
            match self.configure_network(&machine).await {
                Ok(()) => {
                    times.reach(Point::Cards);
                    Ok(machine)
                }
                Err(error) => {
                    machine.shut_down(&self.id).await;
                    Err(error)
                }
            }
        }
        .await;
        match opened {
            Ok(machine) => {
                self.settle_in(machine.clone(), inside);
                Ok(machine)
            }
            Err(error) => {
                self.pod_closed(&error.to_string()).await;
                Err(error)
            }
        }
    }

    /// A pod's machine is on record before it starts.
    async fn pod_opens(&self, with: &HashSet<String>) -> Result<(), ContainerError> {
        if !self.is_pod() {
            return Ok(());
        }
        let (mut with, started) = (Vec::from_iter(with.iter().cloned()), moment::now_ns());
        with.sort_unstable();
        self.change(|record| {
            if let Role::Pod { inside, .. } = &mut record.role {
                *inside = with;
            }
            record.state.phase = Phase::Running;
            record.state.error.clear();
            record.state.started_ns = started;
        })
        .await
    }

    /// A pod's machine is no more.
    pub(super) async fn pod_closed(&self, why: &str) {
        if !self.is_pod() {
            return;
        }
        self.note(|record| {
            record.state.phase = Phase::Exited;
            why.clone_into(&mut record.state.error);
            record.state.finished_ns = moment::now_ns();
        })
        .await;
    }

    fn settle_in(&self, machine: Machine, inside: HashSet<String>) {
        if let Some(pod) = self.ground.pod(&self.id) {
            let machine = machine.clone();
            tokio::spawn(async move {
                let message = machine.ended().await;
                pod.lost(&message).await;
            });
        }
        *lock(&self.lodging) = Some(Lodging { machine, inside });
    }

    /// A pod's machine ended by itself.
    async fn lost(&self, message: &str) {
        {
            let _opening = self.opening.lock().await;
            // Nobody's who ended it, and not one that was started since.
            let ended = |lodging: &mut Lodging| lodging.machine.vm().end().is_some();
            let Some(lodging) = lock(&self.lodging).take_if(ended) else { return };
            self.leave_networks().await;
            lodging.machine.shut_down(&self.id).await;
        }
        self.pod_closed(&format!("its machine ended: {message}")).await;
        self.emit("die", &[]);
    }

    /// `lodger` has ended. With `keep` what it wrote is written out.
    pub(super) async fn leave(&self, lodger: &str, machine: &Machine, keep: bool) {
        let stays = self.is_pod();
        if keep || stays {
            machine.delete(lodger).await;
        }
        if !stays {
            self.close().await;
        }
    }

    /// Ends the home's machine.
    pub(super) async fn close(&self) {
        let _opening = self.opening.lock().await;
        let lodging = lock(&self.lodging).take();
        self.leave_networks().await;
        if let Some(lodging) = lodging {
            lodging.machine.shut_down(&self.id).await;
        }
    }

    /// Finds the home's machine again that an earlier engine started.
    pub(super) async fn find_machine(&self) -> Result<Option<Machine>, ContainerError> {
        let _opening = self.opening.lock().await;
        if let Some(lodging) = self.lodging() {
            return Ok(Some(lodging.machine));
        }
        let adopted = self.ground.sandboxes.adopt(&self.id).await;
        let sandbox = match adopted.map_err(|error| ContainerError::Machine(chain(&error)))? {
            Adopted::Running(sandbox) => sandbox,
            Adopted::Ended(_) | Adopted::Gone => return Ok(None),
        };
        let machine = Machine::new(sandbox);
        let inside = self.with_record(|record| match &record.role {
            Role::Pod { inside, .. } => inside.iter().cloned().collect(),
            _ => HashSet::from([record.id.clone()]),
        });
        self.settle_in(machine.clone(), inside);
        Ok(Some(machine))
    }

    /// The machine that it has for its files alone, or its pod's, if that has its disks; tells
    /// whether it is the pod's. The container is made in it, and not started.
    pub(super) async fn machine_for_files(&self) -> Result<(Machine, bool), ContainerError> {
        let lodging = self.pod().and_then(|pod| pod.lodging());
        if let Some(lodging) = lodging.filter(|lodging| lodging.inside.contains(&self.id)) {
            let machine = lodging.machine;
            return match self.make_in(&machine).await {
                Ok(()) => Ok((machine, true)),
                Err(error) => {
                    machine.delete(&self.id).await;
                    Err(error)
                }
            };
        }
        let devices = self.devices().await?;
        let machine = self.boot(devices, Vec::new(), &StartTimes::begin()).await?;
        match self.make_in(&machine).await {
            Ok(()) => Ok((machine, false)),
            Err(error) => {
                machine.shut_down(&self.id).await;
                Err(error)
            }
        }
    }

    /// Starts a machine of the home's size.
    async fn boot(
        &self,
        devices: Devices,
        cards: Vec<Card>,
        times: &StartTimes,
    ) -> Result<Machine, ContainerError> {
        let size = self.spec().machine;
        let sandbox = SandboxSpec {
            id: self.id.clone(),
            cpus: size.cpus,
            memory: Mib(size.memory_mib),
            disks: devices.disks,
            shares: devices.shares,
            cards,
        };
        let sandbox = self.ground.sandboxes.start_timed(&sandbox, times).await;
        Ok(Machine::new(sandbox.map_err(|error| ContainerError::Machine(chain(&error)))?))
    }

    /// Who lives here, and what all of them need.
    async fn all_devices(&self) -> Result<(HashSet<String>, Devices), ContainerError> {
        let mut inside = HashSet::from([self.id.clone()]);
        if !self.is_pod() {
            return Ok((inside, self.devices().await?));
        }
        let mut all = Devices::default();
        for member in self.ground.members(&self.id) {
            if matches!(member.phase(), Phase::Removing | Phase::Dead) {
                continue;
            }
            let devices = member.devices().await?;
            all.disks.extend(devices.disks);
            all.shares.extend(devices.shares);
            inside.insert(member.id.clone());
        }
        Ok((inside, all))
    }

    async fn devices(&self) -> Result<Devices, ContainerError> {
        let record = self.record();
        let layers = self.ground.image(&record.image_id)?.layers();
        let serial = guest::serial(&self.id, guest::LAYERS);
        let layers = Disk { serial, content: DiskContent::Layers(layers) };
        let shares = guest::mounts(&record).into_iter().filter_map(|plan| plan.share).collect();
        Ok(Devices { disks: vec![layers, self.writable_disk().await?], shares })
    }

    /// The disk for what the container writes; made at the first start.
    async fn writable_disk(&self) -> Result<Disk, ContainerError> {
        let path = self.folder().join("writable.ext4");
        if !path.exists() {
            let asked = self.spec().disk_size;
            let size = if asked == 0 { DISK_SIZE } else { asked };
            let made = self.ground.disks.make(size, &path).await;
            made.map_err(|error| ContainerError::Machine(chain(&error)))?;
        }
        let serial = guest::serial(&self.id, guest::WRITABLE);
        Ok(Disk { serial, content: DiskContent::Writable(path) })
    }
}
