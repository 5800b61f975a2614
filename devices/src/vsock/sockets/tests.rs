use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;

use super::*;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn host_program_is_accepted_and_then_nobody_waits() {
    let folder = folder();
    let path = folder.path().join("v.sock");
    let sockets = HostSockets::bind(&path).unwrap();
    let _client = UnixStream::connect(&path).unwrap();
    assert!(sockets.accept().unwrap().is_some());
    assert!(sockets.accept().unwrap().is_none());
}

#[test]
fn guests_connection_arrives_at_the_socket_of_its_port() {
    let folder = folder();
    let sockets = HostSockets::bind(&folder.path().join("v.sock")).unwrap();
    let listener = UnixListener::bind(folder.path().join("v.sock_52")).unwrap();
    sockets.connect(52).unwrap();
    listener.accept().unwrap();
    let error = sockets.connect(53).unwrap_err();
    assert_eq!(error.to_string(), "failed to connect to v.sock_53");
}

#[test]
fn renamed_folder_is_still_reached() {
    let folder = folder();
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    std::fs::create_dir(&old).unwrap();
    let sockets = HostSockets::bind(&old.join("v.sock")).unwrap();
    std::fs::rename(&old, &new).unwrap();
    let _listener = UnixListener::bind(new.join("v.sock_1")).unwrap();
    sockets.connect(1).unwrap();
}

#[test]
fn path_longer_than_a_socket_address_is_bound() {
    let folder = folder();
    let deep = folder.path().join("d".repeat(120));
    std::fs::create_dir(&deep).unwrap();
    HostSockets::bind(&deep.join("v.sock")).unwrap();
}

#[test]
fn full_queue_of_a_host_program_fails_at_once() {
    let folder = folder();
    let sockets = HostSockets::bind(&folder.path().join("v")).unwrap();
    let listener = stream_socket().unwrap();
    let address = SocketAddrUnix::new(folder.path().join("v_1")).unwrap();
    rustix::net::bind(&listener, &address).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let _first = sockets.connect(1).unwrap();
    let error = sockets.connect(1).unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn stale_socket_is_replaced() {
    let folder = folder();
    let path = folder.path().join("v");
    drop(UnixListener::bind(&path).unwrap());
    HostSockets::bind(&path).unwrap();
}

#[test]
fn live_socket_is_left_alone() {
    let folder = folder();
    let path = folder.path().join("v");
    let listener = UnixListener::bind(&path).unwrap();
    assert!(matches!(HostSockets::bind(&path), Err(BindError::InUse(p)) if p == path));
    UnixStream::connect(&path).unwrap();
    drop(listener);
}

#[test]
fn symbolic_link_and_plain_file_are_left_alone() {
    let folder = folder();
    let (link, file) = (folder.path().join("link"), folder.path().join("file"));
    symlink(folder.path().join("elsewhere"), &link).unwrap();
    std::fs::write(&file, "precious").unwrap();
    assert!(matches!(HostSockets::bind(&link), Err(BindError::Occupied(_))));
    assert!(matches!(HostSockets::bind(&file), Err(BindError::Occupied(_))));
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    assert!(!folder.path().join("elsewhere").exists());
}

#[test]
fn missing_folder_is_named() {
    let error = HostSockets::bind(Path::new("/nonexistent/v.sock")).unwrap_err();
    assert_eq!(error.to_string(), "failed to open the folder /nonexistent");
    assert!(matches!(HostSockets::bind(Path::new("/")), Err(BindError::NoName(_))));
}

#[test]
fn file_is_removed_on_drop_unless_it_is_anothers() {
    let folder = folder();
    let path = folder.path().join("v");
    drop(HostSockets::bind(&path).unwrap());
    assert!(!path.exists());
    let sockets = HostSockets::bind(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    drop(sockets);
    assert!(path.exists());
}
