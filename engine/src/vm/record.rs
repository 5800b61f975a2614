//! What is written down of a plain machine.

use serde::{Deserialize, Serialize};

use super::document::{VmCreate, VmEnd, VmState};
use crate::store;

/// A plain machine as the store keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmRecord {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Nanoseconds since 1970.
    pub created_ns: u64,
    /// What was asked for.
    pub request: VmCreate,
    /// How it is. `Running` is written before its monitor starts; whether it is paused is the
    /// monitor's to know.
    pub state: VmState,
    /// Nanoseconds since 1970; 0 for never.
    pub started_ns: u64,
    /// How it ended last.
    pub end: Option<VmEnd>,
}

impl store::Record for VmRecord {
    const TABLE: &'static str = "vms";
    const VERSION: u32 = 1;
}
