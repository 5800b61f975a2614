//! Guests that greet and then answer nothing, by a clock that is faster than the real one.

use std::sync::Arc;

use agent_protocol::message::Request;
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::*;
use crate::agent::tests::next;
use crate::container::life::supervise::{Pumps, supervise};
use crate::engine::Engine;
use crate::sandbox::PlayedMachine;

/// Longer than anybody waits for a guest.
const TOO_LONG: Duration = Duration::from_secs(200);

/// A container that runs in a machine whose agent says nothing more.
async fn running() -> (Served, Arc<Container>, PlayedMachine, UnixStream) {
    let (served, container) = container().await;
    let (machine, guest) = played::run(&container).await;
    let run = container.run().unwrap();
    let pumps = Pumps::plain(&container, tokio::io::empty(), tokio::io::empty());
    tokio::spawn(supervise(Arc::clone(&container), run, pumps));
    (served, container, machine, guest)
}

/// Of the next request that is one.
async fn next_signal(guest: &UnixStream) -> u32 {
    loop {
        if let Some(Request::SignalContainer(signal)) = next(guest).await.request {
            return signal.signal;
        }
    }
}

#[tokio::test]
async fn a_guest_that_does_not_answer_makes_a_stop_or_kill_seconds_longer() {
    const TERM: u32 = 15;
    const KILL: u32 = 9;
    for signals in [&[TERM, KILL][..], &[KILL]] {
        let (_served, container, _machine, guest) = running().await;
        // With nothing else to do, it goes on to what is waited for.
        tokio::time::pause();
        let stops = signals.len() > 1;
        let ending = tokio::spawn(async move {
            let began = Instant::now();
            let timeout = Some(Some(Duration::from_secs(3)));
            if stops { container.stop(None, timeout).await } else { container.kill(KILL).await }
                .unwrap();
            (began.elapsed(), container.phase())
        });
        for signal in signals {
            assert_eq!(next_signal(&guest).await, *signal);
        }
        let (took, phase) = ending.await.unwrap();
        assert_eq!(phase, Phase::Exited);
        // The process that is played for the monitor may take more than the clock has.
        let most = Duration::from_secs(if stops { 15 } else { 12 });
        assert!(took < most, "{took:?} with {signals:?}");
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_stop_ends_the_machine_of_a_guest_that_does_not_answer() {
    let (_served, container, machine, _guest) = running().await;
    played::hurry();
    let stopping = container.stop(None, Some(Some(Duration::from_secs(1))));
    timeout(TOO_LONG, stopping).await.expect("it waits for the guest").unwrap();
    assert_eq!(container.phase(), Phase::Exited);
    assert!(machine.has_ended());
}

#[tokio::test]
async fn a_removal_by_force_does_not_wait_for_a_guest_that_does_not_answer() {
    let (_served, container, machine, _guest) = running().await;
    played::hurry();
    let removing = container.remove(RemoveOptions { volumes: false, force: true });
    timeout(TOO_LONG, removing).await.expect("it waits for the guest").unwrap();
    assert!(container.is_removed());
    assert!(machine.has_ended());
}

#[tokio::test]
async fn what_a_guest_does_not_answer_fails_and_leaves_the_way_free() {
    let (served, container, _machine, _guest) = running().await;
    let (_, made) = served.call("POST", "/containers/one/exec", r#"{"Cmd":["x"]}"#).await;
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    played::hurry();
    let late = |error: ContainerError| {
        let text = error.to_string();
        assert!(text.contains("did not answer"), "{text}");
    };
    let pausing = timeout(TOO_LONG, container.pause()).await.expect("it waits for the guest");
    late(pausing.unwrap_err());
    assert_eq!(container.phase(), Phase::Running);
    let body = ContainerUpdateBody { memory: Some(64 << 20), ..ContainerUpdateBody::default() };
    let updating = timeout(TOO_LONG, container.update(body)).await.expect("it waits for the guest");
    late(updating.unwrap_err());
    let access = container.access().await.unwrap();
    let looking = timeout(TOO_LONG, access.status("/")).await.expect("it waits for the guest");
    late(looking.unwrap_err());
    let listing = timeout(TOO_LONG, container.top("")).await.expect("it waits for the guest");
    late(listing.unwrap_err());
    let measuring = timeout(TOO_LONG, container.sample()).await.expect("it waits for the guest");
    late(measuring.unwrap_err());
    let path = format!("/exec/{}/start", made["Id"].as_str().unwrap());
    let starting = served.call("POST", &path, r#"{"Detach":true}"#);
    let (status, said) = timeout(TOO_LONG, starting).await.expect("it waits for the guest");
    assert_eq!(status, 500);
    assert!(said.contains("did not answer"), "{said}");
}

/// Another container of the same engine, as if it ran when an earlier engine went.
async fn left_running(engine: &Engine, name: &str) -> (Arc<Container>, PlayedMachine) {
    let made = played::container(engine, name).await;
    made.change(|record| record.state.phase = Phase::Running).await.unwrap();
    let machine = made.ground.sandboxes.play(&made.id);
    (made, machine)
}

#[tokio::test]
async fn an_engine_serves_soon_however_many_guests_do_not_answer() {
    let (_served, engine) = played::engine_with_image().await;
    let (one, first) = left_running(&engine, "one").await;
    let (two, second) = left_running(&engine, "two").await;
    played::hurry();
    let began = Instant::now();
    let adopting = timeout(TOO_LONG, engine.containers.adopt(Vec::new()));
    let (adopted, _one, _two) = tokio::join!(adopting, first.guest.greet(), second.guest.greet());
    adopted.expect("it waits for the guests").unwrap();
    assert!(began.elapsed() < Duration::from_secs(100), "one after the other");
    assert_eq!([one.phase(), two.phase()], [Phase::Exited; 2]);
    assert!(first.has_ended() && second.has_ended());
}
