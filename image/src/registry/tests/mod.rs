//! Registries that are wrong, slow or hostile. Those that are right: see the crate's `tests/`.

mod access;
mod content;
mod server;

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use self::server::{Reply, Request, Server, Then};
use super::*;
use crate::manifest::{OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST};
use crate::{Digest, Reference, Store};

/// An image as a registry has it.
#[derive(Clone)]
struct Sample {
    config: Vec<u8>,
    layers: Vec<Vec<u8>>,
    manifest: Vec<u8>,
}

impl Sample {
    /// One layer with a file of that content.
    fn of(content: &[u8]) -> Self {
        let archive = archive(content);
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/hello"]},
            "rootfs": {"type": "layers", "diff_ids": [Digest::of(&archive)]},
        });
        Self::made_of(config.to_string().into_bytes(), vec![gzip(&archive)])
    }

    fn made_of(config: Vec<u8>, layers: Vec<Vec<u8>>) -> Self {
        let describe = |media_type: &str, bytes: &[u8]| {
            serde_json::json!({
                "mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len(),
            })
        };
        let described: Vec<_> =
            layers.iter().map(|layer| describe(OCI_LAYER_GZIP, layer)).collect();
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": describe(OCI_CONFIG, &config), "layers": described,
        });
        Self { config, layers, manifest: manifest.to_string().into_bytes() }
    }

    fn blob(&self) -> String {
        Digest::of(&self.layers[0]).to_string()
    }

    /// What an honest registry answers.
    fn answer(&self, request: &Request) -> Reply {
        let path = request.path.as_str();
        if path.contains("/manifests/") {
            return Reply::ok(self.manifest.clone()).header("Content-Type", OCI_MANIFEST);
        }
        let blobs = self.layers.iter().chain([&self.config]);
        match blobs.into_iter().find(|blob| path.ends_with(&Digest::of(blob).to_string())) {
            Some(blob) => Reply::ok(blob.clone()),
            None => Reply::status(404),
        }
    }

    fn is_layer(&self, request: &Request) -> bool {
        request.path.ends_with(&self.blob())
    }
}

/// A registry that is honest about all of an image but its layers.
async fn spoiled(sample: Sample, spoil: impl Fn(&mut Reply) + Send + Sync + 'static) -> Server {
    Server::start(move |request| {
        let mut reply = sample.answer(request);
        if sample.is_layer(request) {
            spoil(&mut reply);
        }
        reply
    })
    .await
}

fn archive(content: &[u8]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o755);
    archive.append_data(&mut header, "hello", content).unwrap();
    archive.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// A store, and a client that soon loses patience.
struct Client {
    root: tempfile::TempDir,
    store: Store,
    registries: Registries,
    phases: Arc<Mutex<Vec<Phase>>>,
}

impl Client {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let settings = Settings {
            attempts: 3,
            pause: Duration::from_millis(5),
            stall: Duration::from_millis(500),
            ..Settings::default()
        };
        Self {
            store: Store::open(root.path()).unwrap(),
            root,
            registries: Registries::new(settings).unwrap(),
            phases: Arc::default(),
        }
    }

    async fn pull(&self, server: &Server) -> Result<Pulled, RegistryError> {
        self.pull_with(server, Credentials::Anonymous).await
    }

    async fn pull_with(
        &self,
        server: &Server,
        credentials: Credentials,
    ) -> Result<Pulled, RegistryError> {
        let phases = self.phases.clone();
        let observer = Observer::new(move |step| phases.lock().unwrap().push(step.phase));
        let options = PullOptions { platform: None, credentials, observer };
        self.registries.pull(&self.store, &name(server), &options).await
    }

    fn phases(&self) -> Vec<Phase> {
        self.phases.lock().unwrap().clone()
    }

    /// Files of blobs, layers and what was not finished.
    fn files(&self) -> usize {
        ["blobs/sha256", "layers", "temporary"]
            .iter()
            .map(|folder| std::fs::read_dir(self.root.path().join(folder)).unwrap().count())
            .sum()
    }
}

fn name(server: &Server) -> Reference {
    format!("{}/team/app:1", server.address).parse().unwrap()
}

/// A number that tells how often it was asked for.
fn counter() -> impl Fn() -> usize {
    let count = AtomicUsize::new(0);
    move || count.fetch_add(1, Ordering::Relaxed)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}
