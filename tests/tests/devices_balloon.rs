//! The memory balloon.

use std::time::{Duration, Instant};

use anyhow::ensure;
use api::vm::wire::BalloonUpdate;
use tests::{Kernel, RunningVm, TestVm};
use vm_spec::{BalloonSpec, Component};

/// Waits until the guest has given back `wanted` MiB. It reports so in a register of the device,
/// which nobody is told of, hence the look at it after each of the guest's answers.
fn wait_for_balloon(vm: &RunningVm, wanted: u32) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let given = vm.api().balloon_stats()?.actual_mib;
        if given == wanted {
            return Ok(());
        }
        ensure!(Instant::now() < until, "the balloon stays at {given} MiB");
        vm.exec("sleep 0.2")?;
    }
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
