//! Containers in machines that a test plays.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use agent_protocol::message::{Exited, Reply, Request, Started};
use bollard_stubs::models::ContainerCreateBody;
use image::archive::Import;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::home::Lodging;
use super::live::{Container, Run, lock};
use super::machine::Machine;
use super::record::Phase;
use crate::agent::tests::{next, reply};
use crate::engine::Engine;
use crate::http::tests::Served;
use crate::sandbox::PlayedMachine;

/// An engine that has an image, `base`.
pub(super) async fn engine_with_image() -> (Served, Arc<Engine>) {
    let (served, engine) = Served::start_with().await;
    let import = Import { name: Some("base".parse().unwrap()), ..Import::default() };
    let containers = engine.containers.clone();
    // Two blocks of zeroes are an empty archive.
    tokio::task::spawn_blocking(move || containers.images().import(&[0; 1024][..], &import))
        .await
        .unwrap()
        .unwrap();
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
    /// Does the agent's part of reading an archive, which ends with a code.
    pub(super) async fn transfer(&self, guest: &mut UnixStream, archive: &[u8], code: u32) {
        let (mut output, request) = tokio::join!(self.guest.accept(), next(guest));
        assert!(matches!(request.request, Some(Request::ReadArchive(_))));
        reply(guest, request.id, Reply::Started(Started { session: 9, pid: 1 })).await;
        next(&output).await;
        output.write_all(archive).await.unwrap();
        drop(output);
        let exited = Exited { session: 9, code, ..Exited::default() };
        reply(guest, request.id, Reply::Exited(exited)).await;
    }
}
