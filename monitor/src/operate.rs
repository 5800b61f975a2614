//! The operations that requests ask for.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use api::vm::config_state::Operation;
use api::vm::wire::{BalloonHintingStatus, BalloonStats};
use api::vm::{VmFault, VmResponse};
use devices::virtio::balloon::{Balloon, Statistics};
use devices::virtio::net::Net;
use serde_json::json;
use vm_spec::{ComponentId, RateLimiter};
use vmm::board::{limiter_update, pages};
use vmm::machine::Machine;

use crate::monitor::{Monitor, Running};

type Done = Result<VmResponse, VmFault>;

const DONE: Done = Ok(VmResponse::Empty);

fn internal(error: impl std::fmt::Display) -> VmFault {
    VmFault::Internal(error.to_string())
}

pub(crate) fn lock<T>(device: &Mutex<T>) -> MutexGuard<'_, T> {
    device.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Monitor {
    /// Does what a request asks for and the configuration allows.
    pub(crate) fn operate(&mut self, operation: Operation, machine: Option<&mut Machine>) -> Done {
        match operation {
            Operation::Start(spec) => self.start(&spec),
            Operation::Pause
            | Operation::Resume
            | Operation::Stop
            | Operation::PowerButton
            | Operation::CtrlAltDel => self.control(&operation, machine),
            Operation::GetMmds => Ok(VmResponse::Mmds(self.metadata.get())),
            Operation::PutMmds(document) => self.metadata.put(document).and(DONE),
            Operation::PatchMmds(patch) => self.metadata.patch(patch).and(DONE),
            Operation::Metrics => Ok(VmResponse::Metrics(self.metrics())),
            Operation::FlushMetrics => self.flush_metrics().and(DONE),
            operation => self.operate_device(operation),
        }
    }

    fn running(&self) -> Result<&Running, VmFault> {
        self.running.as_ref().ok_or(VmFault::BeforeStart)
    }

    /// The life cycle.
    fn control(&mut self, operation: &Operation, machine: Option<&mut Machine>) -> Done {
        let Some(machine) = machine else {
            // Only stopping makes sense without a machine, and then there is nothing to stop.
            if *operation == Operation::Stop {
                return Err(VmFault::BeforeStart);
            }
            return Err(VmFault::Ending);
        };
        let began = Instant::now();
        let microseconds = || u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        match operation {
            Operation::Pause => {
                machine.pause().map_err(internal)?;
                self.pause_us = microseconds();
                self.events.publish("paused", json!({}));
            }
            Operation::Resume => {
                machine.resume().map_err(internal)?;
                self.resume_us = microseconds();
                self.events.publish("resumed", json!({}));
            }
            Operation::PowerButton => machine.press_power_button(),
            Operation::CtrlAltDel => machine.press_ctrl_alt_del(),
            _ => machine.stop(),
        }
        DONE
    }

    fn operate_device(&self, operation: Operation) -> Done {
        match operation {
            Operation::UpdateDisk { device, path, rate_limiter } => {
                self.update_disk(&device, path.as_deref(), rate_limiter)
            }
            Operation::UpdateNet { device, rx_rate_limiter, tx_rate_limiter } => {
                self.update_net(&device, rx_rate_limiter, tx_rate_limiter)
            }
            Operation::SetLink { device, up } => {
                lock(self.card(&device)?).set_link(up);
                DONE
            }
            Operation::AttachConsole(device) => self.attach_console(device.as_ref()),
            operation => {
                let balloon = self.running()?.balloon()?;
                operate_balloon(&operation, &mut lock(&balloon))
            }
        }
    }

    fn update_disk(
        &self,
        id: &ComponentId,
        path: Option<&Path>,
        limiter: Option<RateLimiter>,
    ) -> Done {
        let disk = self.running()?.devices.disks.get(id);
        let mut disk = lock(disk.ok_or_else(|| VmFault::Drive(format!("no disk {id}")))?);
        if let Some(path) = path {
            disk.replace_file(path).map_err(|e| VmFault::Drive(chain(&e)))?;
        }
        if let Some(limiter) = limiter {
            let updated = disk.update_limits(limiter_update(limiter));
            updated.map_err(|e| VmFault::Drive(chain(&e)))?;
        }
        DONE
    }

    fn update_net(
        &self,
        id: &ComponentId,
        rx: Option<RateLimiter>,
        tx: Option<RateLimiter>,
    ) -> Done {
        let net = lock(self.card(id)?);
        if let Some(limiter) = rx {
            net.update_rx_limiter(limiter_update(limiter));
        }
        if let Some(limiter) = tx {
            net.update_tx_limiter(limiter_update(limiter));
        }
        DONE
    }

    fn card(&self, id: &ComponentId) -> Result<&Mutex<Net>, VmFault> {
        let net = self.running()?.devices.nets.get(id);
        net.map(|net| &**net).ok_or_else(|| VmFault::Network(format!("no network card {id}")))
    }

    fn attach_console(&self, device: Option<&ComponentId>) -> Done {
        let streams = &self.running()?.devices.streams;
        let stream = match device {
            Some(device) => streams.get(device),
            None => streams.values().next(),
        };
        let stream = stream.ok_or_else(|| internal(no_console(device, streams.keys())))?;
        let (ours, clients) = UnixStream::pair().map_err(internal)?;
        stream.attach(ours).map_err(internal)?;
        Ok(VmResponse::Console(clients))
    }
}

/// Says which consoles there are instead.
fn no_console<'a>(
    device: Option<&ComponentId>,
    others: impl Iterator<Item = &'a ComponentId>,
) -> String {
    let Some(device) = device else { return "the machine has no console".to_owned() };
    let others: Vec<_> = others.map(ComponentId::as_str).collect();
    match others.is_empty() {
        true => format!("{device} is no console, and the machine has none"),
        false => format!("{device} is no console; there are: {}", others.join(", ")),
    }
}

impl Running {
    fn balloon(&self) -> Result<Arc<Mutex<Balloon>>, VmFault> {
        let none = || VmFault::BalloonUpdate("No balloon device found.".to_owned());
        self.devices.balloon.clone().ok_or_else(none)
    }
}

fn operate_balloon(operation: &Operation, balloon: &mut Balloon) -> Done {
    let fault = |e: devices::virtio::balloon::BalloonError| VmFault::BalloonUpdate(chain(&e));
    match operation {
        Operation::SetBalloonTarget(target) => balloon.set_target(pages(*target)),
        Operation::SetBalloonStatsInterval(seconds) => {
            let interval = Duration::from_secs((*seconds).into());
            balloon.set_stats_interval(interval).map_err(fault)?;
        }
        Operation::BalloonStats => {
            let statistics = balloon.statistics().map_err(fault)?;
            return Ok(VmResponse::BalloonStats(Box::new(balloon_stats(balloon, &statistics))));
        }
        Operation::StartBalloonHinting { acknowledge_on_stop } => {
            balloon.start_hinting(*acknowledge_on_stop).map_err(fault)?;
        }
        Operation::StopBalloonHinting => balloon.stop_hinting().map_err(fault)?,
        Operation::BalloonHinting => {
            let status = balloon.hinting().map_err(fault)?;
            return Ok(VmResponse::BalloonHinting(BalloonHintingStatus {
                host_cmd: status.host_command,
                guest_cmd: status.guest_command,
            }));
        }
        other => return Err(internal(format!("{other:?} is no operation of the balloon"))),
    }
    DONE
}

fn balloon_stats(balloon: &Balloon, statistics: &Statistics) -> BalloonStats {
    /// Pages of 4 KiB in one MiB.
    const PAGES: u32 = 256;
    let status = balloon.status();
    BalloonStats {
        target_pages: status.target_pages,
        actual_pages: status.actual_pages,
        target_mib: status.target_pages / PAGES,
        actual_mib: status.actual_pages / PAGES,
        swap_in: statistics.swap_in,
        swap_out: statistics.swap_out,
        major_faults: statistics.major_faults,
        minor_faults: statistics.minor_faults,
        free_memory: statistics.free_memory,
        total_memory: statistics.total_memory,
        available_memory: statistics.available_memory,
        disk_caches: statistics.disk_caches,
        hugetlb_allocations: statistics.hugetlb_allocations,
        hugetlb_failures: statistics.hugetlb_failures,
        oom_kill: statistics.oom_kill,
        alloc_stall: statistics.alloc_stall,
        async_scan: statistics.async_scan,
        direct_scan: statistics.direct_scan,
        async_reclaim: statistics.async_reclaim,
        direct_reclaim: statistics.direct_reclaim,
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
