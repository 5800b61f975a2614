//! Images between our store, Debian's registry and skopeo: `scripts/setup containers` installs
//! both.
#![allow(clippy::unwrap_used)]

mod bomb;
mod full_disk;
mod programs;
#[path = "../small_disk/mod.rs"]
mod small_disk;
mod tls;

use std::io::Read;
use std::path::Path;

use image::archive::Import;
use image::manifest::OCI_LAYER_ZSTD;
use image::registry::{
    Credentials, Observer, Phase, PullOptions, Registries, RegistryError, Settings,
};
use image::{Digest, ImageId, Reference, Store};
use programs::{Registry, skopeo};

/// A store, and a client for it.
struct Client {
    root: tempfile::TempDir,
    store: Store,
    registries: Registries,
}

impl Client {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(&root.path().join("images")).unwrap();
        Self { store, registries: Registries::new(Settings::default()).unwrap(), root }
    }

    /// An image of one layer with these files.
    fn make(&self, name: &str, files: &[(&str, &[u8])]) -> ImageId {
        let import = Import { name: Some(reference(name)), ..Import::default() };
        self.store.import(archive(files).as_slice(), &import).unwrap()
    }

    /// The image in a file, as `docker save` would write it.
    fn save(&self, name: &str) -> std::path::PathBuf {
        let path = self.root.path().join("saved.tar");
        self.store.save(&[name], std::fs::File::create(&path).unwrap()).unwrap();
        path
    }

    async fn pull(&self, name: &str) -> Result<ImageId, RegistryError> {
        self.pull_as(name, Credentials::Anonymous).await
    }

    async fn pull_as(
        &self,
        name: &str,
        credentials: Credentials,
    ) -> Result<ImageId, RegistryError> {
        let options = PullOptions { credentials, ..PullOptions::default() };
        Ok(self.registries.pull(&self.store, &reference(name), &options).await?.id)
    }

    /// Pushes, and tells what became of the layers.
    async fn push(&self, name: &str) -> Result<(Digest, Vec<Phase>), RegistryError> {
        let (sender, phases) = std::sync::mpsc::channel();
        let observer = Observer::new(move |step| sender.send(step.phase).unwrap());
        let name = reference(name);
        let credentials = Credentials::Anonymous;
        let pushed = self.registries.push(&self.store, &name, &credentials, &observer).await?;
        let ended = |phase: &Phase| matches!(phase, Phase::Exists | Phase::Mounted | Phase::Pushed);
        drop(observer);
        Ok((pushed.digest, phases.into_iter().filter(ended).collect()))
    }
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        archive.append_data(&mut header, path, *content).unwrap();
    }
    archive.into_inner().unwrap()
}

fn reference(name: &str) -> Reference {
    name.parse().unwrap()
}

fn read(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::fs::File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn pushed_image_is_pulled_elsewhere_and_has_the_same_layers() {
    let registry = Registry::start(false);
    let name = format!("{}/team/app:1", registry.address);
    let (one, two) = (Client::new(), Client::new());
    let id = one.make(&name, &[("hello", b"hello"), ("dir/zeros", &[0; 100_000])]);
    let (digest, phases) = one.push(&name).await.unwrap();
    assert_eq!(phases, [Phase::Pushed]);
    assert_eq!(two.pull(&name).await.unwrap(), id);
    let (first, second) = (one.store.image(&id).unwrap(), two.store.image(&id).unwrap());
    assert_eq!(read(&first.layers()[0]), read(&second.layers()[0]));
    let known = format!("{}/team/app@{digest}", registry.address);
    assert_eq!(first.repo_digests(), std::slice::from_ref(&known));
    assert_eq!(second.repo_digests(), std::slice::from_ref(&known));
    assert_eq!(two.pull(&known).await.unwrap(), id);
}

#[tokio::test]
async fn second_push_sends_nothing_and_another_repository_takes_the_layer_over() {
    let registry = Registry::start(false);
    let name = format!("{}/one:1", registry.address);
    let other = format!("{}/two:1", registry.address);
    let client = Client::new();
    client.make(&name, &[("hello", b"hello")]);
    let (digest, _) = client.push(&name).await.unwrap();
    assert_eq!(client.push(&name).await.unwrap(), (digest, vec![Phase::Exists]));
    client.store.tag(&name, &reference(&other)).unwrap();
    assert_eq!(client.push(&other).await.unwrap(), (digest, vec![Phase::Mounted]));
}

#[tokio::test]
async fn image_that_skopeo_pushed_is_pulled() {
    let registry = Registry::start(false);
    let maker = Client::new();
    let id = maker.make("app:1", &[("hello", b"hello")]);
    let archive = maker.save("app:1");
    let name = format!("{}/app:1", registry.address);
    let from = format!("docker-archive:{}", archive.display());
    skopeo(&["copy", "--dest-tls-verify=false", &from, &format!("docker://{name}")]);
    let client = Client::new();
    // skopeo writes the configuration as it was, so the id is the same.
    assert_eq!(client.pull(&name).await.unwrap(), id);
    assert_eq!(
        read(&client.store.image(&id).unwrap().layers()[0]),
        read(&maker.store.image(&id).unwrap().layers()[0])
    );
}

#[tokio::test]
async fn layers_packed_with_zstd_are_pulled_and_saved() {
    let registry = Registry::start(false);
    let maker = Client::new();
    let id = maker.make("app:1", &[("hello", b"hello")]);
    let name = format!("{}/app:1", registry.address);
    let from = format!("docker-archive:{}", maker.save("app:1").display());
    let to = format!("docker://{name}");
    let zstd = ["--dest-compress-format=zstd", "--format=oci", "--dest-tls-verify=false"];
    skopeo(&[&["copy"], zstd.as_slice(), &[&from, &to]].concat());
    let client = Client::new();
    let pulled = client.pull(&name).await.unwrap();
    let image = client.store.image(&pulled).unwrap();
    assert_eq!(image.layer_records()[0].media_type, OCI_LAYER_ZSTD);
    let diff_id = |store: &Store, id| store.image(id).unwrap().layer_records()[0].diff_id;
    assert_eq!(diff_id(&client.store, &pulled), diff_id(&maker.store, &id));
}

#[tokio::test]
async fn pushed_image_is_what_skopeo_reads() {
    let registry = Registry::start(false);
    let name = format!("{}/app:1", registry.address);
    let client = Client::new();
    let id = client.make(&name, &[("hello", b"hello")]);
    let (digest, _) = client.push(&name).await.unwrap();
    let source = format!("docker://{name}");
    let text = skopeo(&["inspect", "--tls-verify=false", &source]);
    let shown: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(shown["Digest"], digest.to_string());
    let folder = client.root.path().join("copy");
    let to = format!("oci:{}:app:1", folder.display());
    skopeo(&["copy", "--src-tls-verify=false", &source, &to]);
    assert!(folder.join("blobs/sha256").join(id.0.hex()).is_file());
}

#[test]
fn skopeo_reads_both_forms_of_a_saved_archive() {
    let client = Client::new();
    client.make("app:1", &[("hello", b"hello")]);
    let archive = client.save("app:1");
    for form in ["docker-archive", "oci-archive"] {
        let source = format!("{form}:{}", archive.display());
        let shown = skopeo(&["inspect", "--config", &source]);
        assert!(shown.contains("linux"), "{form}: {shown}");
        let to = client.root.path().join(form);
        skopeo(&["copy", &source, &format!("dir:{}", to.display())]);
        assert!(to.join("manifest.json").is_file());
    }
}

#[test]
fn archives_of_skopeo_are_loaded() {
    let maker = Client::new();
    let id = maker.make("app:1", &[("hello", b"hello")]);
    let source = format!("docker-archive:{}", maker.save("app:1").display());
    for (form, name) in [("docker-archive", "other:2"), ("oci-archive", "other:3")] {
        let path = maker.root.path().join(form);
        skopeo(&["copy", &source, &format!("{form}:{}:{name}", path.display())]);
        let client = Client::new();
        client.store.load(std::fs::File::open(&path).unwrap()).unwrap();
        let image = client.store.find(name).unwrap();
        let layers = maker.store.image(&id).unwrap().layers();
        assert_eq!(read(&image.layers()[0]), read(&layers[0]), "{form}");
    }
}

#[tokio::test]
async fn registry_that_wants_a_password_gets_it() {
    let registry = Registry::start(true);
    let name = format!("{}/app:1", registry.address);
    let maker = Client::new();
    maker.make("app:1", &[("hello", b"hello")]);
    let source = format!("docker-archive:{}", maker.save("app:1").display());
    let options = ["--dest-tls-verify=false", "--dest-creds=me:secret"];
    skopeo(&[&["copy"], options.as_slice(), &[&source, &format!("docker://{name}")]].concat());
    let client = Client::new();
    let user = |password: &str| Credentials::Basic {
        user: "me".to_owned(),
        password: password.to_owned(),
    };
    assert!(matches!(client.pull(&name).await, Err(RegistryError::Denied { .. })));
    let wrong = client.pull_as(&name, user("wrong")).await;
    assert!(matches!(wrong, Err(RegistryError::Denied { .. })), "{wrong:?}");
    client.pull_as(&name, user("secret")).await.unwrap();
    client.registries.login(&registry.address, &user("secret")).await.unwrap();
    assert!(client.registries.login(&registry.address, &user("wrong")).await.is_err());
}

#[tokio::test]
async fn what_the_registry_does_not_have_is_named() {
    let registry = Registry::start(false);
    let name = format!("{}/nothing:1", registry.address);
    let error = Client::new().pull(&name).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("manifest for {name} not found")), "{error}");
}
