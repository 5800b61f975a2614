//! Processors and memory, few and many.

use tests::{Kernel, TestVm};
use vm_spec::Mib;

#[test]
fn two_processors_are_online_and_both_take_interrupts() -> anyhow::Result<()> {
    let vm = TestVm::new(Kernel::Bulkhead612)?.cpus(2).boot()?;
    assert_eq!(vm.exec("nproc")?, "2");
    let on_each = "for cpu in 0 1; do taskset $((1 << cpu)) sh -c 'echo $(cut -d\" \" -f39 \
                   /proc/self/stat)'; done";
    assert_eq!(vm.exec(on_each)?, "0\n1");
    Ok(())
}

#[test]
fn eight_processors_are_online() -> anyhow::Result<()> {
    let vm = TestVm::new(Kernel::Bulkhead612)?.cpus(8).memory(Mib(512)).boot()?;
    assert_eq!(vm.exec("nproc")?, "8");
    assert_eq!(vm.exec("cat /sys/devices/system/cpu/online")?, "0-7");
    Ok(())
}

/// More would take minutes where two processors are emulated for them; that all 254 start is
/// shown by `vmm/tests/guests.rs`.
#[test]
fn eight_processors_of_two_threads_each_are_four_cores() -> anyhow::Result<()> {
    let vm =
        TestVm::new(Kernel::Bulkhead612)?.cpus(8).threads_per_core(2).memory(Mib(512)).boot()?;
    assert_eq!(vm.exec("nproc")?, "8");
    let siblings = "sort -u /sys/devices/system/cpu/cpu*/topology/thread_siblings_list | wc -l";
    assert_eq!(vm.exec(siblings)?, "4");
    assert_eq!(vm.exec("cat /sys/devices/system/cpu/cpu7/topology/core_cpus_list")?, "6-7");
    let packages = "sort -u /sys/devices/system/cpu/cpu*/topology/physical_package_id";
    assert_eq!(vm.exec(packages)?, "0");
    Ok(())
}

#[test]
fn six_gib_are_usable_on_both_sides_of_the_gap_below_4_gib() -> anyhow::Result<()> {
    let vm = TestVm::new(Kernel::Bulkhead612)?.memory(Mib(6144)).boot()?;
    let total: u64 = vm.exec("awk '/^MemTotal/ { print $2 }' /proc/meminfo")?.parse()?;
    assert!((5 << 20..6 << 20).contains(&total), "MemTotal is {total} KiB");
    let above = vm.exec("grep -c '^1[0-9a-f]*-.*System RAM' /proc/iomem")?;
    assert_eq!(above, "1", "there is one range of memory from 4 GiB on");
    Ok(())
}

#[test]
fn sixty_four_mib_are_enough_for_our_kernel() -> anyhow::Result<()> {
    let vm = TestVm::new(Kernel::Bulkhead612)?.without_programs()?.memory(Mib(64)).boot()?;
    let metrics = vm.agent().metrics()?;
    assert!(metrics.memory.is_some_and(|memory| memory.total < 64 << 20));
    Ok(())
}
