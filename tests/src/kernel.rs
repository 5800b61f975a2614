//! The kernels and initial file systems of `guest-images/build`.

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, ensure};

/// A guest kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// Debian 12's cloud kernel.
    Debian61,
    /// The same distribution's newer one.
    Debian612,
    /// Ours, with all drivers built in.
    Bulkhead612,
}

/// The file that a kernel comes in, which decides how it is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An ELF file: entered through its PVH note.
    Vmlinux,
    /// A compressed image: entered at its 64-bit entry point.
    BzImage,
}

impl Kernel {
    /// Its name in `guest-images/artifacts.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debian61 => "debian-6.1",
            Self::Debian612 => "debian-6.12",
            Self::Bulkhead612 => "bulkhead-6.12",
        }
    }

    /// The kernel's file.
    ///
    /// # Errors
    ///
    /// The image was not built.
    pub fn file(self, format: Format) -> anyhow::Result<PathBuf> {
        let name = match format {
            Format::Vmlinux => "vmlinux",
            Format::BzImage => "vmlinuz",
        };
        image(self.name(), name)
    }

    /// An initial file system with the agent, its modules, and test programs.
    ///
    /// # Errors
    ///
    /// The image was not built.
    pub fn initramfs(self) -> anyhow::Result<PathBuf> {
        image(&format!("initramfs-{}", self.name()), "initramfs-tools")
    }

    /// An initial file system with the agent and its modules only.
    ///
    /// # Errors
    ///
    /// The image was not built.
    pub fn small_initramfs(self) -> anyhow::Result<PathBuf> {
        image(&format!("initramfs-{}", self.name()), "initramfs")
    }

    /// What `uname -r` says in it.
    ///
    /// # Errors
    ///
    /// The image was not built.
    pub fn release(self) -> anyhow::Result<String> {
        let path = image(self.name(), "release")?;
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        Ok(text.trim().to_owned())
    }
}

/// A disk with all test programs, fio among them.
///
/// # Errors
///
/// The image was not built.
pub fn tools_disk() -> anyhow::Result<PathBuf> {
    image("tools", "tools.erofs")
}

/// One file of an image.
pub(crate) fn image(name: &str, file: &str) -> anyhow::Result<PathBuf> {
    let path = images()?.join(name).join(file);
    ensure!(
        path.exists(),
        "{} is missing; make it with: guest-images/build {name}",
        path.display()
    );
    Ok(path)
}

fn images() -> anyhow::Result<PathBuf> {
    match env::var_os("BULKHEAD_TEST_IMAGES") {
        Some(folder) => Ok(folder.into()),
        None => Ok(cache()?.join("images")),
    }
}

/// What takes long to make and can be made again.
pub(crate) fn cache() -> anyhow::Result<PathBuf> {
    match env::var_os("BULKHEAD_CACHE") {
        Some(folder) => Ok(folder.into()),
        None => Ok(env::home_dir().context("there is no home folder")?.join(".cache/bulkhead")),
    }
}
