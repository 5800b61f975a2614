//! What a container sees of its file systems, and what a hostile image cannot do.

use std::{
    fs,
    os::unix::fs::{chown, symlink},
};

use agent_protocol::message::{ContainerFile, ContainerMount, FailureKind, MountKind};

use super::fixture::{Guest, container, idle, kind_of, possible, process};

#[test]
fn nothing_of_the_machine_is_left() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    let mounts = guest.sh("cut -d' ' -f2,3 /proc/mounts");
    let expected = "/ overlay\n/proc proc\n/sys sysfs\n/sys/fs/cgroup cgroup2\n/dev tmpfs\n\
                    /dev/pts devpts\n/dev/shm tmpfs\n/dev/mqueue mqueue\n";
    assert_eq!(mounts, expected);
    assert_eq!(
        guest.sh("ls /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty | wc -l"),
        "6\n"
    );
    assert_eq!(guest.sh("echo x > /dev/null; echo $?; ls -A /dev/pts"), "0\nptmx\n");
    let closed = guest.sh("touch /sys/x; echo 1 > /sys/fs/cgroup/cgroup.freeze");
    assert_eq!(closed.matches("Read-only file system").count(), 2, "{closed}");
}

#[test]
fn later_layers_hide_what_is_in_earlier_ones() {
    if !possible() {
        return;
    }
    let mut guest = Guest::with_image(|root| fs::write(root.join("etc/motd"), "below\n").unwrap());
    let upper = tempfile::tempdir().unwrap();
    fs::create_dir(upper.path().join("etc")).unwrap();
    fs::write(upper.path().join("etc/motd"), "above\n").unwrap();
    guest.add_layer(2, upper.path());
    let mut create = container("cat /etc/motd; id -un");
    create.rootfs.as_mut().unwrap().layers = vec![1, 2];
    assert_eq!(guest.run(create).0, "above\nroot\n");
}

#[test]
fn a_read_only_root_takes_nothing_but_its_mounts() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    let mut create = container(
        "touch /file; touch /scratch/file && echo fine; df /scratch | tail -1 | tr -s ' ' | cut -d' ' -f2",
    );
    create.rootfs.as_mut().unwrap().read_only = true;
    create.mounts = vec![ContainerMount {
        kind: MountKind::Tmpfs.into(),
        target: b"/scratch".to_vec(),
        options: "size=1m,noexec".into(),
        ..ContainerMount::default()
    }];
    let (output, _) = guest.run(create);
    assert_eq!(output, "touch: /file: Read-only file system\nfine\n1024\n");
}

#[test]
fn masked_paths_are_empty_and_closed_ones_take_no_writes() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    let script = "cat /proc/keys | wc -c; ls /proc/acpi /sys/firmware 2>/dev/null | grep -v :; \
                  echo 1 > /proc/sys/kernel/panic";
    let mut create = container(script);
    create.masked_paths =
        ["/proc/keys", "/proc/acpi", "/sys/firmware", "/none/such"].map(Into::into).to_vec();
    create.readonly_paths = vec![b"/proc/sys".to_vec()];
    let (output, _) = guest.run(create);
    let (first, rest) = output.split_once('\n').unwrap();
    assert_eq!(first, "0");
    assert!(
        rest.trim_start().ends_with("/proc/sys/kernel/panic: Read-only file system\n"),
        "{output}"
    );
}

#[test]
fn proc_cannot_be_a_link_of_the_image() {
    if !possible() {
        return;
    }
    let guest = Guest::with_image(|root| symlink("/tmp", root.join("proc")).unwrap());
    let (kind, message) = kind_of(guest.create(idle()));
    assert_eq!(kind, FailureKind::InvalidRequest);
    assert_eq!(message, "The image has something other than a folder at /proc");
}

#[test]
fn targets_behind_links_stay_in_the_container() {
    if !possible() {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("hosts");
    let guest = Guest::with_image(|root| {
        symlink(&target, root.join("etc/hosts")).unwrap();
        symlink("/proc/1/root/../../../../tmp", root.join("volume")).unwrap();
    });
    let mut create = container("cat /etc/hosts; ls /tmp");
    create.files = vec![ContainerFile {
        path: b"/etc/hosts".to_vec(),
        content: b"ours\n".to_vec(),
        mode: 0o644,
    }];
    create.mounts = vec![ContainerMount {
        kind: MountKind::Tmpfs.into(),
        target: b"/volume/below".to_vec(),
        ..ContainerMount::default()
    }];
    let (output, code) = guest.run(create);
    assert_eq!(code, 0, "{output}");
    assert!(output.starts_with("ours\n"), "{output}");
    assert!(!target.exists());
}

#[test]
fn users_of_a_hostile_image_are_found_or_not_but_never_outside() {
    if !possible() {
        return;
    }
    // More than is read, in no space at all.
    let huge = Guest::with_image(|root| {
        let file = fs::File::options().write(true).open(root.join("etc/passwd")).unwrap();
        file.set_len(1 << 30).unwrap();
    });
    let mut create = container("id -u");
    process(&mut create).user = "web".into();
    assert_eq!(huge.run(create).0, "33\n");
    let outside = tempfile::tempdir().unwrap();
    let passwd = outside.path().join("passwd");
    fs::write(&passwd, "spy:x:77:77::/:/bin/sh\n").unwrap();
    let linked = Guest::with_image(|root| {
        fs::remove_file(root.join("etc/passwd")).unwrap();
        symlink(&passwd, root.join("etc/passwd")).unwrap();
        fs::remove_file(root.join("etc/group")).unwrap();
        symlink("/dev/zero", root.join("etc/group")).unwrap();
    });
    let mut create = idle();
    process(&mut create).user = "spy".into();
    assert_eq!(kind_of(linked.create(create)).0, FailureKind::NoSuchUser);
}

#[test]
fn a_new_volume_is_filled_with_what_the_image_has_there() {
    if !possible() {
        return;
    }
    let guest = Guest::with_image(|root| {
        fs::create_dir_all(root.join("srv/data/sub")).unwrap();
        fs::write(root.join("srv/data/sub/file"), "from the image\n").unwrap();
        fs::hard_link(root.join("srv/data/sub/file"), root.join("srv/data/other")).unwrap();
        chown(root.join("srv/data/sub/file"), Some(33), Some(4)).unwrap();
    });
    let script = "grep -c ' /srv/data tmpfs' /proc/mounts; cd /srv/data; cat sub/file; \
                  stat -c '%u %g %h' other; touch /srv/data/new && echo writable";
    let mut create = container(script);
    create.mounts = vec![ContainerMount {
        kind: MountKind::Tmpfs.into(),
        target: b"/srv/data".to_vec(),
        populate: true,
        ..ContainerMount::default()
    }];
    assert_eq!(guest.run(create).0, "1\nfrom the image\n33 4 2\nwritable\n");
}
