//! Processors.

mod bit_pattern;
mod template;

use serde::{Deserialize, Serialize};

pub use bit_pattern::{BitPattern, BitPatternError, RegisterWidth};
pub use template::{
    CapabilityModifier, CpuTemplate, CpuidModifier, CpuidRegister, CpuidRegisterModifier,
    MsrModifier,
};

/// The most virtual processors that a machine can have.
pub const MAX_VCPUS: u8 = 254;

/// The guest's processors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuSpec {
    /// Virtual processors, 1 to 254. Default: 1.
    #[serde(default = "one")]
    pub count: u8,
    /// Threads of a core, 1 or 2, as the guest sees it. `count` is a multiple of it, or 1.
    /// Default: 1.
    #[serde(default = "one")]
    pub threads_per_core: u8,
    /// Changes to what the guest is told about them. Default: none.
    #[serde(default, skip_serializing_if = "CpuTemplate::is_empty")]
    pub template: CpuTemplate,
}

impl Default for CpuSpec {
    fn default() -> Self {
        Self { count: one(), threads_per_core: one(), template: CpuTemplate::default() }
    }
}

fn one() -> u8 {
    1
}
