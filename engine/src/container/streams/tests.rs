//! Streams without a guest: pipes in memory.

use std::time::Duration;

use tokio::io::{AsyncWriteExt, duplex};
use tokio::time::timeout;

use super::*;
use crate::container::logs::Selection;
use crate::container::spec::LogSpec;

const SOON: Duration = Duration::from_secs(20);

fn streams() -> (tempfile::TempDir, Streams) {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(folder.path(), "c", LogSpec::Files { max_size: 1 << 30, max_files: 1 });
    log.begin();
    (folder, Streams::new(log))
}

async fn everything(mut client: Attached) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some((_, chunk)) = client.next().await {
        all.extend_from_slice(&chunk);
    }
    all
}

#[tokio::test]
async fn clients_get_the_streams_they_asked_for() {
    let (_folder, streams) = streams();
    let (both, errors) = (streams.attach(true, true), streams.attach(false, true));
    streams.pump(Source::Stdout, &b"out"[..]).await;
    streams.pump(Source::Stderr, &b"err"[..]).await;
    streams.end_run();
    assert_eq!(everything(both).await, b"outerr");
    assert_eq!(everything(errors).await, b"err");
}

#[tokio::test]
async fn nothing_is_lost_by_a_client_that_reads_late() {
    let (_folder, streams) = streams();
    let client = streams.attach(true, false);
    let sent = vec![b'x'; 4 << 20];
    let (mut guest, ours) = duplex(64 << 10);
    let pumping = {
        let streams = streams.clone();
        tokio::spawn(async move {
            streams.pump(Source::Stdout, ours).await;
            streams.end_run();
        })
    };
    let writing = {
        let sent = sent.clone();
        tokio::spawn(async move { guest.write_all(&sent).await })
    };
    let got = timeout(SOON, everything(client)).await.unwrap();
    assert_eq!(got.len(), sent.len());
    writing.await.unwrap().unwrap();
    pumping.await.unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_the_container_up_within_a_bound() {
    let (_folder, streams) = streams();
    let client = streams.attach(true, false);
    let (mut guest, ours) = duplex(1 << 10);
    let pumping = {
        let streams = streams.clone();
        tokio::spawn(async move { streams.pump(Source::Stdout, ours).await })
    };
    let chunk = vec![b'x'; 100_000];
    let mut taken = 0;
    while timeout(Duration::from_millis(200), guest.write_all(&chunk)).await.is_ok() {
        taken += chunk.len();
        assert!(taken < 2_000_000, "it grows");
    }
    // As much as with Docker.
    assert!(taken >= 900_000, "{taken}");
    // It goes: the container goes on.
    drop(client);
    timeout(SOON, guest.write_all(&chunk)).await.unwrap().unwrap();
    drop(guest);
    timeout(SOON, pumping).await.unwrap().unwrap();
}

#[tokio::test]
async fn short_chunks_wait_by_their_bytes_and_not_by_their_number() {
    let (_folder, streams) = streams();
    let client = streams.attach(true, false);
    for _ in 0..1000 {
        timeout(SOON, streams.pump(Source::Stdout, &b"a line\n"[..])).await.unwrap();
    }
    streams.end_run();
    assert_eq!(everything(client).await.len(), 7000);
}

#[tokio::test]
async fn those_who_follow_the_log_hold_up_nobody() {
    let (_folder, streams) = streams();
    let selection = Selection { follow: true, ..Selection::ALL };
    let _idle = streams.log().read(selection).await.unwrap();
    let bytes = vec![b'\n'; 1 << 20];
    timeout(SOON, streams.pump(Source::Stdout, &bytes[..])).await.unwrap();
}

#[tokio::test]
async fn input_given_before_the_start_arrives() {
    let (_folder, streams) = streams();
    let feeding = {
        let input = streams.input.clone();
        tokio::spawn(async move { input.feed(&b"typed"[..], None).await })
    };
    let (mut guest, ours) = duplex(64);
    streams.input.open(Box::new(ours));
    assert_eq!(timeout(SOON, feeding).await.unwrap().unwrap(), Given::ClientEnded);
    let mut got = [0; 5];
    guest.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"typed");
}

#[tokio::test]
async fn the_end_of_a_run_lets_those_go_who_give_input() {
    let (_folder, streams) = streams();
    let (_guest, ours) = duplex(64);
    streams.input.open(Box::new(ours));
    let (_client, typing) = duplex(64);
    let feeding = {
        let input = streams.input.clone();
        tokio::spawn(async move { input.feed(typing, None).await })
    };
    tokio::task::yield_now().await;
    streams.end_run();
    assert_eq!(timeout(SOON, feeding).await.unwrap().unwrap(), Given::ContainerEnded);
}
