//! Every operation of the API.

/// One method of one path.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) body: Body,
    pub(super) answer: Answer,
}

/// What a request has as its body.
pub(super) enum Body {
    None,
    Required(&'static str),
    Optional(&'static str),
    /// Any JSON.
    Any,
    /// Any JSON object.
    Object,
}

/// What an answer has as its body.
pub(super) enum Answer {
    None,
    Json(&'static str),
    /// Any JSON.
    Any,
    Metrics,
    Events,
    Upgrade,
}

const fn get(
    path: &'static str,
    id: &'static str,
    answer: Answer,
    summary: &'static str,
) -> Operation {
    Operation { method: "GET", path, id, summary, body: Body::None, answer }
}

const fn put(path: &'static str, id: &'static str, body: Body, summary: &'static str) -> Operation {
    Operation { method: "PUT", path, id, summary, body, answer: Answer::None }
}

const fn patch(
    path: &'static str,
    id: &'static str,
    body: Body,
    summary: &'static str,
) -> Operation {
    Operation { method: "PATCH", path, id, summary, body, answer: Answer::None }
}

const fn delete(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation { method: "DELETE", path, id, summary, body: Body::None, answer: Answer::None }
}

use Body::{Any, Object, Optional, Required};

/// All of them, Firecracker's under Firecracker's ids.
pub(super) const OPERATIONS: &[Operation] = &[
    get(
        "/",
        "describeInstance",
        Answer::Json("InstanceInfo"),
        "Who the machine is and what it does.",
    ),
    get("/version", "getFirecrackerVersion", Answer::Json("VmmVersion"), "The monitor's version."),
    get(
        "/vm/config",
        "getExportVmConfig",
        Answer::Json("FullVmConfiguration"),
        "The whole configuration.",
    ),
    patch("/vm", "patchVm", Required("Vm"), "Pauses or resumes the guest. While it runs."),
    put(
        "/actions",
        "createSyncAction",
        Required("Action"),
        "Starts the guest, presses keys or writes metrics.",
    ),
    put(
        "/boot-source",
        "putGuestBootSource",
        Required("BootSource"),
        "Sets what the guest starts with. Before the start.",
    ),
    get(
        "/machine-config",
        "getMachineConfiguration",
        Answer::Json("MachineConfiguration"),
        "Processors and memory.",
    ),
    put(
        "/machine-config",
        "putMachineConfiguration",
        Required("MachineConfiguration"),
        "Sets processors and memory. Before the start.",
    ),
    patch(
        "/machine-config",
        "patchMachineConfiguration",
        Required("MachineConfigurationUpdate"),
        "Changes processors and memory. Before the start.",
    ),
    put(
        "/cpu-config",
        "putCpuConfiguration",
        Required("CpuConfig"),
        "Changes what the guest is told about its processors. Before the start.",
    ),
    put(
        "/drives/{drive_id}",
        "putGuestDriveByID",
        Required("Drive"),
        "Adds or replaces a disk. Before the start.",
    ),
    patch(
        "/drives/{drive_id}",
        "patchGuestDriveByID",
        Required("PartialDrive"),
        "Changes a disk. While the guest runs.",
    ),
    delete("/drives/{drive_id}", "deleteGuestDriveByID", "Unplugs a disk. Not available yet."),
    put(
        "/network-interfaces/{iface_id}",
        "putGuestNetworkInterfaceByID",
        Required("NetworkInterface"),
        "Adds or replaces a network interface. Before the start.",
    ),
    patch(
        "/network-interfaces/{iface_id}",
        "patchGuestNetworkInterfaceByID",
        Required("PartialNetworkInterface"),
        "Changes a network interface. While the guest runs.",
    ),
    delete(
        "/network-interfaces/{iface_id}",
        "deleteGuestNetworkInterfaceByID",
        "Unplugs a network interface. Not available yet.",
    ),
    put(
        "/pmem/{id}",
        "putGuestPmemByID",
        Required("Pmem"),
        "Adds persistent memory. Not available yet.",
    ),
    patch(
        "/pmem/{id}",
        "patchGuestPmemByID",
        Required("PartialPmem"),
        "Changes persistent memory. Not available yet.",
    ),
    delete("/pmem/{id}", "deleteGuestPmemByID", "Unplugs persistent memory. Not available yet."),
    put(
        "/vsock",
        "putGuestVsock",
        Required("Vsock"),
        "Adds or replaces the vsock device. Before the start.",
    ),
    put(
        "/entropy",
        "putEntropyDevice",
        Required("EntropyDevice"),
        "Adds a source of random numbers. Before the start.",
    ),
    put(
        "/serial",
        "putSerialDevice",
        Required("SerialDevice"),
        "Sets where the serial port's output goes. Before the start.",
    ),
    get(
        "/balloon",
        "describeBalloonConfig",
        Answer::Json("Balloon"),
        "The balloon's configuration.",
    ),
    put(
        "/balloon",
        "putBalloon",
        Required("Balloon"),
        "Adds or replaces the balloon. Before the start.",
    ),
    patch(
        "/balloon",
        "patchBalloon",
        Required("BalloonUpdate"),
        "Changes the balloon's target. While the guest runs.",
    ),
    get(
        "/balloon/statistics",
        "describeBalloonStats",
        Answer::Json("BalloonStats"),
        "What the guest last said about its memory.",
    ),
    patch(
        "/balloon/statistics",
        "patchBalloonStatsInterval",
        Required("BalloonStatsUpdate"),
        "Changes how often the guest is asked. While it runs.",
    ),
    patch(
        "/balloon/hinting/start",
        "startBalloonHinting",
        Optional("BalloonStartCmd"),
        "Starts a run of free-page hinting. While the guest runs.",
    ),
    get(
        "/balloon/hinting/status",
        "describeBalloonHinting",
        Answer::Json("BalloonHintingStatus"),
        "Where the run is.",
    ),
    patch("/balloon/hinting/stop", "stopBalloonHinting", Body::None, "Ends the run."),
    get(
        "/hotplug/memory",
        "getMemoryHotplug",
        Answer::Json("MemoryHotplugStatus"),
        "How much memory is plugged in. Not available yet.",
    ),
    put(
        "/hotplug/memory",
        "putMemoryHotplug",
        Required("MemoryHotplugConfig"),
        "Sets up memory to plug in. Not available yet.",
    ),
    patch(
        "/hotplug/memory",
        "patchMemoryHotplug",
        Required("MemoryHotplugSizeUpdate"),
        "Plugs memory in or out. Not available yet.",
    ),
    put(
        "/logger",
        "putLogger",
        Required("Logger"),
        "Sets where and how the monitor logs. Before the start.",
    ),
    put(
        "/metrics",
        "putMetrics",
        Required("Metrics"),
        "Sets where the monitor writes its metrics. Once, before the start.",
    ),
    put(
        "/mmds/config",
        "putMmdsConfig",
        Required("MmdsConfig"),
        "Sets up the metadata service. Before the start.",
    ),
    get("/mmds", "getMmds", Answer::Any, "All metadata."),
    put("/mmds", "putMmds", Any, "Replaces all metadata."),
    patch("/mmds", "patchMmds", Any, "Changes metadata by a merge patch (RFC 7396)."),
    put(
        "/snapshot/create",
        "createSnapshot",
        Required("SnapshotCreateParams"),
        "Writes a snapshot. Not available yet.",
    ),
    put(
        "/snapshot/load",
        "loadSnapshot",
        Required("SnapshotLoadParams"),
        "Loads a snapshot. Not available yet.",
    ),
    get("/bulkhead/spec", "getSpec", Answer::Any, "The machine as one document."),
    put(
        "/bulkhead/spec",
        "putSpec",
        Object,
        "Configures the machine as one document. Before the start.",
    ),
    put(
        "/bulkhead/actions",
        "createBulkheadAction",
        Required("BulkheadAction"),
        "Presses the power button or ends the machine.",
    ),
    patch(
        "/bulkhead/link/{iface_id}",
        "setNetworkLink",
        Required("NetworkLink"),
        "Plugs the cable of a network interface in, or pulls it. While the guest runs.",
    ),
    get("/bulkhead/metrics", "getMetrics", Answer::Metrics, "All metrics."),
    get(
        "/bulkhead/events",
        "followEvents",
        Answer::Events,
        "What happens to the machine, after the event named by Last-Event-ID or from now on.",
    ),
    get(
        "/bulkhead/console",
        "attachConsole",
        Answer::Upgrade,
        "The first console, after an upgrade to tcp.",
    ),
    get(
        "/bulkhead/console/{device_id}",
        "attachConsoleOf",
        Answer::Upgrade,
        "The console of a device, after an upgrade to tcp.",
    ),
];
