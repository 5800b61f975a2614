//! What `bulkhead-vmm --probe` prints: what this host's KVM is and does.

use serde::{Deserialize, Serialize};

/// Whether KVM can be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kvm", rename_all = "kebab-case")]
pub enum Probe {
    /// There is no device node.
    Missing,
    /// This user may not open it.
    Denied,
    /// It lacks what every machine needs.
    Lacking {
        /// KVM's names of the capabilities.
        capabilities: Vec<String>,
    },
    /// It cannot be opened for another reason, or is not KVM.
    Failed {
        /// The reason.
        message: String,
    },
    /// It can.
    Usable(Box<Usable>),
}

/// What KVM says about itself, and what was seen of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usable {
    /// Version of its API, 12.
    pub api_version: i32,
    /// The most vCPUs of a machine that KVM recommends.
    pub recommended_vcpus: usize,
    /// The most that it allows.
    pub max_vcpus: usize,
    /// The most regions of memory of a machine.
    pub memory_slots: usize,
    /// Capabilities that are there, by KVM's names.
    pub present: Vec<String>,
    /// Those without which something is slower or missing.
    pub absent: Vec<String>,
    /// A guest of a few instructions in 64-bit mode that writes to a port.
    pub tiny_guest: Trial,
    /// One that executes what every ordinary kernel does, and no KVM that only emulates.
    pub kernel_guest: Trial,
    /// The mean time of the tiny guest's exits to the monitor, in nanoseconds.
    pub exit_ns: Option<u64>,
}

/// How a guest fared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Whether it came to its own end.
    pub works: bool,
    /// How it ended.
    pub message: String,
}
