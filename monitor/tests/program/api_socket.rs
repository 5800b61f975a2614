//! What may be at the API socket's path already.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use super::harness::Place;

#[test]
fn socket_of_a_monitor_that_lives_is_refused_and_goes_on_working() {
    let first = Place::new().start();
    let second = Place::new();
    let said = second.failure(second.program(&format!("--api-sock {}", first.socket().display())));
    assert!(said.contains("it is in use"), "{said}");
    assert_eq!(first.state(), "Not started");
}

#[test]
fn stale_socket_is_replaced() {
    let place = Place::new();
    drop(UnixListener::bind(place.path("api.sock")).unwrap());
    assert_eq!(place.start().state(), "Not started");
}

#[test]
fn file_at_the_sockets_path_is_refused_and_stays() {
    let place = Place::new();
    place.write("api.sock", "mine");
    let said = place.failure(place.program(""));
    assert!(said.contains("api.sock: something else is there"), "{said}");
    assert_eq!(fs::read(place.path("api.sock")).unwrap(), b"mine");
}

/// In a folder where everybody may write, a link could lead anywhere.
#[test]
fn link_in_a_folder_of_everybody_is_neither_followed_nor_removed() {
    let place = Place::new();
    fs::create_dir(place.path("shared")).unwrap();
    let everybody = fs::Permissions::from_mode(0o1777);
    fs::set_permissions(place.path("shared"), everybody).unwrap();
    let link = place.path("shared/api.sock");
    symlink(place.path("stale"), &link).unwrap();
    let refused = || {
        let said = place.failure(place.program("--api-sock shared/api.sock"));
        assert!(said.contains("shared/api.sock: something else is there"), "{said}");
        assert!(link.is_symlink());
    };
    refused();
    drop(UnixListener::bind(place.path("stale")).unwrap());
    refused();
    assert!(place.path("stale").exists());
}

#[test]
fn socket_is_removed_at_the_end() {
    let mut monitor = Place::new().start_machine();
    assert!(monitor.socket().exists());
    assert!(monitor.end().success());
    assert!(!monitor.socket().exists());
}

/// A signal finds the machine from the moment on that its start was answered: it is ended in good
/// order, and not by the signal's default action.
#[test]
fn signal_right_after_the_start_ends_the_machine_in_good_order() {
    for _ in 0..30 {
        let mut monitor = Place::new().just_start_machine();
        let status = monitor.end();
        assert!(status.success(), "{status}: {}", monitor.said());
    }
}
