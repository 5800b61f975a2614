//! Opening `/dev/kvm`.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::capabilities::{Capabilities, Capability};

/// The device node of KVM.
pub const KVM_DEVICE: &str = "/dev/kvm";

/// The only API version that KVM ever had since it became stable.
const API_VERSION: i32 = 12;

/// Why KVM cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenKvmError {
    /// No device node: the module is not loaded, or virtualization is off or absent.
    #[error(
        "{path} does not exist: load the kvm_intel or kvm_amd module, or enable virtualization \
         in the firmware (or nested virtualization in the outer hypervisor)"
    )]
    Missing {
        /// The path tried.
        path: PathBuf,
    },
    /// The user may not open it.
    #[error("No permission to open {path}: add the user to the group that owns it")]
    Permission {
        /// The path tried.
        path: PathBuf,
    },
    /// Opening failed in another way.
    #[error("Failed to open {path}")]
    Open {
        /// The path tried.
        path: PathBuf,
        /// The host's reason.
        #[source]
        source: io::Error,
    },
    /// The descriptor is not KVM, or of an API before 12.
    #[error("KVM API version is {found}, need 12 (is this the KVM device?)")]
    ApiVersion {
        /// What the ioctl answered.
        found: i32,
    },
    /// KVM lacks something that the monitor needs.
    #[error("KVM on this host lacks {}", list(.missing))]
    Capability {
        /// All that is missing.
        missing: Vec<Capability>,
    },
}

fn list(missing: &[Capability]) -> String {
    missing.iter().map(|capability| capability.name()).collect::<Vec<_>>().join(", ")
}

/// An opened and checked KVM.
pub struct Kvm {
    fd: kvm_ioctls::Kvm,
}

impl std::fmt::Debug for Kvm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kvm").finish_non_exhaustive()
    }
}

impl Kvm {
    /// Opens [`KVM_DEVICE`].
    ///
    /// # Errors
    /// See [`OpenKvmError`].
    pub fn open() -> Result<Self, OpenKvmError> {
        Self::open_path(Path::new(KVM_DEVICE))
    }

    /// Opens KVM's device node at `path`.
    ///
    /// # Errors
    /// See [`OpenKvmError`].
    pub fn open_path(path: &Path) -> Result<Self, OpenKvmError> {
        use rustix::fs::{Mode, OFlags};
        let fd = rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).map_err(
            |error| {
                let path = path.to_owned();
                match io::Error::from(error) {
                    e if e.kind() == io::ErrorKind::NotFound => OpenKvmError::Missing { path },
                    e if e.kind() == io::ErrorKind::PermissionDenied => {
                        OpenKvmError::Permission { path }
                    }
                    source => OpenKvmError::Open { path, source },
                }
            },
        )?;
        Self::from_fd(fd)
    }

    /// Takes an open descriptor of KVM's device node.
    ///
    /// # Errors
    /// When it is not one, or this KVM lacks a capability the monitor needs.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, OpenKvmError> {
        // SAFETY: the descriptor is open and owned, and ownership moves into the wrapper.
        let fd = unsafe { kvm_ioctls::Kvm::from_raw_fd(fd.into_raw_fd()) };
        let found = fd.get_api_version();
        if found != API_VERSION {
            return Err(OpenKvmError::ApiVersion { found });
        }
        let kvm = Self { fd };
        let missing: Vec<_> = Capability::REQUIRED.into_iter().filter(|c| !kvm.has(*c)).collect();
        if missing.is_empty() { Ok(kvm) } else { Err(OpenKvmError::Capability { missing }) }
    }

    /// Whether this KVM has `capability`.
    pub fn has(&self, capability: Capability) -> bool {
        self.fd.check_extension_raw(capability.number()) > 0
    }

    /// All that this KVM says about itself.
    pub fn capabilities(&self) -> Capabilities {
        Capabilities::probe(&self.fd)
    }

    /// The raw descriptor.
    pub(crate) fn ioctls(&self) -> &kvm_ioctls::Kvm {
        &self.fd
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_device_is_named_with_what_to_do() {
        let error = Kvm::open_path(Path::new("/nonexistent/kvm")).unwrap_err();
        assert!(matches!(error, OpenKvmError::Missing { .. }));
        assert!(error.to_string().starts_with("/nonexistent/kvm does not exist"), "{error}");
    }

    #[test]
    fn a_file_that_is_not_kvm_is_refused_by_its_api_version() {
        let error = Kvm::open_path(Path::new("/dev/null")).unwrap_err();
        assert!(matches!(error, OpenKvmError::ApiVersion { found: -1 }), "{error:?}");
    }

    #[test]
    fn a_folder_is_an_open_error_that_names_it() {
        let error = Kvm::open_path(Path::new("/")).unwrap_err();
        assert_eq!(error.to_string(), "Failed to open /");
    }
}
