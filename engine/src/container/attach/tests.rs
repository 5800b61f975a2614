//! A client that leaves by its keys. There is no machine: what it gives goes into a pipe.

use std::time::Duration;

use bollard_stubs::models::ContainerCreateBody;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex, sink};
use tokio::time::timeout;

use super::*;
use crate::container::played;
use crate::http::tests::Served;

const SOON: Duration = Duration::from_secs(20);

/// A container with a terminal, or without.
async fn container(tty: bool) -> (Served, Arc<Container>) {
    let (served, engine) = played::engine_with_image().await;
    let body = ContainerCreateBody {
        image: Some("base".to_owned()),
        cmd: Some(vec!["cat".to_owned()]),
        tty: Some(tty),
        open_stdin: Some(true),
        ..ContainerCreateBody::default()
    };
    let made = engine.containers.create(Some("one"), None, body).await.unwrap();
    (served, made.container)
}

fn options(keys: &str) -> AttachOptions {
    let keys = keys.parse().unwrap();
    AttachOptions { stdin: true, stdout: true, stream: true, keys, ..AttachOptions::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_a_client_end_its_connection_and_not_the_container() {
    let (_served, container) = container(true).await;
    let (way_in, mut inside) = duplex(64);
    container.streams.input.open(Box::new(way_in));
    let mut events = container.ground.events.listen(None);
    let (mut client, input) = duplex(64);
    let serving = container.attach(options("ctrl-x,y")).unwrap().serve(input, sink());
    client.write_all(b"ls\x18x\x18yrest").await.unwrap();
    timeout(SOON, serving).await.expect("it goes on");
    let mut typed = [0; 4];
    inside.read_exact(&mut typed).await.unwrap();
    assert_eq!(&typed, b"ls\x18x");
    for action in ["attach", "detach"] {
        let event = timeout(SOON, events.next()).await.expect(action).unwrap().unwrap();
        assert_eq!(event.action, action);
    }
    // Nothing more came, and the way in is open for the next one.
    let (mut next, input) = duplex(64);
    let serving = tokio::spawn(container.attach(options("ctrl-p")).unwrap().serve(input, sink()));
    next.write_all(b"!\x10").await.unwrap();
    timeout(SOON, serving).await.expect("it goes on").unwrap();
    inside.read_exact(&mut typed[..1]).await.unwrap();
    assert_eq!(typed[0], b'!');
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_no_key_means_anything() {
    let (_served, container) = container(false).await;
    let (way_in, mut inside) = duplex(64);
    container.streams.input.open(Box::new(way_in));
    let (mut client, input) = duplex(64);
    let serving = tokio::spawn(container.attach(options("ctrl-p")).unwrap().serve(input, sink()));
    client.write_all(b"a\x10b").await.unwrap();
    let mut typed = [0; 3];
    timeout(SOON, inside.read_exact(&mut typed)).await.expect("bytes are missing").unwrap();
    assert_eq!(&typed, b"a\x10b");
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_while_nothing_is_said_is_let_go() {
    let (served, container) = container(false).await;
    let mut client = served.connect().await;
    let request = "POST /containers/one/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: x\r\n\
                   Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(timeout(SOON, client.read_u8()).await.unwrap().unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    // It has no more to say, and still listens.
    client.shutdown().await.unwrap();
    let gone = container.streams.first_has_gone();
    tokio::pin!(gone);
    timeout(Duration::from_millis(100), &mut gone).await.expect_err("it was let go");
    drop(client);
    timeout(SOON, gone).await.expect("it is kept");
}
