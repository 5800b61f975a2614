//! Why a machine refuses a request.

use thiserror::Error;

/// A request that was understood and refused. The text is the `fault_message` of the answer; where
/// Firecracker has a text for the case, it is that text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VmFault {
    /// The guest does not run yet.
    #[error("The requested operation is not supported before starting the microVM.")]
    BeforeStart,
    /// The guest was started already.
    #[error("The requested operation is not supported after starting the microVM.")]
    AfterStart,
    /// It comes with a later version.
    #[error("The requested operation is not supported: {0} is not available yet.")]
    NotAvailable(&'static str),
    /// `PUT /boot-source`.
    #[error("Boot source error: {0}")]
    BootSource(String),
    /// `PUT /drives`, `PATCH /drives`.
    #[error("Drive config error: {0}")]
    Drive(String),
    /// `PUT /network-interfaces`, `PATCH /network-interfaces`.
    #[error("Network config error: {0}")]
    Network(String),
    /// `PUT /machine-config`, `PATCH /machine-config`.
    #[error("Machine config error: {0}")]
    MachineConfig(String),
    /// `PUT /balloon`; `GET /balloon` before the start.
    #[error("Balloon config error: {0}")]
    BalloonConfig(String),
    /// `PATCH /balloon` and below.
    #[error("Balloon update error: {0}")]
    BalloonUpdate(String),
    /// `PUT /vsock`.
    #[error("Vsock config error: {0}")]
    Vsock(String),
    /// `PUT /entropy`.
    #[error("Entropy config error: {0}")]
    Entropy(String),
    /// `PUT /logger`.
    #[error("Logger error: {0}")]
    Logger(String),
    /// `PUT /metrics`.
    #[error("Metrics error: {0}")]
    Metrics(String),
    /// `PUT /mmds/config`.
    #[error("MMDS config error: {0}")]
    MmdsConfig(String),
    /// `PUT /mmds`, `PATCH /mmds`.
    #[error("MMDS error: {0}")]
    Mmds(String),
    /// The metadata would grow too large.
    #[error("MMDS limit exceeded error: The MMDS patch request doesn't fit.")]
    MmdsTooLarge,
    /// `PUT /actions` with `InstanceStart`.
    #[error("Start microvm error: {0}")]
    Start(String),
    /// `PUT /bulkhead/spec`.
    #[error("Spec error: {0}")]
    Spec(String),
    /// Anything that went wrong while carrying it out.
    #[error("Internal VMM error: {0}")]
    Internal(String),
    /// The monitor is ending.
    #[error("The microVM is ending.")]
    Ending,
}

/// The status of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultStatus {
    /// 400
    BadRequest,
    /// 413
    PayloadTooLarge,
}

impl VmFault {
    /// The status of the answer.
    pub fn status(&self) -> FaultStatus {
        match self {
            Self::MmdsTooLarge => FaultStatus::PayloadTooLarge,
            _ => FaultStatus::BadRequest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_much_metadata_is_413_and_the_rest_400() {
        assert_eq!(VmFault::MmdsTooLarge.status(), FaultStatus::PayloadTooLarge);
        assert_eq!(VmFault::BeforeStart.status(), FaultStatus::BadRequest);
    }
}
