//! What the monitor has to do.

use std::path::PathBuf;

use serde_json::Value;
use vm_spec::{ComponentId, Machine, Mib, RateLimiter};

use super::super::VmResponse;
use super::super::wire::InstanceState;

/// What follows from a request that is allowed.
#[derive(Debug)]
pub enum Step {
    /// The answer.
    Reply(VmResponse),
    /// The monitor does this, answers with what comes of it, and commits what has changed if it
    /// succeeded.
    Operate(Operation, Pending),
}

/// Something that only the monitor can do.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Build this machine and start it.
    Start(Box<Machine>),
    /// Stop all processors and queues.
    Pause,
    /// Let them go on.
    Resume,
    /// Press these keys.
    CtrlAltDel,
    /// Press the ACPI power button.
    PowerButton,
    /// End the machine.
    Stop,
    /// Write the metrics now.
    FlushMetrics,
    /// Change a disk.
    UpdateDisk {
        /// The disk.
        device: ComponentId,
        /// The file to open instead, or the same one to have its size read anew.
        path: Option<PathBuf>,
        /// New limits. A bucket that is missing stays as it is; one that limits nothing
        /// ([`vm_spec::TokenBucket::is_unlimited`]) takes the limit away.
        rate_limiter: Option<RateLimiter>,
    },
    /// Change a network device. Limits are as for a disk.
    UpdateNet {
        /// The device.
        device: ComponentId,
        /// New limits on what the guest receives.
        rx_rate_limiter: Option<RateLimiter>,
        /// New limits on what the guest sends.
        tx_rate_limiter: Option<RateLimiter>,
    },
    /// Plug the cable of a network device in, or pull it.
    SetLink {
        /// The device.
        device: ComponentId,
        /// Whether it is in.
        up: bool,
    },
    /// Ask the guest to give back that much.
    SetBalloonTarget(Mib),
    /// Ask the guest for statistics every so many seconds.
    SetBalloonStatsInterval(u16),
    /// Say what the guest last said about its memory.
    BalloonStats,
    /// Start a run of free-page hinting.
    StartBalloonHinting {
        /// Whether its end is acknowledged at once.
        acknowledge_on_stop: bool,
    },
    /// Say where the run is.
    BalloonHinting,
    /// Stop the run.
    StopBalloonHinting,
    /// Give all metadata.
    GetMmds,
    /// Replace all metadata.
    PutMmds(Value),
    /// Change metadata by a merge patch.
    PatchMmds(Value),
    /// Collect all metrics.
    Metrics,
    /// Give the client an end of the console.
    AttachConsole(Option<ComponentId>),
}

/// What an operation changes once it has succeeded. Lost if it fails.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Pending(pub(super) Box<Change>);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    None,
    State(InstanceState),
    Device(DeviceChange),
}

/// A change to the configuration of a device that runs.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum DeviceChange {
    Disk {
        /// As in the request.
        id: String,
        path: Option<PathBuf>,
        rate_limiter: Option<RateLimiter>,
    },
    Net {
        /// As in the request.
        id: String,
        rx: Option<RateLimiter>,
        tx: Option<RateLimiter>,
    },
    BalloonTarget(Mib),
    BalloonStatsInterval(u16),
}

impl Step {
    pub(super) fn operate(operation: Operation, change: Change) -> Self {
        Self::Operate(operation, Pending(Box::new(change)))
    }
}

/// `new` over `old`, bucket by bucket.
pub(super) fn changed_limiter(old: RateLimiter, new: Option<RateLimiter>) -> RateLimiter {
    let Some(new) = new else { return old };
    let bucket = |old, new: Option<vm_spec::TokenBucket>| match new {
        None => old,
        Some(bucket) if bucket.is_unlimited() => None,
        Some(bucket) => Some(bucket),
    };
    RateLimiter { bandwidth: bucket(old.bandwidth, new.bandwidth), ops: bucket(old.ops, new.ops) }
}
