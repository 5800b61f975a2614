//! Pulls onto a disk that gets full.

use std::path::Path;

use image::StoreError;
use image::archive::Commit;

use super::small_disk::{self, chain, fill, noise};
use super::*;

#[tokio::test]
async fn pull_onto_a_full_disk_leaves_nothing_and_works_when_there_is_room() {
    let registry = Registry::start(false);
    let name = format!("{}/large:1", registry.address);
    let client = Client::new();
    let parent = client.make("first", &[("small", &noise(100_000))]);
    let commit = Commit { parent: Some(parent), name: Some(reference(&name)), ..Commit::default() };
    let changes = archive(&[("large", &noise(4 << 20))]);
    client.store.commit(changes.as_slice(), &commit).unwrap();
    client.push(&name).await.unwrap();
    let test = "full_disk::pull_on_a_small_disk";
    small_disk::run(test, "24m", &[("PULLED", &name)]);
}

fn files(root: &Path) -> usize {
    let count = |folder| std::fs::read_dir(root.join("images").join(folder)).unwrap().count();
    ["blobs/sha256", "layers", "temporary"].map(count).iter().sum()
}

#[tokio::test]
#[ignore = "run by pull_onto_a_full_disk_leaves_nothing_and_works_when_there_is_room"]
async fn pull_on_a_small_disk() {
    let name = std::env::var("PULLED").unwrap();
    let client = Client::new();
    let root = client.root.path();
    let (filler, room) = (root.join("filler"), root.join("room"));
    // For the first layer, not for the second one.
    std::fs::write(&room, noise(1 << 20)).unwrap();
    fill(&filler);
    std::fs::remove_file(&room).unwrap();
    let error = client.pull(&name).await.unwrap_err();
    assert!(matches!(error, RegistryError::Store(StoreError::Full { .. })), "{error:?}");
    let expected = format!("the disk of {}/images is full", root.display());
    assert!(chain(&error).starts_with(&expected), "{}", chain(&error));
    assert_eq!(files(root), 0);
    std::fs::remove_file(&filler).unwrap();
    client.pull(&name).await.unwrap();
    assert_eq!(client.store.find(&name).unwrap().layers().len(), 2);
}
