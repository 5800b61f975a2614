//! Disks: what the guest writes is what the host's file holds.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use api::vm::wire::PartialDrive;
use tests::{Kernel, TestVm, pattern, read_range};
use vm_spec::{CacheMode, DiskEngine, Transport};

const MIB: u64 = 1 << 20;

/// A file of 64 MiB with `content` at the front.
fn disk_file(path: &Path, content: &[u8]) -> anyhow::Result<File> {
    let file = File::options().read(true).write(true).create_new(true).open(path)?;
    file.set_len(64 * MIB)?;
    file.write_all_at(content, 0)?;
    Ok(file)
}

/// Has the guest copy what the host put at the front to 32 MiB.
fn copy_through_the_guest(engine: DiskEngine, transport: Transport) -> anyhow::Result<()> {
    let vm = TestVm::new(Kernel::Bulkhead612)?.transport(transport);
    let path = vm.folder().join("disk");
    let content = pattern(8 << 20);
    disk_file(&path, &content)?;
    let vm = vm
        .with_disk("disk", "disk", |disk, file| {
            disk.cache = CacheMode::Writeback;
            file.engine = engine;
        })?
        .boot()?;
    vm.exec("dd if=/dev/vda of=/dev/vda bs=1M count=8 seek=32 iflag=direct conv=fsync")?;
    assert!(read_range(&path, 32 * MIB, content.len())? == content, "the copy differs");
    Ok(())
}

#[test]
fn guest_copies_within_a_disk_with_the_synchronous_engine_on_pci() -> anyhow::Result<()> {
    copy_through_the_guest(DiskEngine::Sync, Transport::Pci)
}

#[test]
fn guest_copies_within_a_disk_with_the_asynchronous_engine_on_mmio() -> anyhow::Result<()> {
    copy_through_the_guest(DiskEngine::Async, Transport::Mmio)
}

#[test]
fn discard_frees_the_files_blocks_and_a_file_system_stays_whole() -> anyhow::Result<()> {
    let vm = TestVm::new(Kernel::Bulkhead612)?;
    let file = disk_file(&vm.folder().join("disk"), &pattern(32 << 20))?;
    let vm = vm
        .with_disk("disk", "disk", |disk, _| {
            disk.cache = CacheMode::Writeback;
            disk.discard = true;
            disk.serial = Some("SN-1234".to_owned());
        })?
        .boot()?;
    assert_eq!(vm.exec("cat /sys/block/vda/serial")?, "SN-1234");

    let before = file.metadata()?.blocks() * 512;
    vm.exec("blkdiscard -o $((8 << 20)) -l $((16 << 20)) /dev/vda")?;
    let freed = before - file.metadata()?.blocks() * 512;
    assert_eq!(freed, 16 * MIB);

    vm.exec("/usr/bin/mke2fs -q -F -t ext4 /dev/vda && mount -t ext4 /dev/vda /mnt")?;
    let sum = vm.exec("head -c 4m /dev/urandom >/mnt/file && sha256sum </mnt/file")?;
    vm.exec("umount /mnt && /usr/bin/e2fsck -f -n /dev/vda && mount -t ext4 /dev/vda /mnt")?;
    assert_eq!(vm.exec("sha256sum </mnt/file")?, sum);
    Ok(())
}

#[test]
fn read_only_disk_refuses_writes() -> anyhow::Result<()> {
    let vm = TestVm::new(Kernel::Bulkhead612)?;
    let path = vm.folder().join("disk");
    let content = pattern(1 << 20);
    disk_file(&path, &content)?;
    let vm = vm.with_disk("disk", "disk", |disk, _| disk.read_only = true)?.boot()?;
    assert_eq!(vm.exec("cat /sys/block/vda/ro")?, "1");
    vm.exec("! dd if=/dev/zero of=/dev/vda bs=4096 count=1 oflag=direct")?;
    assert!(read_range(&path, 0, content.len())? == content, "the file was changed");
    Ok(())
}

#[test]
fn disk_that_grows_while_the_guest_runs_has_its_new_size_there() -> anyhow::Result<()> {
    let vm = TestVm::new(Kernel::Bulkhead612)?;
    let path = vm.folder().join("disk");
    let file = disk_file(&path, &[])?;
    let vm = vm
        .with_disk("disk", "disk", |disk, _| {
            disk.block_size = 4096;
            disk.physical_block_size = Some(16384);
        })?
        .boot()?;
    let topology = "cd /sys/block/vda && cat size queue/*_block_size queue/minimum_io_size serial";
    // 64 MiB in sectors; logical and physical block; the id for want of a serial number.
    assert_eq!(vm.exec(topology)?, "131072\n4096\n16384\n16384\ndisk");

    // The guest's kernel is told by an interrupt, and says so in its log.
    let mut told = vm.start("grep -q -m 1 'vda: detected capacity change' /dev/kmsg")?;
    file.set_len(96 * MIB)?;
    vm.api().patch_drive(&PartialDrive {
        drive_id: "disk".to_owned(),
        path_on_host: Some(path.display().to_string()),
        rate_limiter: None,
    })?;
    let status = told.wait_timeout(Duration::from_secs(60))?;
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
    assert_eq!(vm.exec("cat /sys/block/vda/size")?, "196608");
    let content = pattern(1 << 20);
    file.write_all_at(&content, 0)?;
    vm.exec("dd if=/dev/vda of=/dev/vda bs=1M count=1 seek=95 iflag=direct oflag=direct")?;
    assert!(read_range(&path, 95 * MIB, content.len())? == content, "the copy differs");
    Ok(())
}
