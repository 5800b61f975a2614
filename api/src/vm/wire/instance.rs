//! `/`, `/version`, `/actions` and `/vm`.

use serde::{Deserialize, Serialize};

use super::object::only_objects;

/// What a monitor says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self")]
pub struct InstanceInfo {
    /// The machine's id.
    pub id: String,
    /// What it does.
    pub state: InstanceState,
    /// The monitor's version.
    pub vmm_version: String,
    /// The monitor's name.
    pub app_name: String,
}

/// What a machine does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub enum InstanceState {
    /// It waits for its configuration.
    #[default]
    #[serde(rename = "Not started")]
    NotStarted,
    /// It runs.
    Running,
    /// It is paused.
    Paused,
}

/// The monitor's version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self")]
pub struct VmmVersion {
    /// Its version, under the name that clients look for.
    pub firecracker_version: String,
}

/// Something to do at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Action {
    /// What to do.
    pub action_type: ActionType,
}

/// What can be done at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub enum ActionType {
    /// Write the metrics now.
    FlushMetrics,
    /// Start the guest.
    InstanceStart,
    /// Press these keys.
    SendCtrlAltDel,
}

/// Something to do at once, beyond Firecracker's actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct BulkheadAction {
    /// What to do.
    pub action_type: BulkheadActionType,
}

/// What can be done at once, beyond Firecracker's actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub enum BulkheadActionType {
    /// Press the ACPI power button.
    PowerButton,
    /// End the machine without asking the guest.
    Stop,
}

/// A change to what a machine does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Vm {
    /// What it shall do.
    pub state: VmState,
}

/// What a machine shall do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub enum VmState {
    /// Stand still.
    Paused,
    /// Go on.
    Resumed,
}

only_objects!(InstanceInfo, VmmVersion, Action, BulkheadAction, Vm);
