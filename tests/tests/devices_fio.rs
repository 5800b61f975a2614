//! Disks under fio, which reads back what it wrote and checks it.

use std::fs::{self, File};
use std::path::Path;

use tests::{Kernel, RunningVm, TestVm};
use vm_spec::{DiskEngine, Transport};

const MIB: u64 = 1 << 20;

/// Writes 8 MiB in random order past the guest's cache, then reads and compares them; each job
/// does, of those that are named after it.
const VERIFIED: &str = "/tools/bin/fio --thread --direct=1 --ioengine=libaio --iodepth=16 \
                        --rw=randwrite --bsrange=4k-128k --size=8m --verify=crc32c \
                        --verify_fatal=1";

fn empty_file(path: &Path) -> anyhow::Result<()> {
    Ok(File::create_new(path)?.set_len(64 * MIB)?)
}

/// Has a disk of each engine loaded at the same time.
fn verified_load(transport: Transport) -> anyhow::Result<()> {
    let mut vm = TestVm::new(Kernel::Bulkhead612)?.transport(transport).with_tools()?;
    for (disk, engine) in [("async", DiskEngine::Async), ("sync", DiskEngine::Sync)] {
        empty_file(&vm.folder().join(disk))?;
        vm = vm.with_disk(disk, disk, |_, file| file.engine = engine)?;
    }
    let vm = vm.boot()?;
    vm.mount_tools()?;
    let jobs = "--name=async --filename=/dev/vda --name=sync --filename=/dev/vdb";
    vm.exec(&format!("{VERIFIED} {jobs}"))?;
    for disk in ["async", "sync"] {
        let moved = |what| vm.metric(&format!("bulkhead_block_{what}_total{{device=\"{disk}\"}}"));
        let (read, written) = (moved("read_bytes")?, moved("write_bytes")?);
        assert!(read >= 8 * MIB && written >= 8 * MIB, "{disk}: {read} read, {written} written");
        assert_eq!(moved("errors")?, 0, "{disk}");
    }
    // Where the host forbids it the engine is the other one, and this test shows nothing.
    assert!(uses_io_uring(&vm)?, "the host has no io_uring");
    Ok(())
}

/// Whether the monitor has an io_uring.
fn uses_io_uring(vm: &RunningVm) -> anyhow::Result<bool> {
    let descriptors = fs::read_dir(vm.process_folder().join("fd"))?;
    let mut targets = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    Ok(targets.any(|target| target == Path::new("anon_inode:[io_uring]")))
}

#[test]
fn fio_reads_back_what_it_wrote_through_both_engines_on_pci() -> anyhow::Result<()> {
    verified_load(Transport::Pci)
}

#[test]
fn fio_reads_back_what_it_wrote_through_both_engines_on_mmio() -> anyhow::Result<()> {
    verified_load(Transport::Mmio)
}

#[test]
fn each_processor_has_a_queue_of_the_disk() -> anyhow::Result<()> {
    let vm = TestVm::new(Kernel::Bulkhead612)?.cpus(4).with_tools()?;
    empty_file(&vm.folder().join("disk"))?;
    let queues = |disk: &mut vm_spec::DiskSpec, file: &mut vm_spec::DiskFileSpec| {
        disk.queues = 4;
        file.engine = DiskEngine::Async;
    };
    let vm = vm.with_disk("disk", "disk", queues)?.boot()?;
    vm.mount_tools()?;
    assert_eq!(vm.exec("cat /sys/block/vda/mq/*/cpu_list")?, "0\n1\n2\n3");
    // Each of four jobs on a processor and a quarter of the disk of its own.
    vm.exec(&format!(
        "{VERIFIED} --name=all --filename=/dev/vda --size=2m --numjobs=4 \
         --offset_increment=16m --cpus_allowed=0-3 --cpus_allowed_policy=split"
    ))?;
    for queue in 0..4 {
        let labels = format!("{{device=\"disk\",kind=\"block\",queue=\"{queue}\"}}");
        let requests = vm.metric(&format!("bulkhead_queue_requests_total{labels}"))?;
        assert!(requests > 16, "queue {queue} had {requests} requests");
    }
    Ok(())
}
