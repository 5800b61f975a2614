//! The kernel command line as the guest gets it.

use super::{Device, DeviceKind, SpecError};
use crate::{MAX_CMDLINE, Transport};

/// Keeps a kernel from probing for a PCI bus that is not there: some 80 exits.
const NO_PCI: &str = "pci=off";

/// The user's command line with `root=` for the root disk, and [`NO_PCI`] where there is no PCI
/// and the user does not say `pci=` himself.
///
/// What follows ` -- ` are arguments of the guest's init; what is added goes before it.
pub(super) fn compose(
    user: &str,
    devices: &[Device],
    transport: Transport,
) -> Result<String, SpecError> {
    let (kernel, init) = match user.split_once("--") {
        Some((kernel, init)) if is_separator(kernel, init) => (kernel, Some(init.trim())),
        _ => (user, None),
    };
    let mut cmdline = kernel.trim().to_owned();
    let says_pci = kernel.split(' ').any(|argument| argument.starts_with("pci="));
    let no_pci = (transport == Transport::Mmio && !says_pci).then(|| NO_PCI.to_owned());
    for argument in root_argument(devices).into_iter().chain(no_pci) {
        if !cmdline.is_empty() {
            cmdline.push(' ');
        }
        cmdline.push_str(&argument);
    }
    if let Some(init) = init {
        cmdline.push_str(" -- ");
        cmdline.push_str(init);
    }
    if cmdline.len() > MAX_CMDLINE {
        return Err(SpecError::CmdlineTooLong { length: cmdline.len(), max: MAX_CMDLINE });
    }
    Ok(cmdline)
}

/// Whether the `--` between the two stands alone.
fn is_separator(before: &str, after: &str) -> bool {
    (before.is_empty() || before.ends_with(' ')) && (after.is_empty() || after.starts_with(' '))
}

fn root_argument(devices: &[Device]) -> Option<String> {
    let mut disks = devices.iter().filter_map(|device| match &device.kind {
        DeviceKind::Disk(disk) => Some(&disk.spec),
        _ => None,
    });
    // A guest names its disks in the order of their slots: vda, vdb, …
    let (index, disk) = disks.by_ref().enumerate().find(|(_, disk)| disk.root)?;
    let access = if disk.read_only { "ro" } else { "rw" };
    Some(match &disk.partuuid {
        Some(uuid) => format!("root=PARTUUID={uuid} {access}"),
        None => format!("root=/dev/{} {access}", disk_name(index)),
    })
}

fn disk_name(index: usize) -> String {
    const LETTERS: &[u8; 26] = b"abcdefghijklmnopqrstuvwxyz";
    let letter = |i: usize| char::from(LETTERS[i % 26]);
    match index / 26 {
        0 => format!("vd{}", letter(index)),
        high => format!("vd{}{}", letter(high - 1), letter(index)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn composed(user: &str) -> String {
        compose(user, &[], Transport::Pci).unwrap()
    }

    #[test]
    fn disk_after_z_has_two_letters() {
        assert_eq!(disk_name(0), "vda");
        assert_eq!(disk_name(25), "vdz");
        assert_eq!(disk_name(26), "vdaa");
        assert_eq!(disk_name(29), "vdad");
    }

    #[test]
    fn command_line_without_disks_stays() {
        assert_eq!(composed("console=ttyS0 quiet"), "console=ttyS0 quiet");
    }

    #[test]
    fn arguments_of_init_stay_last() {
        assert_eq!(composed("quiet -- run me"), "quiet -- run me");
    }

    #[test]
    fn two_dashes_within_an_argument_separate_nothing() {
        assert_eq!(composed("a=--b c"), "a=--b c");
    }

    #[test]
    fn kernel_without_pci_is_told_not_to_look_for_it() {
        let line = |user| compose(user, &[], Transport::Mmio).unwrap();
        assert_eq!(line("quiet -- run me"), "quiet pci=off -- run me");
        assert_eq!(line("pci=lastbus=1 quiet"), "pci=lastbus=1 quiet");
    }
}
