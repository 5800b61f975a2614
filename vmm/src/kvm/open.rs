//! Opening `/dev/kvm`.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use vm_spec::CapabilityModifier;

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
    /// KVM lacks something that the monitor or the machine needs.
    #[error("KVM on this host lacks {}", .missing.join(", "))]
    Capability {
        /// Names of all that is missing, or numbers of what the monitor does not know.
        missing: Vec<String>,
    },
}

/// Numbers of the capabilities to look for: those of every machine, changed by `modifiers`.
fn demanded(modifiers: &[CapabilityModifier]) -> Vec<u32> {
    let mut demanded: Vec<_> = Capability::REQUIRED.into_iter().map(Capability::number).collect();
    for modifier in modifiers {
        match *modifier {
            CapabilityModifier::Require(number) => demanded.push(number),
            CapabilityModifier::Ignore(number) => demanded.retain(|known| *known != number),
        }
    }
    demanded
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
    /// Opens [`KVM_DEVICE`], which must have the capabilities that every machine needs.
    ///
    /// # Errors
    /// See [`OpenKvmError`].
    pub fn open() -> Result<Self, OpenKvmError> {
        Self::open_with(&[])
    }

    /// Opens [`KVM_DEVICE`] for a machine that needs more of it, or less.
    ///
    /// # Errors
    /// See [`OpenKvmError`].
    pub fn open_with(modifiers: &[CapabilityModifier]) -> Result<Self, OpenKvmError> {
        Self::open_path(Path::new(KVM_DEVICE), modifiers)
    }

    /// Opens KVM's device node at `path`.
    ///
    /// # Errors
    /// See [`OpenKvmError`].
    pub fn open_path(path: &Path, modifiers: &[CapabilityModifier]) -> Result<Self, OpenKvmError> {
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
        Self::from_fd(fd, modifiers)
    }

    /// Takes an open descriptor of KVM's device node.
    ///
    /// # Errors
    /// When it is not one, or this KVM lacks a capability that is needed.
    pub fn from_fd(fd: OwnedFd, modifiers: &[CapabilityModifier]) -> Result<Self, OpenKvmError> {
        // SAFETY: the descriptor is open and owned, and ownership moves into the wrapper.
        let fd = unsafe { kvm_ioctls::Kvm::from_raw_fd(fd.into_raw_fd()) };
        let found = fd.get_api_version();
        if found != API_VERSION {
            return Err(OpenKvmError::ApiVersion { found });
        }
        let lacks = |number: &u32| fd.check_extension_raw((*number).into()) <= 0;
        let missing: Vec<_> =
            demanded(modifiers).into_iter().filter(lacks).map(Capability::name_of).collect();
        if missing.is_empty() { Ok(Self { fd }) } else { Err(OpenKvmError::Capability { missing }) }
    }

    /// Whether this KVM has `capability`.
    pub fn has(&self, capability: Capability) -> bool {
        self.fd.check_extension_raw(capability.number().into()) > 0
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
        let error = Kvm::open_path(Path::new("/nonexistent/kvm"), &[]).unwrap_err();
        assert!(matches!(error, OpenKvmError::Missing { .. }));
        assert!(error.to_string().starts_with("/nonexistent/kvm does not exist"), "{error}");
    }

    #[test]
    fn a_file_that_is_not_kvm_is_refused_by_its_api_version() {
        let error = Kvm::open_path(Path::new("/dev/null"), &[]).unwrap_err();
        assert!(matches!(error, OpenKvmError::ApiVersion { found: -1 }), "{error:?}");
    }

    #[test]
    fn a_folder_is_an_open_error_that_names_it() {
        let error = Kvm::open_path(Path::new("/"), &[]).unwrap_err();
        assert_eq!(error.to_string(), "Failed to open /");
    }

    #[test]
    fn capabilities_are_demanded_and_ignored_by_number() {
        let irqfd = Capability::Irqfd.number();
        let demanded =
            demanded(&[CapabilityModifier::Ignore(irqfd), CapabilityModifier::Require(9999)]);
        assert!(!demanded.contains(&irqfd));
        assert!(demanded.contains(&9999) && demanded.contains(&Capability::Ioeventfd.number()));
    }
}
