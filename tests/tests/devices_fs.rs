//! Folders of the host in guests.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tests::{Kernel, RunningVm, TestVm};
use vm_spec::{FsCache, Transport};

/// Has the guest's modules ready, where they are any, and mounts the share.
const MOUNT: &str = "mkdir -p /share && mount -t virtiofs src /share";

/// A machine and a folder in its own one, to be shared as `src`.
fn machine() -> anyhow::Result<(TestVm, PathBuf)> {
    let vm = TestVm::new(Kernel::Bulkhead612)?;
    let path = vm.folder().join("shared");
    fs::create_dir(&path)?;
    Ok((vm, path))
}

/// Boots and mounts.
fn boot(vm: TestVm) -> anyhow::Result<RunningVm> {
    let vm = vm.boot()?;
    vm.exec(MOUNT)?;
    Ok(vm)
}

#[test]
fn guest_makes_links_renames_and_removes_and_the_host_has_it_so() -> anyhow::Result<()> {
    let (vm, path) = machine()?;
    let vm = boot(vm.with_share("src", &path, |_, _| ())?)?;
    vm.exec("cd /share && mkdir -p a/b && echo one >a/b/f && mv a/b/f a/g && ln a/g a/h")?;
    assert_eq!(fs::read_to_string(path.join("a/h"))?, "one\n");
    assert_eq!(vm.exec("stat -c '%h %i' /share/a/g /share/a/h | uniq | wc -l")?, "1");
    vm.exec("cd /share/a && ln -s g s && mkfifo p && chmod 4751 g && echo two >>s")?;
    assert_eq!(vm.exec("cat /share/a/s && readlink /share/a/s")?, "one\ntwo\ng");
    assert_eq!(fs::metadata(path.join("a/g"))?.permissions().mode() & 0o7777, 0o4751);
    assert!(fs::symlink_metadata(path.join("a/p"))?.file_type().is_fifo());
    vm.exec("cd /share && truncate -s 5000 a/t && touch -d @86400 a/t && chown 12:34 a/t")?;
    let metadata = fs::metadata(path.join("a/t"))?;
    assert_eq!((metadata.size(), metadata.mtime()), (5000, 86400));
    assert_eq!((metadata.uid(), metadata.gid()), (12, 34));
    vm.exec("cd /share/a && for n in $(seq 300); do echo $n >n$n; done")?;
    assert_eq!(vm.exec("cd /share/a && cat n* | sort -n | md5sum")?, vm.exec("seq 300 | md5sum")?);
    vm.exec("cd /share && rm -r a && df . && sync")?;
    assert_eq!(fs::read_dir(&path)?.count(), 0);
    Ok(())
}

#[test]
fn permissions_are_those_of_the_guests_users() -> anyhow::Result<()> {
    let (vm, path) = machine()?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o1777))?;
    fs::write(path.join("roots"), "secret")?;
    fs::set_permissions(path.join("roots"), fs::Permissions::from_mode(0o600))?;
    let vm = boot(vm.with_share("src", &path, |_, _| ())?)?;
    vm.exec("echo user:x:1234:5678::/:/bin/sh >>/etc/passwd")?;
    let user = |line: &str| vm.exec(&format!("su user -s /bin/sh -c 'cd /share && {line}'"));
    user("echo mine >file && mkdir folder && ln -s x link")?;
    for name in ["file", "folder", "link"] {
        let metadata = fs::symlink_metadata(path.join(name))?;
        assert_eq!((metadata.uid(), metadata.gid()), (1234, 5678), "{name}");
    }
    user("! cat roots && ! rm roots && ! echo x >roots && ! chown 0 file")?;
    user("chmod 6755 file && echo more >>file")?;
    // What is changed by somebody without privileges loses them.
    assert_eq!(fs::metadata(path.join("file"))?.permissions().mode() & 0o7777, 0o755);
    Ok(())
}

#[test]
fn read_only_share_cannot_be_changed_whatever_the_guest_mounts() -> anyhow::Result<()> {
    let (vm, path) = machine()?;
    fs::write(path.join("file"), "content")?;
    let before = fs::metadata(path.join("file"))?;
    let vm = boot(vm.with_share("src", &path, |_, folder| folder.read_only = true)?)?;
    assert_eq!(vm.exec("cat /share/file")?, "content");
    vm.exec(
        "cd /share && mount -o remount,rw /share; ! echo x >file && ! echo x >new && ! mkdir d && \
         ! rm file && ! mv file other && ! ln file other && ! chmod 777 file && ! touch file && \
         ! truncate -s 0 file",
    )?;
    let after = fs::metadata(path.join("file"))?;
    assert_eq!((before.mtime(), before.mode()), (after.mtime(), after.mode()));
    assert_eq!(fs::read_dir(&path)?.count(), 1);
    Ok(())
}

#[test]
fn share_cannot_be_left() -> anyhow::Result<()> {
    let (vm, path) = machine()?;
    let outside = vm.folder().join("host-secret");
    fs::write(&outside, "secret")?;
    symlink(&outside, path.join("absolute"))?;
    symlink("../host-secret", path.join("relative"))?;
    symlink("/proc/self/root", path.join("root"))?;
    let vm = boot(vm.with_share("src", &path, |_, _| ())?)?;
    // Links lead to the guest's own files, where there are none of these names.
    vm.exec("cd /share && ! cat absolute && ! cat relative && ! cat ../host-secret")?;
    vm.exec("cd /share && echo x >relative && echo x >../host-secret")?;
    assert_eq!(vm.exec("cat /host-secret")?, "x");
    assert_eq!(fs::read_to_string(&outside)?, "secret");
    vm.exec("cd /share && ! mknod null c 1 3 && ! mknod disk b 8 0")?;
    assert!(!path.join("null").exists());
    Ok(())
}

#[test]
fn walk_stays_inside_while_the_host_renames() -> anyhow::Result<()> {
    let (vm, path) = machine()?;
    let outside = vm.folder().join("outside");
    fs::create_dir(&outside)?;
    fs::write(outside.join("file"), "secret")?;
    fs::create_dir(path.join("a"))?;
    fs::write(path.join("a/file"), "inside")?;
    symlink(&outside, path.join("b"))?;
    let vm = boot(vm.with_share("src", &path, |_, folder| folder.cache = FsCache::None)?)?;
    let end = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        scope.spawn(|| {
            while !end.load(Ordering::Relaxed) {
                let (a, b) = (path.join("a"), path.join("b"));
                renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).expect("both are there");
            }
        });
        let seen = vm.exec(
            "cd /share && for n in $(seq 300); do cat a/file b/file 2>/dev/null; \
             echo x 2>/dev/null >b/new; done | sort -u",
        );
        end.store(true, Ordering::Relaxed);
        seen
    })?;
    assert!(!seen.contains("secret"), "{seen}");
    assert_eq!(fs::read_dir(&outside)?.count(), 1, "something was made outside");
    Ok(())
}

#[test]
fn single_file_is_shared_without_what_is_beside_it() -> anyhow::Result<()> {
    let (vm, path) = machine()?;
    fs::write(path.join("config"), "old")?;
    fs::write(path.join("secret"), "secret")?;
    let vm = boot(vm.with_share("src", path.join("config"), |_, _| ())?)?;
    assert_eq!(vm.exec("ls -A /share")?, "config");
    vm.exec("cd /share && ! cat secret && ! echo x >new && ! rm config")?;
    // As a container has it.
    vm.exec("touch /etc/config && mount -o bind /share/config /etc/config")?;
    assert_eq!(vm.exec("cat /etc/config && echo new >/etc/config")?, "old");
    assert_eq!(fs::read_to_string(path.join("config"))?, "new\n");
    Ok(())
}

#[test]
fn two_guests_see_what_the_other_writes_and_lose_nothing() -> anyhow::Result<()> {
    // One folder in two shares: what is seen at once, and what is usual.
    let shared = |vm: TestVm, path: &PathBuf| {
        let vm = vm.with_share("now", path, |_, folder| folder.cache = FsCache::None)?;
        let vm = boot(vm.with_share("src", path, |_, _| ())?)?;
        vm.exec("mkdir /now && mount -t virtiofs now /now")?;
        anyhow::Ok(vm)
    };
    let (vm, path) = machine()?;
    let one = shared(vm, &path)?;
    let other = shared(TestVm::new(Kernel::Bulkhead612)?, &path)?;
    one.exec("echo first >/now/file")?;
    assert_eq!(other.exec("cat /now/file")?, "first");
    other.exec("echo second >>/now/file")?;
    assert_eq!(one.exec("cat /now/file")?, "first\nsecond");
    let append = |word: &str| format!("for n in $(seq 200); do echo {word} >>/share/log; done");
    let mut loads = [one.start(&append("one"))?, other.start(&append("other"))?];
    for load in &mut loads {
        assert!(load.wait()?.success());
    }
    let log = fs::read_to_string(path.join("log"))?;
    let count = |word: &str| log.lines().filter(|line| *line == word).count();
    assert_eq!((count("one"), count("other"), log.lines().count()), (200, 200, 400));
    Ok(())
}

/// Writes in random order, reads back and compares: through the guest's cache, past it, and by
/// mapping.
fn verified_load(transport: Transport) -> anyhow::Result<()> {
    let (vm, path) = machine()?;
    let vm = vm.transport(transport).with_tools()?;
    let vm = boot(vm.with_share("src", &path, |share, _| share.queues = 2)?)?;
    vm.mount_tools()?;
    vm.exec(
        "/tools/bin/fio --thread --directory=/share --rw=randwrite --size=8m --verify=crc32c \
         --verify_fatal=1 --verify_state_save=0 --bsrange=4k-256k --name=cached --ioengine=psync \
         --name=direct --ioengine=libaio --iodepth=8 --direct=1 \
         --name=mapped --ioengine=mmap --direct=0 --bsrange=4k-4k --size=2m",
    )?;
    let sum = vm.exec("cat /share/* | md5sum")?;
    vm.exec("umount /share")?;
    vm.exec(MOUNT)?;
    assert_eq!(vm.exec("cat /share/* | md5sum")?, sum);
    let written = vm.metric("bulkhead_fs_written_bytes_total{device=\"src\"}")?;
    assert!(written >= 18 << 20, "{written} bytes");
    Ok(())
}

#[test]
fn fio_reads_back_what_it_wrote_on_pci() -> anyhow::Result<()> {
    verified_load(Transport::Pci)
}

#[test]
fn fio_reads_back_what_it_wrote_on_mmio() -> anyhow::Result<()> {
    verified_load(Transport::Mmio)
}

#[test]
fn pauses_lose_nothing_of_what_fio_verifies() -> anyhow::Result<()> {
    let (vm, path) = machine()?;
    let vm = boot(vm.with_tools()?.with_share("src", &path, |_, _| ())?)?;
    vm.mount_tools()?;
    let mut load = vm.start(
        "/tools/bin/fio --name=load --thread --directory=/share --direct=1 --ioengine=libaio \
         --iodepth=16 --rw=randwrite --bs=4k --size=8m --verify=crc32c --verify_fatal=1",
    )?;
    let pace = Duration::from_millis(50);
    while vm.metric("bulkhead_fs_written_bytes_total{device=\"src\"}")? == 0 {
        ensure!(load.wait_timeout(pace)?.is_none(), "fio has ended and wrote nothing");
    }
    let mut pauses = 0;
    while pauses < 20 && load.wait_timeout(pace)?.is_none() {
        vm.api().pause()?;
        vm.api().resume()?;
        pauses += 1;
    }
    assert!(load.wait()?.success(), "fio read what it had not written");
    assert!(pauses >= 3, "the load was over after {pauses} pauses");
    Ok(())
}
