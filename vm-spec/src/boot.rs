//! What the guest starts with.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Longest command line in bytes, with what the monitor adds but without the final NUL: one less
/// than Linux's `COMMAND_LINE_SIZE` on x86, 2048.
pub const MAX_CMDLINE: usize = 2047;

/// The command line of a guest that is given none: restart through the keyboard controller, so
/// that a panic ends the machine, and do not probe for hardware that no microVM has.
pub const DEFAULT_CMDLINE: &str = "reboot=k panic=1 nomodule 8250.nr_uarts=0 i8042.noaux \
                                   i8042.nomux i8042.dumbkbd swiotlb=noforce";

/// The kernel and what is handed to it.
///
/// How the kernel is entered (PVH, 64-bit ELF, bzImage) follows from the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootSpec {
    /// Host path of an ELF vmlinux or a bzImage.
    pub kernel: PathBuf,
    /// Host path of an initial RAM disk. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initrd: Option<PathBuf>,
    /// Kernel command line, to which the monitor appends `root=…` for a root disk, and `pci=off`
    /// where there is no PCI.
    /// Default: [`DEFAULT_CMDLINE`].
    #[serde(default = "default_cmdline")]
    pub cmdline: String,
}

fn default_cmdline() -> String {
    DEFAULT_CMDLINE.to_owned()
}
