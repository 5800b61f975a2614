//! Events and console.

use serde_json::json;

use super::*;

#[test]
fn events_arrive_as_they_happen() {
    let server = TestServer::start();
    server.events.publish("before", json!({}));
    let mut events = server.client().events(None).unwrap();
    server.events.publish("started", json!({"cpus": 2}));
    let event = events.next().unwrap().unwrap();
    assert_eq!((event.id, event.event.as_str()), (2, "started"));
    assert_eq!(event.data, json!({"cpus": 2}));
}

#[test]
fn events_of_the_past_are_had_by_saying_since_when() {
    let server = TestServer::start();
    server.events.publish("a", json!({}));
    server.events.publish("b", json!({}));
    let events = server.client().events(Some(0)).unwrap();
    let names: Vec<_> = events.take(2).map(|event| event.unwrap().event).collect();
    assert_eq!(names, ["a", "b"]);
    let mut events = server.client().events(Some(1)).unwrap();
    assert_eq!(events.next().unwrap().unwrap().event, "b");
}

#[test]
fn events_end_when_the_machine_does() {
    let server = TestServer::start();
    let mut events = server.client().events(None).unwrap();
    server.events.publish("exited", json!({}));
    server.events.close();
    assert_eq!(events.next().unwrap().unwrap().event, "exited");
    assert!(events.next().is_none());
}

#[test]
fn many_followers_get_every_event() {
    let server = TestServer::start();
    let followers: Vec<_> = (0..20)
        .map(|_| {
            let events = server.client().events(Some(0)).unwrap();
            std::thread::spawn(move || events.take(50).map(|e| e.unwrap().id).collect::<Vec<_>>())
        })
        .collect();
    for _ in 0..50 {
        server.events.publish("tick", json!({}));
    }
    for follower in followers {
        assert_eq!(follower.join().unwrap(), (1..=50).collect::<Vec<_>>());
    }
}

#[test]
fn console_carries_bytes_both_ways() {
    let server = TestServer::start();
    let (mut client, early) = server.client().attach_console(None).unwrap();
    assert!(early.is_empty());
    let mut monitor = server.recorder.console.lock().unwrap().take().unwrap();
    monitor.write_all(b"login: ").unwrap();
    assert_eq!(read_until(&mut client, ": "), "login: ");
    client.write_all(b"root\n").unwrap();
    assert_eq!(read_until(&mut monitor, "\n"), "root\n");
    drop(monitor);
    assert_eq!(read_all(client), "");
}

#[test]
fn bytes_sent_with_the_request_for_a_console_reach_it() {
    let server = TestServer::start();
    let mut client = server.connect();
    client
        .write_all(
            b"GET /bulkhead/console HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: tcp\r\n\r\nls\n",
        )
        .unwrap();
    let head = read_until(&mut client, "\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    let mut monitor = server.recorder.console.lock().unwrap().take().unwrap();
    assert_eq!(read_until(&mut monitor, "\n"), "ls\n");
}

#[test]
fn console_without_an_upgrade_is_refused() {
    let server = TestServer::start();
    let reply = server.client().send("GET", "/bulkhead/console", b"").unwrap();
    assert_eq!(reply.status, 426);
    assert!(reply.fields.contains(&("upgrade".into(), "tcp".into())));
    assert!(server.recorder.requests().is_empty());
}
