use agent_protocol::message::Exited;
use tokio::net::UnixStream;

use super::*;
use crate::agent::tests::{next, reply};
use crate::container::played;
use crate::http::tests::Served;
use crate::sandbox::PlayedMachine;

#[test]
fn changes_are_read() {
    assert_eq!(change(b"A /a b\0").unwrap().path, "/a b");
    assert_eq!(change(b"D /gone").unwrap().kind, ChangeType::_2);
    assert_eq!(change(b"X /what\0"), None);
    assert_eq!(change(b"C"), None);
}

#[tokio::test]
async fn a_guest_that_tells_of_changes_without_end_is_cut_off() {
    let told = &b"A /one\0A /two\0"[..];
    let read = async |records, bytes| read_changes("one", told, Most { records, bytes }).await;
    assert_eq!(read(2, told.len()).await.unwrap().len(), 2);
    read(1, told.len()).await.unwrap_err();
    read(2, told.len() - 1).await.unwrap_err();
    // Whether they are understood or not.
    let endless = tokio::io::repeat(b'x');
    read_changes("one", endless, Most { records: 1000, bytes: 1 << 20 }).await.unwrap_err();
}

/// A container that runs in a machine, the guest's end of its connection, and the machine.
async fn running() -> (Served, Arc<Container>, PlayedMachine, UnixStream) {
    let (served, engine) = played::engine_with_image().await;
    let container = played::container(&engine, "one").await;
    let (machine, guest) = played::run(&container).await;
    (served, container, machine, guest)
}

fn assert_silent(error: &ContainerError) {
    let ContainerError::Silent { container, limit } = error else { panic!("{error}") };
    assert_eq!((container.as_str(), *limit), ("one", Duration::from_secs(30)));
}

#[tokio::test]
async fn an_export_whose_guest_falls_silent_breaks_off() {
    let (_served, container, machine, mut guest) = running().await;
    let access = container.access().await.unwrap();
    let write = WriteArchive { path: b"/".to_vec(), ..WriteArchive::default() };
    let beginning = async {
        let (stream, _) = machine.begin_transfer(&mut guest).await;
        played::hurry();
        stream
    };
    let writing = access.write(write, tokio::io::repeat(b'x'));
    let (written, _stream) = tokio::join!(writing, beginning);
    assert_silent(&written.unwrap_err());
}

#[tokio::test(start_paused = true)]
async fn a_client_may_take_its_time() {
    let hour = Duration::from_secs(3600);
    let archive = [7; 1000];
    let (sink, mut client) = tokio::io::duplex(64);
    let reading = async {
        tokio::time::sleep(hour).await;
        let mut read = Vec::new();
        client.read_to_end(&mut read).await.unwrap();
        read
    };
    let given = async { from_guest("one", &archive[..], sink).await.unwrap() };
    assert_eq!(tokio::join!(given, reading).1, archive);
    let (mut client, source) = tokio::io::duplex(64);
    let writing = async move {
        tokio::time::sleep(hour).await;
        client.write_all(&archive).await.unwrap();
    };
    let mut taken = Vec::new();
    let (given, ()) = tokio::join!(to_guest("one", source, &mut taken), writing);
    given.unwrap();
    assert_eq!(taken, archive);
    let (_client, silent) = tokio::io::duplex(64);
    assert_silent(&from_guest("one", silent, tokio::io::sink()).await.unwrap_err());
}

#[tokio::test]
async fn an_archive_without_a_place_to_unpack_it_is_a_bad_request() {
    let (served, _container, _machine, _guest) = running().await;
    for query in ["", "?path=", "?copyUIDGID=1"] {
        let path = format!("/containers/one/archive{query}");
        let (status, said) = served.call("PUT", &path, "").await;
        assert_eq!(status, 400, "{path}: {said}");
        assert!(said.contains("\\\"path\\\" cannot be empty"), "{path}: {said}");
    }
}

#[tokio::test]
async fn an_archive_that_is_to_be_unpacked_into_a_file_is_a_bad_request() {
    let (served, _container, machine, mut guest) = running().await;
    let put = served.call("PUT", "/containers/one/archive?path=etc/motd", "archive");
    // The agent does not say why; it is asked what is there.
    let refusing = async {
        let (mut stream, id) = machine.begin_transfer(&mut guest).await;
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        let exited = Exited { session: 9, code: 1, ..Exited::default() };
        reply(&mut guest, id, Reply::Exited(exited)).await;
        let asked = next(&guest).await;
        let Some(Request::StatPath(stat)) = asked.request else { panic!("{asked:?}") };
        assert_eq!(stat.path, b"/etc/motd");
        let status = PathStatus { mode: 0o100_644, ..PathStatus::default() };
        reply(&mut guest, asked.id, Reply::PathStatus(status)).await;
    };
    let ((status, said), ()) = tokio::join!(put, refusing);
    assert_eq!(status, 400, "{said}");
    assert!(said.contains("extraction point is not a directory"), "{said}");
}
