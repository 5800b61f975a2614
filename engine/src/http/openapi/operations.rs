//! Every operation of the engine's own paths.

/// One method of one path.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    /// Name, type and description of what may follow `?`.
    pub(super) query: &'static [(&'static str, &'static str, &'static str)],
    pub(super) body: Option<&'static str>,
    pub(super) answer: Answer,
}

/// What an answer has as its body.
pub(super) enum Answer {
    None,
    Made(&'static str),
    Json(&'static str),
    List(&'static str),
    /// Any JSON.
    Any,
    Text,
}

const fn get(
    path: &'static str,
    id: &'static str,
    answer: Answer,
    summary: &'static str,
) -> Operation {
    Operation { method: "GET", path, id, summary, query: &[], body: None, answer }
}

const fn act(
    method: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
) -> Operation {
    Operation { method, path, id, summary, query: &[], body: None, answer: Answer::None }
}

const fn make(
    path: &'static str,
    id: &'static str,
    body: &'static str,
    summary: &'static str,
) -> Operation {
    let (body, answer) = (Some(body), Answer::Made("Made"));
    Operation { method: "POST", path, id, summary, query: &[], body, answer }
}

impl Operation {
    const fn with(self, query: &'static [(&'static str, &'static str, &'static str)]) -> Self {
        Self { query, ..self }
    }
}

use Answer::{Any, Json, List, Text};

pub(super) const OPERATIONS: &[Operation] = &[
    get("/pods", "listPods", List("Pod"), "All pods."),
    make(
        "/pods",
        "createPod",
        "PodCreate",
        "Makes a pod, which does not run yet. Containers are made in it by Docker's \
         /containers/create?pod=ID, before it starts.",
    ),
    get("/pods/{id}", "inspectPod", Json("Pod"), "A pod with its containers."),
    act("DELETE", "/pods/{id}", "removePod", "Removes a pod and its containers.").with(&[(
        "force",
        "boolean",
        "Also if it runs.",
    )]),
    act("POST", "/pods/{id}/start", "startPod", "Starts its machine and all its containers."),
    act("POST", "/pods/{id}/stop", "stopPod", "Stops its containers and ends its machine.").with(
        &[("t", "integer", "Seconds until a container is killed. Default: each container's own.")],
    ),
    act("POST", "/pods/{id}/restart", "restartPod", "Stops it, if it runs, and starts it.").with(
        &[("t", "integer", "Seconds until a container is killed. Default: each container's own.")],
    ),
    act("POST", "/pods/{id}/pause", "pausePod", "Freezes its containers that run."),
    act("POST", "/pods/{id}/unpause", "unpausePod", "Lets its containers go on."),
    act(
        "POST",
        "/pods/{id}/kill",
        "killPod",
        "Sends a signal to its containers. SIGKILL also ends its machine.",
    )
    .with(&[("signal", "string", "Name or number. Default: SIGKILL.")]),
    get(
        "/vms",
        "listVms",
        List("Vm"),
        "All machines: plain ones, running or not, and those that run for containers.",
    ),
    make("/vms", "createVm", "VmCreate", "Makes a plain machine, which does not run yet."),
    get("/vms/openapi.json", "getOpenApi", Any, "This document."),
    get("/vms/{id}", "inspectVm", Json("Vm"), "A machine."),
    act("DELETE", "/vms/{id}", "removeVm", "Removes a plain machine. Its disks stay.").with(&[(
        "force",
        "boolean",
        "Also if it runs.",
    )]),
    act(
        "POST",
        "/vms/{id}/start",
        "startVm",
        "Starts a plain machine; answered when its monitor serves.",
    ),
    act(
        "POST",
        "/vms/{id}/stop",
        "stopVm",
        "Presses its power button, or stops the container in it, and ends it when that takes long.",
    )
    .with(&[("t", "integer", "Seconds until it is ended. Default: 10.")]),
    act("POST", "/vms/{id}/kill", "killVm", "Ends it at once, whatever is in it."),
    act(
        "POST",
        "/vms/{id}/pause",
        "pauseVm",
        "Has its processors stand still. What talks to a container in it waits meanwhile.",
    ),
    act("POST", "/vms/{id}/resume", "resumeVm", "Lets its processors go on."),
    get("/vms/{id}/spec", "getVmSpec", Any, "The document that its monitor made it of."),
    get(
        "/vms/{id}/metrics",
        "getVmMetrics",
        Text,
        "Its monitor's metrics, as Prometheus reads them.",
    ),
    get("/vms/{id}/events", "getVmEvents", Any, "What its monitor recorded since its last start."),
    get("/vms/{id}/log", "getVmLog", Text, "What its monitor has logged since its last start."),
    get(
        "/vms/{id}/console",
        "getVmConsole",
        Text,
        "What its console has said since its last start.",
    ),
];
