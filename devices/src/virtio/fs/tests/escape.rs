//! Ways out that there are not.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::guest::{Guest, ROOT, text};
use crate::fs::Opcode;

#[test]
fn names_that_lead_out_are_none() {
    let mut guest = Guest::new();
    fs::create_dir(guest.path("in")).unwrap();
    let inside = guest.node("in");
    for name in ["..", ".", "../share", "/", "/etc", "in/x", "in/..", "./in"] {
        assert_eq!(guest.lookup(ROOT, name), Err(libc::EINVAL), "{name}");
        assert_eq!(guest.lookup(inside, name), Err(libc::EINVAL), "{name}");
    }
    assert_eq!(guest.create("../out", 0o644), Err(libc::EINVAL));
    let body = [&ROOT.to_le_bytes()[..], &text("in"), &text("../out")].concat();
    assert_eq!(guest.ask(Opcode::Rename, ROOT, &body), Err(libc::EINVAL));
    assert!(!guest.folder.path().join("out").exists());
}

#[test]
fn nothing_is_looked_up_or_made_through_a_symbolic_link() {
    let mut guest = Guest::new();
    symlink("/etc", guest.path("link")).unwrap();
    symlink("..", guest.path("up")).unwrap();
    for name in ["link", "up"] {
        let node = guest.node(name);
        assert_eq!(guest.lookup(node, "passwd"), Err(libc::ENOTDIR));
        assert_eq!(guest.ask(Opcode::Opendir, node, &[0; 8]), Err(libc::ENOTDIR));
        assert_eq!(guest.ask(Opcode::Unlink, node, &text("passwd")), Err(libc::ENOTDIR));
    }
}

#[test]
fn link_that_takes_a_files_place_is_not_opened() {
    let mut guest = Guest::new();
    fs::write(guest.folder.path().join("secret"), "secret").unwrap();
    fs::write(guest.path("file"), "mine").unwrap();
    let node = guest.node("file");
    fs::remove_file(guest.path("file")).unwrap();
    symlink("../secret", guest.path("file")).unwrap();
    let fh = guest.open(node, libc::O_RDONLY).unwrap();
    assert_eq!(guest.read(fh, 0, 10).unwrap(), b"mine");
    // Made anew by somebody who believes that there is nothing.
    let mut body = vec![0; 16];
    body[0] = libc::O_RDWR as u8;
    body.extend_from_slice(&text("file"));
    assert_eq!(guest.ask(Opcode::Create, ROOT, &body), Err(libc::EACCES));
}

#[test]
fn metadata_of_a_links_target_stays() {
    let mut guest = Guest::new();
    let secret = guest.folder.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    let before = fs::metadata(&secret).unwrap();
    symlink("../secret", guest.path("link")).unwrap();
    let node = guest.node("link");
    let (mode, size, times) = (1 << 0, 1 << 3, 1 << 7 | 1 << 8);
    assert_eq!(guest.setattr(node, mode, &[(68, 0o777)]), Err(libc::EOPNOTSUPP));
    assert_eq!(guest.setattr(node, size, &[(16, 0)]), Err(libc::EACCES));
    guest.setattr(node, times, &[]).unwrap();
    guest.setattr(node, 1 << 1, &[(76, 7)]).unwrap();
    let after = fs::metadata(&secret).unwrap();
    assert_eq!(before.permissions(), after.permissions());
    assert_eq!(
        (before.len(), before.modified().unwrap()),
        (after.len(), after.modified().unwrap())
    );
    use std::os::unix::fs::MetadataExt;
    assert_eq!(before.uid(), after.uid());
}

#[test]
fn walk_stays_inside_while_the_host_exchanges_folders_and_links() {
    let mut guest = Guest::new();
    fs::write(guest.folder.path().join("secret"), "secret").unwrap();
    fs::create_dir(guest.path("a")).unwrap();
    fs::create_dir(guest.path("a/b")).unwrap();
    symlink("../..", guest.path("link")).unwrap();
    let end = Arc::new(AtomicBool::new(false));
    let (a, link, seen) = (guest.path("a"), guest.path("link"), Arc::clone(&end));
    let exchanger = std::thread::spawn(move || {
        let mut rounds = 0_u32;
        while !seen.load(Ordering::Relaxed) {
            let cwd = rustix::fs::CWD;
            let exchange = rustix::fs::RenameFlags::EXCHANGE;
            rustix::fs::renameat_with(cwd, &a, cwd, &link, exchange).unwrap();
            rounds += 1;
        }
        rounds
    });
    let (mut folders, mut links) = (0, 0);
    for round in 0.. {
        let Ok(entry) = guest.lookup(ROOT, "a") else { panic!("both names are always there") };
        match entry.mode & libc::S_IFMT {
            libc::S_IFDIR => folders += 1,
            libc::S_IFLNK => links += 1,
            mode => panic!("{mode:o}"),
        }
        assert!(guest.lookup(entry.node, "secret").is_err());
        assert!(guest.create("a/secret", 0o644).is_err());
        if round > 2000 && folders > 0 && links > 0 {
            break;
        }
    }
    end.store(true, Ordering::Relaxed);
    assert!(exchanger.join().unwrap() > 0);
}
