use std::io::Write;
use std::path::Path;

use super::*;
use crate::Store;
use crate::config::{ContainerConfig, ImageConfig};
use crate::manifest::{OCI_LAYER_GZIP, OCI_MANIFEST};

fn store() -> (tempfile::TempDir, Store) {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    (root, store)
}

/// An archive of files with these contents.
fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, *content).unwrap();
    }
    archive.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn config_of(layers: &[&[u8]]) -> Vec<u8> {
    let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::of(layer)).collect();
    serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    })
    .to_string()
    .into_bytes()
}

fn blob_path(bytes: &[u8]) -> String {
    format!("blobs/sha256/{}", Digest::of(bytes).hex())
}

/// As Docker before version 25 wrote it: the layer that both images share is a link.
fn old_docker_archive() -> Vec<u8> {
    let (base, top) = (archive(&[("base", b"1")]), archive(&[("top", b"2")]));
    let config = config_of(&[&base, &top]);
    let manifest = serde_json::json!([{
        "Config": "c.json", "RepoTags": ["app:1", "team/app:2"],
        "Layers": ["b/layer.tar", "a/layer.tar"],
    }]);
    let mut archive = tar::Builder::new(Vec::new());
    let mut file = |path: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path, content).unwrap();
    };
    file("a/VERSION", b"1.0");
    file("a/layer.tar", &top);
    file("c.json", &config);
    file("d/layer.tar", &base);
    file("manifest.json", manifest.to_string().as_bytes());
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    archive.append_link(&mut link, "b/layer.tar", Path::new("../d/layer.tar")).unwrap();
    archive.into_inner().unwrap()
}

#[test]
fn old_docker_archive_is_loaded_with_its_names() {
    let (_root, store) = store();
    let loaded = store.load(old_docker_archive().as_slice()).unwrap();
    assert_eq!(loaded.len(), 1);
    let image = store.find("app:1").unwrap();
    assert_eq!(
        (image.id(), image.repo_tags()),
        (loaded[0].id, vec!["app:1".into(), "team/app:2".into()])
    );
    assert_eq!(image.config().config.cmd, Some(vec!["sh".to_owned()]));
    assert_eq!(image.layers().len(), 2);
}

#[test]
fn archive_may_be_packed() {
    let (_root, store) = store();
    store.load(gzip(&old_docker_archive()).as_slice()).unwrap();
    let packed = zstd::encode_all(old_docker_archive().as_slice(), 1).unwrap();
    store.load(packed.as_slice()).unwrap();
    assert_eq!(store.images().len(), 1);
}

#[test]
fn plain_layers_are_kept_packed_and_named_so_in_the_manifest() {
    let (_root, store) = store();
    store.load(old_docker_archive().as_slice()).unwrap();
    let image = store.find("app:1").unwrap();
    for layer in image.layer_records() {
        assert_eq!(layer.media_type, OCI_LAYER_GZIP);
        let mut content = Vec::new();
        let blob = store.open_blob(&layer.blob).unwrap();
        io::Read::read_to_end(&mut flate2::read::GzDecoder::new(blob), &mut content).unwrap();
        assert_eq!(Digest::of(&content), layer.diff_id);
        assert_eq!(content.len() as u64, layer.size);
    }
}

#[test]
fn oci_layout_keeps_its_manifest() {
    let layer = archive(&[("file", b"x")]);
    let (packed, config) = (gzip(&layer), config_of(&[&layer]));
    let (manifest, text) = oci_archive(&packed, &config, Some("docker.io/library/app:3"));
    let (_root, store) = store();
    store.load(text.as_slice()).unwrap();
    let image = store.find("app:3").unwrap();
    assert_eq!(image.manifest(), (Digest::of(&manifest), OCI_MANIFEST));
    assert_eq!(image.layer_records()[0].blob, Digest::of(&packed));
}

fn oci_archive(layer: &[u8], config: &[u8], name: Option<&str>) -> (Vec<u8>, Vec<u8>) {
    let describe = |bytes: &[u8], media_type: &str| {
        serde_json::json!({
            "mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len(),
        })
    };
    let manifest = serde_json::json!({
        "schemaVersion": 2, "config": describe(config, crate::manifest::OCI_CONFIG),
        "layers": [describe(layer, OCI_LAYER_GZIP)],
    })
    .to_string();
    let mut entry = describe(manifest.as_bytes(), OCI_MANIFEST);
    if let Some(name) = name {
        entry["annotations"] = serde_json::json!({"org.opencontainers.image.ref.name": name});
    }
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [entry]}).to_string();
    let text = archive(&[
        (&blob_path(layer), layer),
        (&blob_path(manifest.as_bytes()), manifest.as_bytes()),
        (&blob_path(config), config),
        ("index.json", index.as_bytes()),
        ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#),
    ]);
    (manifest.into_bytes(), text)
}

#[test]
fn saved_archive_gives_the_same_image_elsewhere() {
    let (_one, first) = store();
    first.load(old_docker_archive().as_slice()).unwrap();
    let mut saved = Vec::new();
    first.save(&["app:1"], &mut saved).unwrap();
    let (_two, second) = store();
    second.load(saved.as_slice()).unwrap();
    let (one, two) = (first.find("app:1").unwrap(), second.find("app:1").unwrap());
    assert_eq!((one.id(), one.manifest()), (two.id(), two.manifest()));
    assert_eq!(two.repo_tags(), ["app:1"]);
    let mut again = Vec::new();
    second.save(&["app:1"], &mut again).unwrap();
    assert!(saved == again, "an image has one archive");
}

#[test]
fn repository_saves_all_its_tags_and_an_id_none() {
    let (_root, store) = store();
    let id = store.load(old_docker_archive().as_slice()).unwrap()[0].id;
    store.tag("app:1", &"app:old".parse().unwrap()).unwrap();
    let names = |wanted: &str| {
        let mut saved = Vec::new();
        store.save(&[wanted], &mut saved).unwrap();
        let mut found = tar::Archive::new(saved.as_slice());
        let mut entries = found.entries().unwrap().map(Result::unwrap);
        let manifest = entries.find(|entry| entry.path().unwrap().ends_with("manifest.json"));
        let manifest: serde_json::Value = serde_json::from_reader(manifest.unwrap()).unwrap();
        manifest[0]["RepoTags"].clone()
    };
    assert_eq!(names("app"), serde_json::json!(["app:1", "app:old"]));
    assert_eq!(names("team/app:2"), serde_json::json!(["team/app:2"]));
    assert_eq!(names(&id.to_string()), serde_json::Value::Null);
}

#[test]
fn archive_with_an_untrue_blob_name_is_refused() {
    let layer = archive(&[("file", b"x")]);
    let (_, text) = oci_archive(&gzip(&layer), &config_of(&[&layer]), None);
    let mut broken = text;
    // The content of the first blob: the time in gzip's header.
    broken[512 + 4] ^= 1;
    let (_root, store) = store();
    let error = store.load(broken.as_slice()).unwrap_err();
    assert!(matches!(error, ArchiveError::Digest { .. }), "{error:?}");
    assert_eq!((store.images().len(), store.collect_garbage().is_ok()), (0, true));
}

#[test]
fn archive_whose_layers_are_not_those_of_the_configuration_is_refused() {
    let layer = archive(&[("file", b"x")]);
    let (_, text) = oci_archive(&gzip(&layer), &config_of(&[b"another"]), None);
    let (_root, store) = store();
    assert!(matches!(store.load(text.as_slice()), Err(ArchiveError::Layers(_))));
}

#[test]
fn archive_that_lacks_a_layer_names_it() {
    let manifest = br#"[{"Config":"c.json","RepoTags":null,"Layers":["a/layer.tar"]}]"#;
    let text = archive(&[("c.json", b"{}"), ("manifest.json", manifest)]);
    let (_root, store) = store();
    let error = store.load(text.as_slice()).unwrap_err();
    assert_eq!(error.to_string(), "the archive refers to a/layer.tar, which is not in it");
}

#[test]
fn archive_that_breaks_off_is_refused_and_leaves_nothing() {
    let whole = old_docker_archive();
    let (root, store) = store();
    // In a header, in a layer, and after one that was taken in.
    for length in [100, 1_600, 3_000, 4_500] {
        assert!(store.load(&whole[..length]).is_err(), "{length}");
    }
    let left = |folder: &str| std::fs::read_dir(root.path().join(folder)).unwrap().count();
    assert_eq!((left("layers"), left("blobs/sha256"), left("temporary")), (0, 0, 0));
}

/// A header and its content, which a reader takes for the name of the next file.
fn long_name(kind: tar::EntryType, length: usize) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path("././@LongLink").unwrap();
    header.set_entry_type(kind);
    header.set_size(length as u64);
    header.set_cksum();
    [header.as_bytes().as_slice(), &vec![b'a'; length]].concat()
}

#[test]
fn archive_with_endless_names_is_refused_before_they_are_read() {
    let (_root, store) = store();
    for kind in [tar::EntryType::GNULongName, tar::EntryType::GNULongLink, tar::EntryType::XHeader]
    {
        let text = [long_name(kind, 8 << 20), old_docker_archive()].concat();
        let error = store.load(text.as_slice()).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, "what stands before a file has more than 4194304 bytes");
    }
}

#[test]
fn archive_with_too_many_links_is_refused() {
    let (_root, store) = store();
    let mut text = Vec::new();
    for number in 0..70 {
        text.extend(long_name(tar::EntryType::GNULongLink, 1 << 20));
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_path(format!("link{number}")).unwrap();
        link.set_size(0);
        link.set_cksum();
        text.extend(link.as_bytes());
    }
    text.extend(old_docker_archive());
    let error = store.load(text.as_slice()).unwrap_err();
    assert!(matches!(error, ArchiveError::Documents(_)), "{error:?}");
}

#[test]
fn what_is_no_archive_of_images_is_told() {
    let (_root, store) = store();
    let text = archive(&[("readme", b"hello")]);
    assert!(matches!(store.load(text.as_slice()), Err(ArchiveError::Unknown)));
    assert!(matches!(
        store.load(&b"nothing"[..]),
        Err(ArchiveError::Unknown | ArchiveError::Read(_))
    ));
}

#[test]
fn file_system_becomes_an_image() {
    let (_root, store) = store();
    let mut config = ContainerConfig::default();
    apply_change(&mut config, r#"CMD ["/hello"]"#).unwrap();
    let import = Import {
        name: Some("hello".parse().unwrap()),
        message: "from a tar".to_owned(),
        config,
        platform: None,
    };
    let id = store.import(archive(&[("hello", b"x")]).as_slice(), &import).unwrap();
    let image = store.find("hello:latest").unwrap();
    assert_eq!(image.id(), id);
    assert_eq!(image.config().config.cmd, Some(vec!["/hello".to_owned()]));
    assert!(image.created_seconds() > 1_600_000_000);
    let history = image.history();
    assert_eq!(history[0].step.comment.as_deref(), Some("from a tar"));
    assert_eq!((history.len(), history[0].size), (1, image.size()));
}

#[test]
fn commit_adds_a_layer_and_a_step() {
    let (_root, store) = store();
    let parent = store.load(old_docker_archive().as_slice()).unwrap()[0].id;
    let commit = Commit {
        parent: Some(parent),
        name: Some("changed".parse().unwrap()),
        config: ContainerConfig { user: Some("me".to_owned()), ..ContainerConfig::default() },
        author: "A".to_owned(),
        comment: "why".to_owned(),
        created_by: "sh -c x".to_owned(),
    };
    let id = store.commit(archive(&[("new", b"1")]).as_slice(), &commit).unwrap();
    let image = store.image(&id).unwrap();
    assert_eq!(image.parent(), Some(parent));
    assert_eq!(image.layers()[..2], store.image(&parent).unwrap().layers());
    assert_eq!(image.config().rootfs.diff_ids.len(), 3);
    assert_eq!(image.config().config.user.as_deref(), Some("me"));
    let newest = &image.history()[0];
    assert_eq!(newest.step.created_by.as_deref(), Some("sh -c x"));
    assert_eq!(newest.tags, ["changed:latest"]);
    let config = store.document(&id.0).unwrap();
    assert_eq!(ImageConfig::parse(&config).unwrap().author.as_deref(), Some("A"));
}
