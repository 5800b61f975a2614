//! How a vCPU comes to an end by itself.

use std::fmt;
use std::io;

/// Why a vCPU stopped.
#[derive(Debug, thiserror::Error)]
pub enum VcpuEnd {
    /// A fault while a double fault was delivered: the processor shut down.
    #[error("triple fault at {rip:#x}")]
    TripleFault {
        /// Instruction pointer.
        rip: u64,
    },
    /// KVM could not go on.
    #[error("KVM internal error: {0}")]
    InternalError(InternalError),
    /// KVM refused the state that the guest was to be entered with.
    #[error("KVM failed to enter the guest at {rip:#x}: hardware reason {reason:#x} on CPU {cpu}")]
    FailedEntry {
        /// Reason that the hardware gave.
        reason: u64,
        /// Physical CPU.
        cpu: u32,
        /// Instruction pointer.
        rip: u64,
    },
    /// The guest touched memory that the host could not provide.
    #[error("the host has no memory for guest address {address:#x} ({size} bytes)")]
    MemoryFault {
        /// Guest physical address.
        address: u64,
        /// Bytes.
        size: u64,
    },
    /// KVM reports a system event.
    #[error("system event {kind} of KVM")]
    SystemEvent {
        /// `KVM_SYSTEM_EVENT_…`.
        kind: u32,
    },
    /// An exit that the monitor did not ask for.
    #[error("unexpected exit {reason} of KVM at {rip:#x}")]
    Unexpected {
        /// `KVM_EXIT_…`.
        reason: u32,
        /// Instruction pointer.
        rip: u64,
    },
    /// `KVM_RUN` failed.
    #[error("KVM failed to run the vCPU")]
    Run(#[source] io::Error),
}

/// What KVM says about an internal error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InternalError {
    /// `KVM_INTERNAL_ERROR_…`.
    pub suberror: u32,
    /// Instruction pointer.
    pub rip: u64,
    /// Bytes of the instruction, where KVM gives them.
    pub instruction: Vec<u8>,
    /// Further words, their meaning depends on the suberror.
    pub data: Vec<u64>,
}

impl InternalError {
    /// What the suberror means.
    pub const fn describe(&self) -> &'static str {
        match self.suberror {
            1 => "an instruction could not be emulated",
            2 => "unexpected simultaneous exceptions",
            3 => "a fault while an event was delivered",
            4 => "an exit that it does not know",
            _ => "suberror without a name",
        }
    }
}

impl fmt::Display for InternalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (suberror {}) at {:#x}", self.describe(), self.suberror, self.rip)?;
        if !self.instruction.is_empty() {
            write!(f, ", instruction bytes")?;
            self.instruction.iter().try_for_each(|byte| write!(f, " {byte:02x}"))?;
        }
        if !self.data.is_empty() {
            write!(f, ", data {:x?}", self.data)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_internal_error_tells_suberror_pointer_and_bytes() {
        let error = InternalError {
            suberror: 1,
            rip: 0x10_0000,
            instruction: vec![0x0f, 0xc7, 0x08],
            data: vec![],
        };
        assert_eq!(
            VcpuEnd::InternalError(error).to_string(),
            "KVM internal error: an instruction could not be emulated (suberror 1) at 0x100000, \
             instruction bytes 0f c7 08"
        );
    }
}
