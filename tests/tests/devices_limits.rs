//! Rate limits of disks and cards: what is beyond the bucket takes its time, at the least.

use std::fs::File;
use std::io::Read;
use std::time::{Duration, Instant};

use api::vm::wire::{PartialDrive, PartialNetworkInterface, RateLimiter, TokenBucket};
use tests::{Kernel, RunningVm, Tap, TestVm};

const MIB: u64 = 1 << 20;
const DISK_WAITS: &str = "bulkhead_block_throttled_total{device=\"disk\"}";

/// `size` tokens at once, and as many again in each `refill_time` milliseconds.
fn bucket(size: u64, refill_time: u64) -> Option<TokenBucket> {
    Some(TokenBucket { size, refill_time, one_time_burst: None })
}

fn bandwidth(size: u64, refill_time: u64) -> RateLimiter {
    RateLimiter { bandwidth: bucket(size, refill_time), ops: None }
}

fn limit_disk(vm: &RunningVm, limiter: RateLimiter) -> anyhow::Result<()> {
    let drive_id = "disk".to_owned();
    let rate_limiter = Some(limiter);
    Ok(vm.api().patch_drive(&PartialDrive { drive_id, path_on_host: None, rate_limiter })?)
}

/// How long the guest takes for `line`.
fn time(vm: &RunningVm, line: &str) -> anyhow::Result<Duration> {
    let started = Instant::now();
    vm.exec(line)?;
    Ok(started.elapsed())
}

#[test]
fn limits_of_a_disk_hold_and_can_be_changed_while_the_guest_runs() -> anyhow::Result<()> {
    let vm = TestVm::new(Kernel::Bulkhead612)?;
    File::create_new(vm.folder().join("disk"))?.set_len(16 * MIB)?;
    let slow = bandwidth(MIB, 500).into();
    let vm = vm.with_disk("disk", "disk", |disk, _| disk.rate_limiter = slow)?.boot()?;

    let write = "dd if=/dev/zero of=/dev/vda bs=256K count=24 oflag=direct";
    let took = time(&vm, write)?;
    assert!(took >= Duration::from_millis(2500), "5 MiB at 2 MiB/s took {took:?}");

    let waits = || vm.metric(DISK_WAITS);
    let first = waits()?;
    assert!(first > 0, "the guest took {took:?} for a reason of its own");

    limit_disk(&vm, bandwidth(MIB, 1000))?;
    let took = time(&vm, "dd if=/dev/vda of=/dev/null bs=256K count=16 iflag=direct")?;
    assert!(took >= Duration::from_secs(3), "3 MiB at 1 MiB/s took {took:?}");

    let second = waits()?;
    assert!(second > first, "the guest took {took:?} for a reason of its own");

    limit_disk(&vm, RateLimiter { bandwidth: bucket(0, 0), ops: bucket(10, 200) })?;
    let took = time(&vm, "dd if=/dev/vda of=/dev/null bs=4K count=110 iflag=direct")?;
    assert!(took >= Duration::from_secs(2), "100 requests at 50/s took {took:?}");

    let third = waits()?;
    assert!(third > second, "the guest took {took:?} for a reason of its own");

    limit_disk(&vm, RateLimiter { bandwidth: None, ops: bucket(0, 0) })?;
    vm.exec(write)?;
    assert_eq!(waits()?, third, "there is no limit to wait for");
    Ok(())
}

/// How long `mib` MiB need from the host to the guest, and then back.
fn time_network(vm: &RunningVm, tap: &Tap, mib: u64) -> anyhow::Result<(Duration, Duration)> {
    let started = Instant::now();
    tap.serve(vm, "nc HOST >/tmp/content", |mut stream| {
        Ok(std::io::copy(&mut std::io::repeat(7).take(mib * MIB), &mut stream)?)
    })?;
    let down = started.elapsed();
    let started = Instant::now();
    let came = tap.serve(vm, "nc HOST </tmp/content", |mut stream| {
        Ok(std::io::copy(&mut stream, &mut std::io::sink())?)
    })?;
    assert_eq!(came, mib * MIB);
    Ok((down, started.elapsed()))
}

#[test]
fn limits_of_a_card_hold_and_can_be_changed_while_the_guest_runs() -> anyhow::Result<()> {
    let tap = Tap::make(5)?;
    let slow = bandwidth(MIB, 500).into();
    let vm = TestVm::new(Kernel::Bulkhead612)?
        .with_card(&tap, |card| card.rx_rate_limiter = slow)?
        .boot()?;
    tap.set_up(&vm)?;
    // Queue 0 is for what the guest receives, 1 for what it sends.
    let waits = |queue: u8| {
        let labels = format!("{{device=\"eth0\",kind=\"net\",queue=\"{queue}\"}}");
        vm.metric(&format!("bulkhead_queue_throttled_total{labels}"))
    };
    let (down, _) = time_network(&vm, &tap, 6)?;
    assert!(down >= Duration::from_millis(2500), "5 MiB at 2 MiB/s took {down:?}");
    let receiver_waits = waits(0)?;
    assert!(receiver_waits > 0, "the guest took {down:?} for a reason of its own");
    assert_eq!(waits(1)?, 0, "what the guest sends is not limited");

    vm.api().patch_network_interface(&PartialNetworkInterface {
        iface_id: "eth0".to_owned(),
        rx_rate_limiter: Some(bandwidth(0, 0)),
        tx_rate_limiter: Some(bandwidth(MIB, 1000)),
    })?;
    let (_, up) = time_network(&vm, &tap, 4)?;
    assert!(up >= Duration::from_secs(3), "3 MiB at 1 MiB/s took {up:?}");
    assert!(waits(1)? > 0, "the guest took {up:?} for a reason of its own");
    assert_eq!(waits(0)?, receiver_waits, "there is no limit to wait for");
    Ok(())
}
