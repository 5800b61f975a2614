//! Each kernel, each way in, each transport.

use tests::{Format, Kernel, RunningVm, TestVm};
use vm_spec::Transport;

/// The fixture's vsock and entropy devices, by their ids (VIRTIO 1.3 §5).
const DEVICE_IDS: &str = "0x0004\n0x0013";

fn virtio_device_ids(vm: &RunningVm) -> anyhow::Result<String> {
    vm.exec("cat /sys/bus/virtio/devices/*/device | sort")
}

fn virtio_drivers(vm: &RunningVm) -> anyhow::Result<String> {
    vm.exec("for d in /sys/bus/virtio/devices/*; do basename $(readlink $d/driver); done | sort")
}

fn parent_driver(vm: &RunningVm) -> anyhow::Result<String> {
    vm.exec("basename $(readlink -f /sys/bus/virtio/devices/virtio0/../driver)")
}

#[test]
fn debian_61_boots_through_pvh_with_its_devices_on_pci() -> anyhow::Result<()> {
    let vm = TestVm::new(Kernel::Debian61)?.boot()?;
    assert_eq!(vm.exec("uname -r")?, Kernel::Debian61.release()?);
    assert_eq!(virtio_device_ids(&vm)?, DEVICE_IDS);
    assert_eq!(parent_driver(&vm)?, "virtio-pci");
    Ok(())
}

#[test]
fn debian_61_boots_through_pvh_with_its_devices_on_mmio() -> anyhow::Result<()> {
    let vm = TestVm::new(Kernel::Debian61)?.transport(Transport::Mmio).boot()?;
    assert_eq!(vm.exec("uname -r")?, Kernel::Debian61.release()?);
    assert_eq!(virtio_device_ids(&vm)?, DEVICE_IDS);
    assert_eq!(parent_driver(&vm)?, "virtio-mmio");
    Ok(())
}

#[test]
fn debian_612_boots_through_pvh() -> anyhow::Result<()> {
    let vm = TestVm::new(Kernel::Debian612)?.boot()?;
    assert_eq!(vm.exec("uname -r")?, Kernel::Debian612.release()?);
    assert_eq!(virtio_device_ids(&vm)?, DEVICE_IDS);
    Ok(())
}

#[test]
fn our_kernel_boots_with_its_devices_on_pci() -> anyhow::Result<()> {
    let vm = TestVm::new(Kernel::Bulkhead612)?.boot()?;
    assert_eq!(vm.exec("uname -r")?, Kernel::Bulkhead612.release()?);
    assert_eq!(virtio_drivers(&vm)?, "virtio_rng\nvmw_vsock_virtio_transport");
    assert_eq!(parent_driver(&vm)?, "virtio-pci");
    Ok(())
}

#[test]
fn our_kernel_boots_with_its_devices_on_mmio() -> anyhow::Result<()> {
    let vm = TestVm::new(Kernel::Bulkhead612)?.transport(Transport::Mmio).boot()?;
    assert_eq!(virtio_drivers(&vm)?, "virtio_rng\nvmw_vsock_virtio_transport");
    assert_eq!(parent_driver(&vm)?, "virtio-mmio");
    Ok(())
}

#[test]
fn compressed_kernel_boots_through_its_64_bit_entry() -> anyhow::Result<()> {
    let vm = TestVm::with_format(Kernel::Bulkhead612, Format::BzImage)?.boot()?;
    assert_eq!(vm.exec("uname -r")?, Kernel::Bulkhead612.release()?);
    Ok(())
}
