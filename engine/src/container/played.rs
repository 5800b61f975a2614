//! Containers in machines that a test plays.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use agent_protocol::message::{Exited, Reply, Request, Started};
use bollard_stubs::models::ContainerCreateBody;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::home::Lodging;
use super::live::{Container, Run, lock};
use super::machine::Machine;
use super::record::Phase;
use crate::agent::tests::{next, reply};
use crate::engine::Engine;
use crate::http::tests::{Served, import_empty};
use crate::sandbox::PlayedMachine;

/// An engine that has an image, `base`.
pub(super) async fn engine_with_image() -> (Served, Arc<Engine>) {
    let (served, engine) = Served::start_with().await;
    import_empty(&engine, "base", json!({})).await;
    (served, engine)
}

/// A container that was made and not started.
pub(super) async fn container(engine: &Engine, name: &str) -> Arc<Container> {
    let body = ContainerCreateBody {
        image: Some("base".to_owned()),
        cmd: Some(vec!["true".to_owned()]),
        ..ContainerCreateBody::default()
    };
    engine.containers.create(Some(name), None, body).await.unwrap().container
}

/// Has it run in a machine, of whose agent the guest's end is given. Nothing looks after the run.
pub(super) async fn run(container: &Arc<Container>) -> (PlayedMachine, UnixStream) {
    let played = container.ground.sandboxes.play(&container.id);
    let (sandbox, guest) = played.greet().await;
    let machine = Machine::new(sandbox);
    *lock(&container.lodging) = Some(Lodging::of(&container.id, machine.clone()));
    container.change(|record| record.state.phase = Phase::Running).await.unwrap();
    let (began, ending) = (Instant::now(), AtomicBool::new(false));
    container.set_run(Some(Arc::new(Run { machine, session: 1, began, ending })));
    (played, guest)
}

impl PlayedMachine {
    /// Does the agent's part of a transfer up to where its bytes come or go: the stream for them,
    /// and the number of the request.
    pub(super) async fn begin_transfer(&self, guest: &mut UnixStream) -> (UnixStream, u64) {
        let (stream, request) = tokio::join!(self.guest.accept(), next(guest));
        let asked = request.request;
        assert!(matches!(asked, Some(Request::ReadArchive(_) | Request::WriteArchive(_))));
        reply(guest, request.id, Reply::Started(Started { session: 9, pid: 1 })).await;
        next(&stream).await;
        (stream, request.id)
    }

    /// The same to the end of an archive that is read, and the code that this ends with.
    pub(super) async fn transfer(&self, guest: &mut UnixStream, archive: &[u8], code: u32) {
        let (mut output, id) = self.begin_transfer(guest).await;
        output.write_all(archive).await.unwrap();
        drop(output);
        let exited = Exited { session: 9, code, ..Exited::default() };
        reply(guest, id, Reply::Exited(exited)).await;
    }
}

/// Has the clock go a hundred times as fast. One that is merely paused would not wait for what
/// really happens: processes that end.
pub(super) fn hurry() {
    tokio::time::pause();
    tokio::spawn(async {
        loop {
            let real = Duration::from_millis(5);
            // It does not go on by itself while a thread is at work.
            let _ = tokio::task::spawn_blocking(move || std::thread::sleep(real)).await;
            tokio::time::advance(real * 100).await;
        }
    });
}
