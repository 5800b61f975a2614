//! What the machines boot: a kernel, and an initial RAM disk with the agent.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use vm_spec::BootSpec;

/// Kernels by preference: ours boots faster than Debian's.
const KERNELS: [&str; 2] = ["bulkhead-", "debian-"];

/// Where packages put them.
const INSTALLED: &str = "/usr/lib/bulkhead/images";

/// What is given in place of the images that are found.
#[derive(Clone, Debug, Default)]
pub struct GuestOverrides {
    /// The kernel.
    pub kernel: Option<PathBuf>,
    /// The initial RAM disk; it has the agent.
    pub initrd: Option<PathBuf>,
    /// Added to the kernel's command line.
    pub kernel_args: Option<String>,
    /// Its kernel looks for devices through PCI's configuration ports.
    pub config_ports: bool,
    /// Its memory is of small pages.
    pub small_pages: bool,
}

/// What the machines boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    kernel: PathBuf,
    initrd: PathBuf,
    cmdline: String,
}

/// No guest to boot.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// A file that was given is not there.
    #[error("Failed to find {}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is no kernel with its initial RAM disk.
    #[error(
        "no kernel and initial RAM disk for machines in {}; make them with: \
         guest-images/build bulkhead-6.12 initramfs-bulkhead-6.12, or give --kernel and --initrd",
        sought.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    NoImages {
        /// The folders that could have them.
        sought: Vec<PathBuf>,
    },
}

impl Guest {
    /// The guest that is given, or else found.
    pub fn find(overrides: &GuestOverrides) -> Result<Self, GuestError> {
        Self::find_in(&folders(), overrides)
    }

    fn find_in(folders: &[PathBuf], overrides: &GuestOverrides) -> Result<Self, GuestError> {
        let (kernel, initrd) = match (&overrides.kernel, &overrides.initrd) {
            (Some(kernel), Some(initrd)) => (existing(kernel)?, existing(initrd)?),
            (kernel, initrd) => {
                let found = folders.iter().find_map(|folder| newest(folder));
                let found =
                    found.ok_or_else(|| GuestError::NoImages { sought: folders.to_vec() })?;
                let given = |path: &Option<PathBuf>, found: PathBuf| match path {
                    Some(path) => existing(path),
                    None => Ok(found),
                };
                (given(kernel, found.0)?, given(initrd, found.1)?)
            }
        };
        let mut cmdline = format!("console=ttyS0 quiet {}", launch::QUIET_PROBING);
        if let Some(arguments) = &overrides.kernel_args {
            cmdline.push(' ');
            cmdline.push_str(arguments);
        }
        Ok(Self { kernel, initrd, cmdline })
    }

    pub(super) fn boot(&self) -> BootSpec {
        BootSpec {
            kernel: self.kernel.clone(),
            initrd: Some(self.initrd.clone()),
            cmdline: self.cmdline.clone(),
        }
    }

    /// The kernel's file.
    #[must_use]
    pub fn kernel(&self) -> &Path {
        &self.kernel
    }
}

fn existing(path: &Path) -> Result<PathBuf, GuestError> {
    // The monitor may run elsewhere.
    path.canonicalize().map_err(|source| GuestError::Missing { path: path.to_owned(), source })
}

/// Where images may be, the user's own first.
fn folders() -> Vec<PathBuf> {
    let set = |name| env::var_os(name).filter(|v: &OsString| !v.is_empty()).map(PathBuf::from);
    let cache =
        set("BULKHEAD_CACHE").or_else(|| set("HOME").map(|home| home.join(".cache/bulkhead")));
    let beside = env::current_exe().ok();
    let beside = beside.as_deref().and_then(Path::parent).and_then(Path::parent);
    let beside = beside.map(|prefix| prefix.join("lib/bulkhead/images"));
    let mut folders: Vec<_> =
        cache.map(|cache| cache.join("images")).into_iter().chain(beside).collect();
    folders.push(INSTALLED.into());
    folders.dedup();
    folders
}

/// The most wanted kernel of this folder that has an initial RAM disk, and that.
fn newest(folder: &Path) -> Option<(PathBuf, PathBuf)> {
    let names =
        fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let names: Vec<String> = names.collect();
    KERNELS.iter().find_map(|prefix| {
        let mut found: Vec<(Vec<u32>, PathBuf, PathBuf)> = names
            .iter()
            .filter_map(|name| {
                let version = name.strip_prefix(prefix)?;
                let kernel = folder.join(name).join("vmlinux");
                let initrd = folder.join(format!("initramfs-{name}")).join("initramfs");
                (kernel.is_file() && initrd.is_file()).then_some((numbers(version), kernel, initrd))
            })
            .collect();
        found.sort();
        found.pop().map(|(_, kernel, initrd)| (kernel, initrd))
    })
}

/// `6.12` as numbers, so that it comes after `6.1`.
fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(folder: &Path, name: &str, with_initramfs: bool) {
        fs::create_dir_all(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("vmlinux"), "").unwrap();
        if with_initramfs {
            let initramfs = folder.join(format!("initramfs-{name}"));
            fs::create_dir_all(&initramfs).unwrap();
            fs::write(initramfs.join("initramfs"), "").unwrap();
        }
    }

    fn found(folder: &Path) -> String {
        let guest = Guest::find_in(&[folder.to_owned()], &GuestOverrides::default()).unwrap();
        let folder = guest.kernel.parent().unwrap();
        folder.file_name().unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn newest_kernel_with_an_initramfs_is_taken_and_ours_before_debians() {
        let folder = tempfile::tempdir().unwrap();
        image(folder.path(), "debian-6.1", true);
        image(folder.path(), "debian-6.12", true);
        assert_eq!(found(folder.path()), "debian-6.12");
        image(folder.path(), "bulkhead-6.1", true);
        image(folder.path(), "bulkhead-6.12", false);
        assert_eq!(found(folder.path()), "bulkhead-6.1");
    }

    #[test]
    fn host_without_images_is_told_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let error = Guest::find_in(&[folder.path().to_owned()], &GuestOverrides::default());
        let error = error.unwrap_err().to_string();
        assert!(error.contains(folder.path().to_str().unwrap()), "{error}");
        assert!(error.contains("guest-images/build"), "{error}");
    }

    #[test]
    fn kernel_that_is_given_and_missing_is_named() {
        let overrides = GuestOverrides {
            kernel: Some("/nonexistent/vmlinux".into()),
            initrd: Some("/nonexistent/initrd".into()),
            ..GuestOverrides::default()
        };
        let error = Guest::find_in(&[], &overrides).unwrap_err();
        assert_eq!(error.to_string(), "Failed to find /nonexistent/vmlinux");
    }

    #[test]
    fn arguments_are_added_to_what_machines_need() {
        let folder = tempfile::tempdir().unwrap();
        image(folder.path(), "debian-6.1", true);
        let kernel_args = Some("debug".to_owned());
        let overrides = GuestOverrides { kernel_args, ..GuestOverrides::default() };
        let guest = Guest::find_in(&[folder.path().to_owned()], &overrides).unwrap();
        assert!(guest.cmdline.starts_with("console=ttyS0 quiet "), "{}", guest.cmdline);
        assert!(guest.cmdline.ends_with(" debug"), "{}", guest.cmdline);
    }
}
