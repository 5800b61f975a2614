//! Files of a container, read and written by the host.

use std::{fs, io::Write, path::Path, process::Command};

use agent_protocol::{
    client::ExecSession,
    message::{
        ContainerFile, FailureKind, ReadArchive, ReadChanges, Reply, Request, StatPath, Stream,
        WriteArchive,
    },
};

use super::fixture::{Guest, ID, container, idle, kind_of, possible, text};

fn read_archive(guest: &Guest, path: &str, changes_only: bool) -> Vec<u8> {
    let request = ReadArchive {
        id: ID.into(),
        path: path.into(),
        changes_only,
        one_file_system: path == "/",
    };
    finish(guest.agent.client.session(Request::ReadArchive(request), &[Stream::Stdout]).unwrap())
}

fn finish(session: ExecSession) -> Vec<u8> {
    let output = session.finish(b"").unwrap();
    assert!(output.status.success());
    output.stdout
}

/// Unpacks with the host's tar, which judges what we wrote.
fn unpacked(archive: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("tar");
    command.args(["-x", "--xattrs", "--xattrs-include=*", "-C"]).arg(folder.path());
    let mut tar = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
    tar.stdin.take().unwrap().write_all(archive).unwrap();
    assert!(tar.wait().unwrap().success());
    folder
}

fn listed(archive: &[u8]) -> Vec<String> {
    let mut command = Command::new("tar");
    command.arg("-t").stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut tar = command.spawn().unwrap();
    tar.stdin.take().unwrap().write_all(archive).unwrap();
    let output = tar.wait_with_output().unwrap();
    assert!(output.status.success());
    text(&output.stdout).lines().map(str::to_owned).collect()
}

/// An archive of a folder, made by the host's tar.
fn packed(folder: &Path) -> Vec<u8> {
    let output = Command::new("tar").arg("-cC").arg(folder).arg(".").output().unwrap();
    assert!(output.status.success());
    output.stdout
}

fn write_archive(guest: &Guest, path: &str, archive: &[u8], keep_owners: bool) -> bool {
    let request = WriteArchive { id: ID.into(), path: path.into(), keep_kinds: true, keep_owners };
    let session =
        guest.agent.client.session(Request::WriteArchive(request), &[Stream::Stdin]).unwrap();
    session.finish(archive).unwrap().status.success()
}

fn changes(guest: &Guest) -> Vec<String> {
    let request = ReadChanges { id: ID.into() };
    let session =
        guest.agent.client.session(Request::ReadChanges(request), &[Stream::Stdout]).unwrap();
    let output = finish(session);
    output.split(|byte| *byte == 0).filter(|r| !r.is_empty()).map(text).collect()
}

const KINDS: &str = "mkdir -p /data/sub; echo hello > /data/file; ln /data/file /data/hard; \
    ln -s ../etc/passwd /data/link; mkfifo /data/pipe; chown 33:4 /data/sub; chmod 2750 /data/sub; \
    echo long > /data/sub/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; \
    rm /bin/date; echo changed >> /etc/group";

#[test]
fn a_folder_is_read_with_every_kind_of_file() {
    if !possible() {
        return;
    }
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let guest = Guest::new();
    guest.create(container(KINDS)).unwrap();
    guest.start(&[]).unwrap();
    // The container has ended: its files are there all the same.
    guest.wait();
    let folder = unpacked(&read_archive(&guest, "/data", false));
    let at = |name: &str| folder.path().join("data").join(name);
    assert_eq!(fs::read_to_string(at("file")).unwrap(), "hello\n");
    assert_eq!(fs::metadata(at("file")).unwrap().ino(), fs::metadata(at("hard")).unwrap().ino());
    assert_eq!(fs::read_link(at("link")).unwrap(), Path::new("../etc/passwd"));
    assert!(fs::metadata(at("pipe")).unwrap().file_type().is_fifo());
    let sub = fs::metadata(at("sub")).unwrap();
    assert_eq!((sub.uid(), sub.gid(), sub.mode() & 0o7777), (33, 4, 0o2750));
    assert_eq!(fs::read_dir(at("sub")).unwrap().count(), 1);
    let single = listed(&read_archive(&guest, "/data/file", false));
    assert_eq!(single, ["file"]);
}

#[test]
fn the_whole_root_is_read_without_what_is_mounted_in_it() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    guest.keep_running(idle());
    let names = listed(&read_archive(&guest, "/", false));
    assert!(names.contains(&"bin/busybox".to_owned()) && names.contains(&"proc/".to_owned()));
    assert!(!names.iter().any(|name| name.starts_with("proc/") && name != "proc/"));
    assert!(!names.contains(&"dev/null".to_owned()));
}

#[test]
fn changes_are_told_and_read_as_a_layer() {
    if !possible() {
        return;
    }
    let mut guest = Guest::new();
    // Whiteouts need a file system with attributes of its own.
    guest.add_writable("changes");
    let mut create = container(KINDS);
    create.rootfs.as_mut().unwrap().writable_serial = "changes".into();
    create.files =
        vec![ContainerFile { path: b"/etc/hosts".to_vec(), content: b"x\n".to_vec(), mode: 0o644 }];
    guest.create(create).unwrap();
    guest.start(&[]).unwrap();
    guest.wait();
    let told = changes(&guest);
    for expected in ["C /bin", "D /bin/date", "C /etc/group", "A /data", "A /data/file"] {
        assert!(told.iter().any(|line| line == expected), "{expected} in {told:?}");
    }
    for never in ["/proc", "/dev", "/sys", "/etc/hosts"] {
        assert!(!told.iter().any(|line| line.ends_with(never)), "{never} in {told:?}");
    }
    let layer = listed(&read_archive(&guest, "/", true));
    assert!(layer.contains(&"bin/.wh.date".to_owned()), "{layer:?}");
    assert!(layer.contains(&"data/file".to_owned()) && layer.contains(&"etc/group".to_owned()));
    assert!(!layer.iter().any(|name| name.starts_with("proc") || name.contains("busybox")));
}

#[test]
fn a_folder_that_only_the_agents_files_are_new_in_is_no_change() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    let hosts = ContainerFile { path: b"/etc/hosts".to_vec(), content: Vec::new(), mode: 0o644 };
    let mut create = container("true");
    create.files = vec![hosts.clone()];
    guest.create(create).unwrap();
    guest.start(&[]).unwrap();
    guest.wait();
    assert_eq!(changes(&guest), Vec::<String>::new());
    guest.delete();
    let mut create = container("echo new > /etc/motd; touch /tmp; chmod 700 /root");
    create.files = vec![hosts];
    guest.create(create).unwrap();
    guest.start(&[]).unwrap();
    guest.wait();
    assert_eq!(changes(&guest), ["C /etc", "A /etc/motd", "C /root", "C /tmp"]);
}

#[test]
fn an_archive_is_written_into_a_created_container() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    let source = tempfile::tempdir().unwrap();
    fs::create_dir(source.path().join("in")).unwrap();
    fs::write(source.path().join("in/file"), "from outside").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", source.path().join("in/link")).unwrap();
    std::os::unix::fs::chown(source.path().join("in/file"), Some(33), Some(4)).unwrap();
    guest
        .create(container(
            "cat /tmp/in/file; stat -c ' %u %g' /tmp/in/file /srv/in/file; head -1 /tmp/in/link",
        ))
        .unwrap();
    assert!(write_archive(&guest, "/tmp", &packed(source.path()), true));
    let request = StatPath { id: ID.into(), path: b"/srv".to_vec() };
    assert_eq!(kind_of(guest.request(Request::StatPath(request))).0, FailureKind::NoSuchPath);
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("srv")).unwrap();
    assert!(write_archive(&guest, "/", &packed(folder.path()), false));
    assert!(write_archive(&guest, "/srv", &packed(source.path()), false));
    let mut session = guest.start(&[Stream::Stdout]).unwrap();
    let output = super::fixture::read(session.stdout.take().unwrap());
    assert_eq!(output, "from outside 33 4\n 0 0\nroot:x:0:0:root:/root:/bin/sh\n");
}

#[test]
fn a_folder_is_not_replaced_by_a_file_and_no_name_leads_out() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    guest.keep_running(idle());
    let source = tempfile::tempdir().unwrap();
    fs::write(source.path().join("bin"), "no folder").unwrap();
    assert!(!write_archive(&guest, "/", &packed(source.path()), false));
    assert_eq!(guest.exec_sh("ls /bin/busybox"), "/bin/busybox\n");
    let outside = tempfile::tempdir().unwrap();
    let mut evil = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(4);
    header.as_gnu_mut().unwrap().name[..12].copy_from_slice(b"../../escape");
    header.set_cksum();
    evil.append(&header, &b"evil"[..]).unwrap();
    assert!(!write_archive(&guest, "/tmp", &evil.into_inner().unwrap(), false));
    // A link that leads out of the container, and a file through it.
    let mut evil = tar::Builder::new(Vec::new());
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    link.set_mode(0o777);
    link.set_uid(0);
    link.set_gid(0);
    evil.append_link(&mut link, "way", outside.path()).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_size(4);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    evil.append_data(&mut header, "way/file", &b"evil"[..]).unwrap();
    assert!(write_archive(&guest, "/tmp", &evil.into_inner().unwrap(), false));
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    let inside = guest.exec_sh("cat /tmp/way/file");
    assert_eq!(inside, "evil");
}

#[test]
fn a_path_is_described_without_following_its_last_link() {
    if !possible() {
        return;
    }
    let guest = Guest::new();
    guest.keep_running(idle());
    let status = |path: &str| {
        let request = StatPath { id: ID.into(), path: path.into() };
        guest.request(Request::StatPath(request))
    };
    let Reply::PathStatus(link) = status("/bin/sh").unwrap() else { panic!("no status") };
    assert_eq!((text(&link.name), text(&link.link_target)), ("sh".into(), "/bin/busybox".into()));
    assert_eq!(link.mode & 0o170_000, 0o120_000);
    let Reply::PathStatus(file) = status("/etc/passwd").unwrap() else { panic!("no status") };
    assert!(file.size > 10 && file.modified_ns > 0);
    let (kind, message) = kind_of(status("/none"));
    assert_eq!(
        (kind, message.as_str()),
        (FailureKind::NoSuchPath, "No such path in the container: /none",)
    );
}
