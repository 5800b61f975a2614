//! Whom files belong to.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

use super::guest::Guest;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A guest whose monitor can only make files of its own user. Tests are processes or threads of
/// their own, so that others keep what they have.
fn unprivileged() -> Guest {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, sets).unwrap();
    let mut guest = Guest::new();
    guest.begin().unwrap();
    guest
}

/// Whether the host's temporary folder has extended attributes of users.
fn has_attributes(guest: &Guest) -> bool {
    let path = guest.path("");
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&path, c"user.probe", b"", flags).is_ok()
}

#[test]
fn what_a_user_of_the_guest_makes_belongs_to_that_user_where_the_monitor_is_root() {
    if !is_root() {
        return;
    }
    let mut guest = Guest::new();
    guest.user = (1234, 5678);
    let (entry, _) = guest.create("file", 0o640).unwrap();
    let metadata = fs::metadata(guest.path("file")).unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), (1234, 5678));
    assert_eq!(guest.owner(entry.node), (libc::S_IFREG | 0o640, 1234, 5678));
    guest.user = (0, 0);
    guest.create("roots", 0o640).unwrap();
    assert_eq!(fs::metadata(guest.path("roots")).unwrap().uid(), 0);
    let (uid, gid) = (1 << 1, 1 << 2);
    guest.setattr(entry.node, uid | gid, &[(76, 42), (80, 43)]).unwrap();
    let metadata = fs::metadata(guest.path("file")).unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), (42, 43));
}

#[test]
fn folder_of_a_group_gives_its_group_to_what_is_made_in_it() {
    if !is_root() {
        return;
    }
    let mut guest = Guest::new();
    std::os::unix::fs::chown(guest.path(""), None, Some(777)).unwrap();
    fs::set_permissions(guest.path(""), fs::Permissions::from_mode(0o2775)).unwrap();
    guest.user = (1234, 5678);
    guest.create("file", 0o640).unwrap();
    let metadata = fs::metadata(guest.path("file")).unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), (1234, 777));
}

#[test]
fn files_of_the_monitors_user_are_roots_in_the_guest() {
    let mut guest = unprivileged();
    fs::write(guest.path("file"), "").unwrap();
    let node = guest.node("file");
    let (_, uid, gid) = guest.owner(node);
    assert_eq!((uid, gid), (0, 0));
}

#[test]
fn owner_that_cannot_be_is_recorded_and_shown_to_every_guest() {
    let mut guest = unprivileged();
    if !has_attributes(&guest) {
        return;
    }
    guest.user = (999, 998);
    let (entry, _) = guest.create("data", 0o600).unwrap();
    let own = fs::metadata(guest.path("")).unwrap().uid();
    assert_eq!(fs::metadata(guest.path("data")).unwrap().uid(), own);
    assert_eq!(guest.owner(entry.node), (libc::S_IFREG | 0o600, 999, 998));
    guest.setattr(entry.node, 1 << 1, &[(76, 70)]).unwrap();
    guest.begin().unwrap();
    let node = guest.node("data");
    assert_eq!(guest.owner(node), (libc::S_IFREG | 0o600, 70, 998));
}

#[test]
fn mode_that_would_lock_the_monitor_out_is_recorded_and_the_file_still_served() {
    let mut guest = unprivileged();
    if !has_attributes(&guest) {
        return;
    }
    let (entry, fh) = guest.create("file", 0o644).unwrap();
    guest.write(fh, 0, b"content", (0, 0)).unwrap();
    guest.setattr(entry.node, 1, &[(68, 0)]).unwrap();
    assert_eq!(guest.owner(entry.node).0, libc::S_IFREG);
    // Whether its owner may is for the guest to say; its root may.
    let fh = guest.open(entry.node, libc::O_RDONLY).unwrap();
    assert_eq!(guest.read(fh, 0, 10).unwrap(), b"content");
    guest.setattr(entry.node, 1, &[(68, 0o4755)]).unwrap();
    assert_eq!(guest.owner(entry.node).0, libc::S_IFREG | 0o4755);
    let mode = fs::metadata(guest.path("file")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755, "the host's bit would be the monitor's user's");
}
