//! The API over a real socket: raw HTTP here, Docker's own client in `docker_cli`.

mod containers;
mod docker_cli;
mod documents;
mod hostile;
mod images;
mod pods;
mod raw;
mod registry;
mod vms;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use image::archive::Import;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::container;
use crate::engine::Engine;
use crate::events::Bus;
use crate::paths::{Overrides, Paths};
use crate::sandbox::{GuestOverrides, Sandboxes};
use crate::store::Store;
use crate::{image_service, network, system, vm, volume};

/// Makes an image of this name whose one layer is empty.
pub(crate) async fn import_empty(engine: &Engine, name: &str, config: Value) {
    let name = Some(name.parse().unwrap());
    let config = serde_json::from_value(config).unwrap();
    let import = Import { name, config, ..Import::default() };
    let images = engine.containers.images().clone();
    // Two blocks of zeroes are an empty archive.
    let importing = tokio::task::spawn_blocking(move || images.import(&[0; 1024][..], &import));
    importing.await.unwrap().unwrap();
}

/// An engine that is served on a socket of its own for as long as this lives.
pub(crate) struct Served {
    folder: TempDir,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Served {
    pub(super) async fn start() -> Self {
        Self::start_with().await.0
    }

    /// Also gives the engine that is served.
    pub(crate) async fn start_with() -> (Self, Arc<Engine>) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("engine.redb")).unwrap();
        let paths = Paths::find(Overrides {
            state: Some(folder.path().join("state")),
            runtime: Some(folder.path().join("run")),
            socket: None,
        });
        let paths = paths.unwrap();
        paths.prepare().unwrap();
        let events = Bus::new();
        let volumes = volume::Service::open(&store, paths.volumes(), events.clone()).await.unwrap();
        let networks =
            network::Service::open(&store, paths.switch(), "test", events.clone()).await.unwrap();
        let images = image::Store::open(&paths.images()).unwrap();
        let services = container::Services {
            images: images.clone(),
            sandboxes: Sandboxes::new(paths.clone(), GuestOverrides::default()),
            volumes: volumes.clone(),
            networks: networks.clone(),
            events: events.clone(),
            paths,
        };
        let sandboxes = services.sandboxes.clone();
        let containers = container::Service::open(&store, services).unwrap();
        let engine = Engine {
            vms: vm::Service::open(&store, sandboxes, events.clone(), containers.clone()).unwrap(),
            containers,
            images: image_service::Service::new(images, events.clone(), Vec::new()).unwrap(),
            events,
            networks,
            volumes,
            system: system::Service::new(
                "test",
                folder.path(),
                true,
                vec!["plain:5000".to_owned()],
            ),
        };
        let engine = Arc::new(engine);
        (Self::with(folder, super::router(Arc::clone(&engine))), engine)
    }

    fn with(folder: TempDir, router: axum::Router) -> Self {
        let listener = UnixListener::bind(folder.path().join("docker.sock")).unwrap();
        let server = tokio::spawn(super::serve::serve(listener, router, std::future::pending()));
        Self { folder, server }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    pub(crate) async fn connect(&self) -> UnixStream {
        UnixStream::connect(self.socket()).await.unwrap()
    }

    /// Sends `request` as it is, and gives all that comes back until the server closes.
    async fn raw(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// One request with an optional JSON body: status, and body.
    pub(crate) async fn call(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        let answer = self.raw(&request).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }

    /// Runs Docker's client: its output, or what it complains of.
    async fn docker(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new("docker");
        command.env("DOCKER_CONFIG", self.folder.path());
        command.arg("-H").arg(format!("unix://{}", self.socket().display())).args(arguments);
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
        let output = output.expect("Docker's client must be installed: scripts/setup clients");
        let text = |bytes| String::from_utf8(bytes).unwrap().trim().to_owned();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.abort();
    }
}
