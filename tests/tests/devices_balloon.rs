//! The memory balloon.

use std::time::{Duration, Instant};

use anyhow::ensure;
use api::vm::wire::BalloonUpdate;
use tests::{Kernel, RunningVm, TestVm};
use vm_spec::{BalloonSpec, Component};

/// Waits until `reached` says so. What is waited for shows in a register or in the monitor's
/// memory, of which nobody is told, hence the look at it after each of the guest's answers.
fn wait_until(
    vm: &RunningVm,
    what: &str,
    mut reached: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs(60);
    while !reached()? {
        ensure!(Instant::now() < until, "no {what}: {:?}", vm.api().balloon_stats());
        vm.exec("sleep 0.2")?;
    }
    Ok(())
}

/// Waits until the guest has given back `wanted` MiB.
fn wait_for_balloon(vm: &RunningVm, wanted: u32) -> anyhow::Result<()> {
    wait_until(vm, &format!("balloon of {wanted} MiB"), || {
        Ok(vm.api().balloon_stats()?.actual_mib == wanted)
    })
}

#[test]
fn inflated_balloon_gives_the_host_its_memory_back_until_deflated() -> anyhow::Result<()> {
    let balloon = BalloonSpec { stats_interval_s: 1, ..BalloonSpec::default() };
    let vm =
        TestVm::new(Kernel::Bulkhead612)?.with("balloon", Component::Balloon(balloon))?.boot()?;
    // Free memory that the host still holds.
    vm.exec("head -c 90m /dev/zero >/tmp/filler && rm /tmp/filler")?;
    let full = vm.resident_kib()?;

    vm.api().patch_balloon(&BalloonUpdate { amount_mib: 128 })?;
    wait_for_balloon(&vm, 128)?;
    let inflated = vm.resident_kib()?;
    assert!(inflated + (48 << 10) < full, "{full} KiB became {inflated} KiB");
    let free: u64 = vm.exec("awk '/^MemFree/ { print $2 }' /proc/meminfo")?.parse()?;
    assert!(free < 128 << 10, "{free} KiB are free in the guest");

    vm.api().patch_balloon(&BalloonUpdate { amount_mib: 0 })?;
    wait_for_balloon(&vm, 0)?;
    vm.exec("head -c 90m /dev/zero >/tmp/filler && rm /tmp/filler")?;
    Ok(())
}

#[test]
fn memory_that_the_guest_frees_is_reported_and_leaves_the_host() -> anyhow::Result<()> {
    let balloon =
        BalloonSpec { free_page_reporting: true, stats_interval_s: 1, ..BalloonSpec::default() };
    let vm =
        TestVm::new(Kernel::Bulkhead612)?.with("balloon", Component::Balloon(balloon))?.boot()?;
    vm.exec("head -c 90m /dev/zero >/tmp/filler")?;
    let full = vm.resident_kib()?;
    vm.exec("rm /tmp/filler")?;
    wait_until(&vm, "memory given back", || Ok(vm.resident_kib()? + (64 << 10) < full))?;
    assert_eq!(vm.api().balloon_stats()?.actual_mib, 0, "nobody asked for memory");
    // It is there again when it is needed.
    let sum = vm.exec("yes bulkhead | head -c 90m >/tmp/filler && sha256sum </tmp/filler")?;
    assert_eq!(vm.exec("sha256sum </tmp/filler")?, sum);
    Ok(())
}

#[test]
fn statistics_follow_what_the_guest_uses() -> anyhow::Result<()> {
    let balloon = BalloonSpec { stats_interval_s: 1, ..BalloonSpec::default() };
    let vm =
        TestVm::new(Kernel::Bulkhead612)?.with("balloon", Component::Balloon(balloon))?.boot()?;
    let total: u64 = vm.exec("awk '/^MemTotal/ { print $2 }' /proc/meminfo")?.parse()?;
    // The first ones may be older than the end of the boot, which gives memory back.
    let total_memory = Some(total << 10);
    wait_until(&vm, "statistics", || Ok(vm.api().balloon_stats()?.total_memory == total_memory))?;
    let before = vm.api().balloon_stats()?;
    let free = before.free_memory.unwrap_or_default();
    assert!((64 << 20..total << 10).contains(&free), "{free} bytes are free");
    let cached = before.disk_caches.unwrap_or_default();
    assert!(cached < 64 << 20, "{cached} bytes of files are in memory");
    vm.exec("head -c 64m /dev/zero >/tmp/filler")?;
    wait_until(&vm, "files of 64 MiB", || {
        Ok(vm.api().balloon_stats()?.disk_caches.unwrap_or_default() >= 64 << 20)
    })
}

#[test]
fn guest_short_of_memory_takes_it_back_from_the_balloon() -> anyhow::Result<()> {
    let balloon =
        BalloonSpec { deflate_on_oom: true, stats_interval_s: 1, ..BalloonSpec::default() };
    let vm =
        TestVm::new(Kernel::Bulkhead612)?.with("balloon", Component::Balloon(balloon))?.boot()?;
    vm.api().patch_balloon(&BalloonUpdate { amount_mib: 150 })?;
    wait_for_balloon(&vm, 150)?;
    vm.exec("head -c 90m /dev/zero >/tmp/filler")?;
    let given = vm.api().balloon_stats()?.actual_mib;
    assert!(given < 140, "{given} MiB are in the balloon still");
    Ok(())
}
