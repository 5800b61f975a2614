//! Pause and resume through the API, while the guest's disk is at work.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use tests::{Kernel, TestVm, pattern, read_range};

const COPIES: u64 = 12;

#[test]
fn pauses_stop_the_guest_and_lose_no_request() -> anyhow::Result<()> {
    let vm = TestVm::new(Kernel::Bulkhead612)?.cpus(2);
    let path = vm.folder().join("disk");
    let content = pattern(2 << 20);
    let file = File::options().write(true).create_new(true).open(&path)?;
    file.set_len((COPIES + 1) * (2 << 20))?;
    file.write_all_at(&content, 0)?;
    let vm = vm.with_disk("disk", "disk", |_, _| ())?.boot()?;

    let mut load = vm.start(&format!(
        "for n in $(seq {COPIES}); do dd if=/dev/vda of=/dev/vda bs=64K count=32 seek=$((n * 32)) \
         iflag=direct oflag=direct || exit; done"
    ))?;
    for _ in 0..10 {
        vm.api().pause()?;
        vm.api().resume()?;
    }
    vm.api().pause()?;
    let hasty = vm.vsock().clone().with_timeout(Duration::from_millis(300));
    assert!(hasty.connect(agent_protocol::AGENT_PORT).is_err(), "a paused guest answered");
    vm.api().resume()?;

    assert!(load.wait()?.success());
    for n in 1..=COPIES {
        let copy = read_range(&path, n * (2 << 20), content.len())?;
        assert!(copy == content, "copy {n} differs");
    }
    Ok(())
}
