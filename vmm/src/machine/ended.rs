//! How a machine ended.

use std::fmt;

use vm_spec::MachineEnd;

use crate::vcpu::VcpuEnd;

/// The end of a machine, with what is known about it.
#[derive(Debug)]
pub struct Ended {
    /// What kind of end; it decides the exit status.
    pub end: MachineEnd,
    /// The vCPU that brought it about, where one did, and how.
    pub detail: Option<(u8, VcpuEnd)>,
}

impl Ended {
    /// An end without detail.
    pub(super) fn plain(end: MachineEnd) -> Self {
        Self { end, detail: None }
    }

    /// The end that `end` of vCPU `index` means.
    pub(super) fn by_vcpu(index: u8, end: VcpuEnd) -> Self {
        let kind = match &end {
            VcpuEnd::TripleFault { .. } => MachineEnd::TripleFault,
            VcpuEnd::FailedEntry { .. } => MachineEnd::FailedEntry,
            VcpuEnd::InternalError(_)
            | VcpuEnd::MemoryFault { .. }
            | VcpuEnd::SystemEvent { .. }
            | VcpuEnd::Unexpected { .. }
            | VcpuEnd::Run(_) => MachineEnd::InternalError,
        };
        Self { end: kind, detail: Some((index, end)) }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "The guest {}", self.end.describe())?;
        let Some((index, end)) = &self.detail else { return Ok(()) };
        write!(f, ": vCPU {index}: {end}")?;
        if let VcpuEnd::Run(source) = end {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vcpu::InternalError;

    #[test]
    fn an_internal_error_tells_vcpu_suberror_and_pointer() {
        let error = InternalError { suberror: 3, rip: 0x1000, instruction: vec![], data: vec![7] };
        let ended = Ended::by_vcpu(2, VcpuEnd::InternalError(error));
        assert_eq!(ended.end, MachineEnd::InternalError);
        assert_eq!(
            ended.to_string(),
            "The guest could not be run on by KVM (internal error): vCPU 2: KVM internal error: \
             a fault while an event was delivered (suberror 3) at 0x1000, data [7]"
        );
    }

    #[test]
    fn a_failed_entry_is_an_end_of_its_own() {
        let ended = Ended::by_vcpu(0, VcpuEnd::FailedEntry { reason: 1, cpu: 0, rip: 0 });
        assert_eq!(ended.end, MachineEnd::FailedEntry);
    }
}
