use super::*;

/// A store of its own, and images in it whose layers are a byte or so.
struct Fixture {
    root: tempfile::TempDir,
    store: Store,
}

impl Fixture {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        Self { root, store }
    }

    fn reopen(self) -> Self {
        drop(self.store);
        Self { store: Store::open(self.root.path()).unwrap(), root: self.root }
    }

    fn files(&self) -> Vec<String> {
        let folders = &self.store.inner.folders;
        let all = [folders.all_blobs().unwrap(), folders.all_layers().unwrap()].concat();
        let mut names: Vec<_> =
            all.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    fn layer(&self, content: &str, lease: &mut Lease) -> Layer {
        let folders = &self.store.inner.folders;
        let blob = format!("compressed {content}");
        let layer = Layer {
            diff_id: Digest::of(content.as_bytes()),
            blob: Digest::of(blob.as_bytes()),
            blob_size: blob.len() as u64,
            media_type: crate::manifest::OCI_LAYER.to_owned(),
            size: content.len() as u64,
        };
        lease.take(&[layer.diff_id, layer.blob]);
        for (bytes, path) in
            [(content, folders.layer(&layer.diff_id)), (&blob, folders.blob(&layer.blob))]
        {
            files::publish_bytes(bytes.as_bytes(), folders.temporary(), &path).unwrap();
        }
        self.store.state().layers.insert(layer.blob, layer.clone());
        layer
    }

    fn image(&self, names: &[&str], layers: &[&str], parent: Option<ImageId>) -> ImageId {
        let mut lease = self.store.lease();
        let layers: Vec<_> = layers.iter().map(|layer| self.layer(layer, &mut lease)).collect();
        let mut config = ImageConfig { os: names.join(" "), ..ImageConfig::default() };
        config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
        config.created = Some("2026-11-23T12:00:00.5Z".to_owned());
        let new = NewImage {
            config: serde_json::to_vec(&config).unwrap(),
            manifest: format!("manifest of {names:?}").into_bytes(),
            manifest_type: crate::manifest::OCI_MANIFEST.to_owned(),
            layers,
            parent,
            names: names.iter().map(|name| name.parse().unwrap()).collect(),
            authoritative: true,
        };
        self.store.add(new, &mut lease).unwrap()
    }

    fn remove(&self, text: &str, force: bool) -> Result<Vec<Removed>, StoreError> {
        let options = RemoveOptions { force, keep_parents: false };
        self.store.remove(text, options, &|_| None)
    }

    fn has(&self, id: ImageId) -> bool {
        self.store.image(&id).is_ok()
    }
}

fn untagged(name: &str) -> Removed {
    Removed::Untagged(name.to_owned())
}

fn used_by(running: bool) -> impl Fn(&ImageId) -> Option<Use> {
    move |_| Some(Use { container: "c0ffee00112233445566".to_owned(), running })
}

#[test]
fn image_is_found_by_name_id_and_beginning_of_id() {
    let all = Fixture::new();
    let id = all.image(&["busybox"], &["a"], None);
    let hex = id.0.hex();
    for text in ["busybox", "busybox:latest", "docker.io/library/busybox", &hex, &hex[..12]] {
        assert_eq!(all.store.find(text).unwrap().id(), id, "{text}");
    }
    assert_eq!(all.store.find(&id.to_string()).unwrap().id(), id);
    assert_eq!(all.store.find(&format!("sha256:{}", &hex[..5])).unwrap().id(), id);
}

#[test]
fn missing_image_is_named_as_users_name_it() {
    let error = Fixture::new().store.find("docker.io/library/nothing").unwrap_err();
    assert_eq!(error.to_string(), "No such image: nothing:latest");
}

#[test]
fn name_wins_over_the_beginning_of_an_id() {
    let all = Fixture::new();
    let first = all.image(&["one"], &["a"], None);
    let second = all.image(&["two"], &["b"], None);
    let beginning = first.0.hex()[..4].to_owned();
    all.store.tag("two", &beginning.parse().unwrap()).unwrap();
    assert_eq!(all.store.find(&beginning).unwrap().id(), second);
}

#[test]
fn images_outlive_the_process() {
    let all = Fixture::new();
    let id = all.image(&["a/b:1"], &["x", "y"], None);
    let before = all.store.image(&id).unwrap().layers();
    let all = all.reopen();
    let image = all.store.find("a/b:1").unwrap();
    assert_eq!((image.id(), image.layers()), (id, before));
    assert_eq!(image.size(), 2);
    assert_eq!(image.created_seconds(), 1_795_435_200);
    assert!(image.layers().iter().all(|path| path.is_file()));
}

#[test]
fn store_is_opened_once() {
    let all = Fixture::new();
    assert!(matches!(Store::open(all.root.path()), Err(StoreError::Locked(_))));
}

#[test]
fn what_nobody_finished_is_gone_after_a_crash() {
    let all = Fixture::new();
    all.image(&["kept"], &["a"], None);
    let kept = all.files();
    let mut lease = all.store.lease();
    all.layer("of a pull that was killed", &mut lease);
    std::mem::forget(lease);
    std::fs::write(all.store.inner.folders.temporary().join("x"), "half a layer").unwrap();
    let inner = Arc::try_unwrap(all.store.inner);
    let root = all.root;
    drop(inner);
    // The forgotten lease still holds the lock in this process: as a second engine would see it.
    assert!(matches!(Store::open(root.path()), Err(StoreError::Locked(_))));
    std::fs::remove_file(root.path().join("lock")).unwrap();
    let all = Fixture { store: Store::open(root.path()).unwrap(), root };
    assert_eq!(all.files(), kept);
    assert_eq!(std::fs::read_dir(all.store.inner.folders.temporary()).unwrap().count(), 0);
}

#[test]
fn image_with_a_missing_layer_is_not_offered() {
    let all = Fixture::new();
    let broken = all.image(&["broken"], &["a"], None);
    let whole = all.image(&["whole"], &["b"], None);
    std::fs::remove_file(&all.store.image(&broken).unwrap().layers()[0]).unwrap();
    let all = all.reopen();
    assert!(!all.has(broken));
    assert!(all.has(whole));
    assert!(matches!(all.store.find("broken"), Err(StoreError::NoSuchImage(_))));
}

#[test]
fn damaged_image_keeps_its_files_and_is_offered_again_when_it_is_whole() {
    let all = Fixture::new();
    let id = all.image(&["app"], &["a", "b"], None);
    let path = all.store.inner.folders.blob(&all.store.image(&id).unwrap().layer_records()[0].blob);
    let (blob, before) = (std::fs::read(&path).unwrap(), all.files());
    std::fs::remove_file(&path).unwrap();

    let all = all.reopen();
    assert_eq!(all.files().len(), before.len() - 1);
    assert!(!all.has(id) && all.store.images().is_empty());
    assert!(matches!(all.store.find("app"), Err(StoreError::NoSuchImage(_))));
    assert!(matches!(all.store.hold(&id), Err(StoreError::NoSuchImage(_))));
    let name = "other".parse().unwrap();
    assert!(matches!(all.store.tag("app", &name), Err(StoreError::NoSuchImage(_))));
    // The index is written anew, and what is garbage goes.
    all.image(&["another"], &["b"], None);
    all.remove("another", false).unwrap();

    std::fs::write(&path, blob).unwrap();
    let all = all.reopen();
    assert_eq!((all.store.find("app").unwrap().id(), all.files()), (id, before));
}

#[test]
fn damaged_image_goes_by_its_name_or_is_taken_in_again() {
    let all = Fixture::new();
    let id = all.image(&["app"], &["a", "b"], None);
    let break_it = |all: Fixture| {
        std::fs::remove_file(&all.store.image(&id).unwrap().layers()[0]).unwrap();
        all.reopen()
    };
    let all = break_it(all);
    assert_eq!(all.image(&["app"], &["a", "b"], None), id);
    assert!(all.has(id));
    let all = break_it(all);
    all.remove("app", false).unwrap();
    assert_eq!(all.files(), [""; 0]);
}

#[test]
fn damaged_image_that_is_taken_in_again_has_the_layers_of_then() {
    let all = Fixture::new();
    let id = all.image(&["app"], &["a"], None);
    let layer = all.store.image(&id).unwrap().layer_records()[0].clone();
    let config = all.store.document(&id.0).unwrap();
    std::fs::remove_file(all.store.inner.folders.blob(&layer.blob)).unwrap();
    let all = all.reopen();

    let (blob, folders) = (b"packed otherwise", &all.store.inner.folders);
    let layer = Layer { blob: Digest::of(blob), ..layer };
    files::publish_bytes(blob, folders.temporary(), &folders.blob(&layer.blob)).unwrap();
    let new = NewImage {
        config,
        manifest: b"another".to_vec(),
        manifest_type: crate::manifest::OCI_MANIFEST.to_owned(),
        layers: vec![layer.clone()],
        parent: None,
        names: vec![],
        authoritative: false,
    };
    all.store.add(new, &mut all.store.lease()).unwrap();
    let all = all.reopen();
    assert_eq!(all.store.image(&id).unwrap().layer_records(), [layer]);
}

#[test]
fn index_of_a_newer_program_is_left_alone() {
    let all = Fixture::new();
    all.image(&["a"], &["a"], None);
    let path = all.store.inner.folders.index();
    let root = all.root;
    drop(all.store);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, r#"{"version":2,"images":{},"tags":{},"digests":{}}"#).unwrap();
    assert!(matches!(Store::open(root.path()), Err(StoreError::Version { version: 2, .. })));
    assert!(std::fs::read_dir(root.path().join("layers")).unwrap().count() > 0);
}

#[test]
fn tag_moves_from_one_image_to_the_other() {
    let all = Fixture::new();
    let old = all.image(&["app:1"], &["a"], None);
    let new = all.image(&["app:1"], &["a", "b"], None);
    assert_eq!(all.store.find("app:1").unwrap().id(), new);
    assert!(all.store.image(&old).unwrap().is_dangling());
}

#[test]
fn removing_one_of_two_names_keeps_the_image() {
    let all = Fixture::new();
    let id = all.image(&["a:1", "b:1"], &["x"], None);
    assert_eq!(all.remove("a:1", false).unwrap(), [untagged("a:1")]);
    assert_eq!(all.store.image(&id).unwrap().repo_tags(), ["b:1"]);
}

#[test]
fn removing_the_last_name_removes_image_and_layers() {
    let all = Fixture::new();
    let digest = format!("a@{}", Digest::of(b"in the registry"));
    let id = all.image(&["a:1", &digest], &["x"], None);
    let layer = Digest::of(b"x").to_string();
    let deleted = |name: String| Removed::Deleted(name);
    assert_eq!(
        all.remove("a:1", false).unwrap(),
        [untagged("a:1"), untagged(&digest), deleted(id.to_string()), deleted(layer)]
    );
    assert_eq!(all.files(), Vec::<String>::new());
}

#[test]
fn layer_of_two_images_stays_with_the_second() {
    let all = Fixture::new();
    all.image(&["a"], &["shared", "own"], None);
    let other = all.image(&["b"], &["shared"], None);
    all.remove("a", false).unwrap();
    assert!(all.store.image(&other).unwrap().layers()[0].is_file());
    assert_eq!(all.files().iter().filter(|name| name.ends_with(".erofs")).count(), 1);
}

#[test]
fn id_with_names_in_two_repositories_wants_force() {
    let all = Fixture::new();
    let id = all.image(&["a:1", "b:1"], &["x"], None);
    let short = &id.0.hex()[..12];
    assert_eq!(
        all.remove(short, false).unwrap_err().to_string(),
        format!(
            "conflict: unable to delete {short} (must be forced) - image is referenced in \
             multiple repositories"
        )
    );
    all.remove(short, true).unwrap();
    assert!(!all.has(id));
}

#[test]
fn image_of_a_running_container_stays_even_by_force() {
    let all = Fixture::new();
    let id = all.image(&["a"], &["x"], None);
    let remove = |text: &str, force, running| {
        let options = RemoveOptions { force, keep_parents: false };
        all.store.remove(text, options, &used_by(running)).map_err(|error| error.to_string())
    };
    assert_eq!(
        remove("a", false, true).unwrap_err(),
        format!(
            "conflict: unable to remove repository reference \"a:latest\" (must be forced) - \
             container c0ffee001122 is using its referenced image {}",
            &id.0.hex()[..12]
        )
    );
    let by_id = remove(&id.to_string(), true, true).unwrap_err();
    assert!(by_id.ends_with("being used by running container c0ffee001122"), "{by_id}");
    assert_eq!(remove("a", true, true).unwrap(), [untagged("a:latest")]);
    assert!(all.has(id) && all.store.image(&id).unwrap().is_dangling());
}

#[test]
fn held_image_stays_until_it_is_let_go() {
    let all = Fixture::new();
    let id = all.image(&["a"], &["x"], None);
    let hold = all.store.hold(&id).unwrap();
    assert_eq!(all.remove("a", true).unwrap(), [untagged("a:latest")]);
    assert_eq!(all.store.prune(true, &|_| true, &|_| None).unwrap(), PruneReport::default());
    assert!(all.store.image(&id).unwrap().layers()[0].is_file());
    drop(hold);
    let report = all.store.prune(false, &|_| true, &|_| None).unwrap();
    assert!(report.removed.contains(&Removed::Deleted(id.to_string())));
    assert!(!all.has(id));
}

#[test]
fn parent_without_a_name_goes_with_its_last_child() {
    let all = Fixture::new();
    let parent = all.image(&["base"], &["x"], None);
    let child = all.image(&["app"], &["x", "y"], Some(parent));
    let conflict = all.remove(&parent.to_string(), true).unwrap_err().to_string();
    assert!(conflict.ends_with("(cannot be forced) - image has dependent child images"));
    assert_eq!(all.remove("base", false).unwrap(), [untagged("base:latest")]);
    assert!(all.has(parent));
    all.remove("app", false).unwrap();
    assert!(!all.has(parent) && !all.has(child));
}

#[test]
fn prune_takes_dangling_images_and_all_only_when_told() {
    let all = Fixture::new();
    let old = all.image(&["app"], &["a"], None);
    let new = all.image(&["app"], &["b"], None);
    let report = all.store.prune(false, &|_| true, &|_| None).unwrap();
    assert!(!all.has(old) && all.has(new));
    assert!(report.reclaimed > 0);
    all.store.prune(true, &|_| true, &used_by(false)).unwrap();
    assert!(all.has(new));
    all.store.prune(true, &|image| image.tags().is_empty(), &|_| None).unwrap();
    assert!(all.has(new));
    all.store.prune(true, &|_| true, &|_| None).unwrap();
    assert!(!all.has(new));
}

#[test]
fn usage_counts_shared_layers_once() {
    let all = Fixture::new();
    let one = all.image(&["a"], &["shared", "a"], None);
    let two = all.image(&["b"], &["shared"], None);
    let usage = all.store.usage();
    assert_eq!(usage.layers, 7);
    assert_eq!(usage.images[&one], ImageUsage { size: 7, shared: 6 });
    assert_eq!(usage.images[&two], ImageUsage { size: 6, shared: 6 });
    assert!(usage.disk > 0);
}
