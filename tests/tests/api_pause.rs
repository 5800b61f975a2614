//! Pause and resume through the API, while the guest's disk and card are at work.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use tests::{Kernel, Tap, TestVm, pattern, read_range};
use vm_spec::DiskEngine;

const COPIES: u64 = 12;
/// How long a guest runs between two pauses.
const PACE: Duration = Duration::from_millis(50);

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

#[test]
fn pauses_lose_nothing_of_what_fio_verifies_and_of_a_stream() -> anyhow::Result<()> {
    let tap = Tap::make(8)?;
    let vm = TestVm::new(Kernel::Bulkhead612)?.cpus(2).with_tools()?.with_card(&tap, |_| ())?;
    File::create_new(vm.folder().join("disk"))?.set_len(64 << 20)?;
    let vm = vm.with_disk("disk", "disk", |_, file| file.engine = DiskEngine::Async)?.boot()?;
    vm.mount_tools()?;
    tap.set_up(&vm)?;

    let mut load = vm.start(
        "/tools/bin/fio --name=load --thread --filename=/dev/vda --direct=1 --ioengine=libaio \
         --iodepth=16 --rw=randwrite --bs=4k --size=8m --verify=crc32c --verify_fatal=1",
    )?;
    let content = pattern(4 << 20);
    let echo = |mut stream: std::net::TcpStream| {
        stream.write_all(&content)?;
        let mut echo = Vec::new();
        stream.read_to_end(&mut echo)?;
        Ok(echo)
    };
    let store_and_return =
        format!("nc HOST -e sh -c 'head -c {} >/tmp/c; cat /tmp/c'", content.len());
    // fio itself has to be read from its disk first.
    while vm.metric("bulkhead_block_writes_total{device=\"disk\"}")? == 0 {
        ensure!(load.wait_timeout(PACE)?.is_none(), "fio has ended and wrote nothing");
    }
    let (echo, pauses) = thread::scope(|scope| {
        let stream = scope.spawn(|| tap.serve(&vm, &store_and_return, echo));
        let mut pauses = 0;
        while pauses < 20 && load.wait_timeout(PACE)?.is_none() {
            vm.api().pause()?;
            vm.api().resume()?;
            pauses += 1;
        }
        anyhow::Ok((stream.join().expect("the thread does not panic")?, pauses))
    })?;
    assert!(load.wait()?.success(), "fio read what it had not written");
    assert!(echo == content, "{} bytes came back of {}", echo.len(), content.len());
    assert!(pauses >= 5, "the load was over after {pauses} pauses");
    Ok(())
}
