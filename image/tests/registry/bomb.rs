//! A layer of a few megabytes that would fill any disk, from a real registry.

use std::io::Read;

use image::Digest;
use reqwest::header::{CONTENT_TYPE, LOCATION};

use crate::Client;
use crate::programs::Registry;

const GIB: u64 = 1 << 30;
const OCI: &str = "application/vnd.oci.image";

/// An archive with one file of a TiB of zeros: the same frame for each GiB of them.
fn bomb() -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path("zeros").unwrap();
    header.set_size(1024 * GIB);
    header.set_cksum();
    let mut packed = zstd::encode_all(header.as_bytes().as_slice(), 1).unwrap();
    let frame = zstd::encode_all(std::io::repeat(0).take(GIB), 1).unwrap();
    for _ in 0..1024 {
        packed.extend_from_slice(&frame);
    }
    packed
}

/// Gives the registry a blob; what a manifest says of it.
async fn upload(base: &str, kind: &str, blob: Vec<u8>) -> serde_json::Value {
    let client = reqwest::Client::new();
    let (digest, size) = (Digest::of(&blob), blob.len());
    let begun = client.post(format!("{base}/blobs/uploads/")).send().await.unwrap();
    let place = begun.headers()[LOCATION].to_str().unwrap().to_owned();
    let place = format!("{place}&digest={digest}");
    let put = client.put(place).body(blob).send().await.unwrap();
    assert_eq!(put.status(), 201);
    serde_json::json!({ "mediaType": kind, "digest": digest.to_string(), "size": size })
}

#[tokio::test]
async fn bomb_that_is_pulled_is_refused_and_its_space_given_back() {
    // First, as it also chooses the cryptography of all clients of this process.
    let client = Client::new();
    let registry = Registry::start(false);
    let base = format!("http://{}/v2/bomb", registry.address);
    let layer = upload(&base, &format!("{OCI}.layer.v1.tar+zstd"), bomb()).await;
    assert!(layer["size"].as_u64().unwrap() < 64 << 20, "{layer}");
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] },
    });
    let config = upload(&base, &format!("{OCI}.config.v1+json"), config.to_string().into()).await;
    let kind = format!("{OCI}.manifest.v1+json");
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer],
    });
    let put = reqwest::Client::new().put(format!("{base}/manifests/1")).header(CONTENT_TYPE, kind);
    assert_eq!(put.body(manifest.to_string()).send().await.unwrap().status(), 201);

    let error = client.pull(&format!("{}/bomb:1", registry.address)).await.unwrap_err();
    let mut told = error.to_string();
    let mut next = std::error::Error::source(&error);
    while let Some(source) = next {
        told = format!("{told}: {source}");
        next = source.source();
    }
    assert!(told.contains("1000"), "{told}");
    assert!(client.store.images().is_empty());
    for folder in ["layers", "temporary"] {
        let left = std::fs::read_dir(client.root.path().join("images").join(folder)).unwrap();
        assert_eq!(left.count(), 0, "{folder}");
    }
}
