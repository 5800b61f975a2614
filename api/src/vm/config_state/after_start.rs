//! Requests while the guest runs or is paused.

use std::path::PathBuf;

use vm_spec::{Component, ComponentId, Mib};

use super::operation::{Change, DeviceChange, Operation, Step};
use super::{Config, ConfigState};
use crate::vm::wire::{
    ActionType, Balloon, BalloonStatsUpdate, BalloonUpdate, InstanceState, PartialDrive,
    PartialNetworkInterface,
};
use crate::vm::{VmFault, VmRequest, VmResponse};

const NO_DEVICE: &str = "Failed perform action on device: Device not found";

impl ConfigState {
    pub(super) fn handle_after_start(&mut self, request: VmRequest) -> Result<Step, VmFault> {
        let operation = match request {
            VmRequest::Pause => return Ok(self.change_state(InstanceState::Paused)),
            VmRequest::Resume => return Ok(self.change_state(InstanceState::Running)),
            VmRequest::Action(ActionType::SendCtrlAltDel) => Operation::CtrlAltDel,
            VmRequest::Action(ActionType::FlushMetrics) => Operation::FlushMetrics,
            VmRequest::PowerButton => Operation::PowerButton,
            VmRequest::AttachConsole(device) => Operation::AttachConsole(device),
            VmRequest::PatchDrive(drive) => return self.patch_drive(drive),
            VmRequest::PatchNetworkInterface(interface) => return self.patch_interface(interface),
            VmRequest::SetLink { iface_id, link } => {
                Operation::SetLink { device: self.interface(&iface_id)?, up: link.up }
            }
            VmRequest::GetBalloon => {
                let balloon = self.balloon().ok_or_else(|| VmFault::Internal(NO_DEVICE.into()))?;
                return Ok(Step::Reply(VmResponse::Balloon(balloon)));
            }
            VmRequest::PatchBalloon(update) => return self.patch_balloon(update),
            VmRequest::PatchBalloonStats(update) => return self.patch_balloon_stats(update),
            VmRequest::GetBalloonStats => {
                let balloon = self.balloon().ok_or_else(|| VmFault::Internal(NO_DEVICE.into()))?;
                if balloon.stats_polling_interval_s == 0 {
                    return Err(VmFault::Internal(
                        "Balloon: Received stats query when stats are disabled.".into(),
                    ));
                }
                Operation::BalloonStats
            }
            VmRequest::StartBalloonHinting(command) => {
                self.hinting_balloon()?;
                Operation::StartBalloonHinting { acknowledge_on_stop: command.acknowledge_on_stop }
            }
            VmRequest::GetBalloonHinting => {
                self.hinting_balloon()?;
                Operation::BalloonHinting
            }
            VmRequest::StopBalloonHinting => {
                self.hinting_balloon()?;
                Operation::StopBalloonHinting
            }
            refused => return Err(refused_after_start(&refused)),
        };
        Ok(Step::operate(operation, Change::None))
    }

    fn change_state(&self, wanted: InstanceState) -> Step {
        if self.state == wanted {
            return Step::Reply(VmResponse::Empty);
        }
        let operation = match wanted {
            InstanceState::Paused => Operation::Pause,
            _ => Operation::Resume,
        };
        Step::operate(operation, Change::State(wanted))
    }

    fn patch_drive(&self, patch: PartialDrive) -> Result<Step, VmFault> {
        let cannot = |why: &str| {
            VmFault::Drive(format!(
                "Unable to patch the block device: {why} Please verify the request arguments."
            ))
        };
        let device = self.device(&patch.drive_id, "disk").ok_or_else(|| cannot(NO_DEVICE))?;
        if patch.path_on_host.is_none() && patch.rate_limiter.is_none() {
            return Err(cannot("Block: Running method expected different backend."));
        }
        let path = patch.path_on_host.map(PathBuf::from);
        let rate_limiter = patch.rate_limiter.map(Into::into);
        let change = DeviceChange::Disk { id: patch.drive_id, path: path.clone(), rate_limiter };
        let operation = Operation::UpdateDisk { device, path, rate_limiter };
        Ok(Step::operate(operation, Change::Device(change)))
    }

    fn patch_interface(&self, patch: PartialNetworkInterface) -> Result<Step, VmFault> {
        let device = self.interface(&patch.iface_id)?;
        let rx = patch.rx_rate_limiter.map(Into::into);
        let tx = patch.tx_rate_limiter.map(Into::into);
        let change = DeviceChange::Net { id: patch.iface_id, rx, tx };
        let operation = Operation::UpdateNet { device, rx_rate_limiter: rx, tx_rate_limiter: tx };
        Ok(Step::operate(operation, Change::Device(change)))
    }

    fn interface(&self, id: &str) -> Result<ComponentId, VmFault> {
        self.device(id, "net").ok_or_else(|| {
            VmFault::Network(format!("Unable to update the net device: {NO_DEVICE}"))
        })
    }

    fn patch_balloon(&self, update: BalloonUpdate) -> Result<Step, VmFault> {
        self.balloon().ok_or_else(|| VmFault::BalloonUpdate(NO_DEVICE.into()))?;
        let target = Mib(u64::from(update.amount_mib));
        let memory = match &self.config {
            Config::Objects(objects) => objects.memory(),
            Config::Spec(spec) => spec.memory.size,
        };
        if target > memory {
            return Err(VmFault::BalloonUpdate(format!(
                "Balloon: Requested memory should be less than {}MiB",
                memory.0
            )));
        }
        let change = Change::Device(DeviceChange::BalloonTarget(target));
        Ok(Step::operate(Operation::SetBalloonTarget(target), change))
    }

    fn patch_balloon_stats(&self, update: BalloonStatsUpdate) -> Result<Step, VmFault> {
        let balloon = self.balloon().ok_or_else(|| VmFault::BalloonUpdate(NO_DEVICE.into()))?;
        let seconds = update.stats_polling_interval_s;
        if (balloon.stats_polling_interval_s == 0) != (seconds == 0) {
            return Err(VmFault::BalloonUpdate(
                "Balloon: Statistics cannot be enabled/disabled after activation.".into(),
            ));
        }
        if seconds == balloon.stats_polling_interval_s {
            return Ok(Step::Reply(VmResponse::Empty));
        }
        let change = Change::Device(DeviceChange::BalloonStatsInterval(seconds));
        Ok(Step::operate(Operation::SetBalloonStatsInterval(seconds), change))
    }

    fn balloon(&self) -> Option<Balloon> {
        self.full_config().balloon
    }

    fn hinting_balloon(&self) -> Result<(), VmFault> {
        let balloon = self.balloon().ok_or_else(|| VmFault::BalloonUpdate(NO_DEVICE.into()))?;
        if balloon.free_page_hinting {
            return Ok(());
        }
        Err(VmFault::BalloonUpdate("Balloon: Attempting to use hinting when not enabled".into()))
    }

    /// The component that a drive or network interface became.
    fn device(&self, id: &str, type_name: &str) -> Option<ComponentId> {
        match &self.config {
            Config::Objects(objects) => {
                let built = objects.spec(self.identity.board).ok()?;
                let names = if type_name == "disk" { built.drives } else { built.interfaces };
                names.get(id).cloned()
            }
            Config::Spec(spec) => {
                let id = id.parse().ok()?;
                let found = spec.components.get(&id).map(Component::type_name);
                (found == Some(type_name)).then_some(id)
            }
        }
    }
}

fn refused_after_start(request: &VmRequest) -> VmFault {
    match request {
        VmRequest::PutDrive(_) => VmFault::NotAvailable("PUT /drives while the guest runs"),
        VmRequest::PutNetworkInterface(_) => {
            VmFault::NotAvailable("PUT /network-interfaces while the guest runs")
        }
        VmRequest::DeleteDrive(_) | VmRequest::DeleteNetworkInterface(_) => {
            VmFault::NotAvailable(request.name())
        }
        _ => VmFault::AfterStart,
    }
}
