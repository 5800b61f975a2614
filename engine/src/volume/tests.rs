use std::fs;

use super::*;

struct Fixture {
    root: tempfile::TempDir,
    volumes: Service,
}

impl Fixture {
    async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("volumes")).unwrap();
        let volumes = Self::open(root.path()).await;
        Self { root, volumes }
    }

    async fn open(root: &Path) -> Service {
        let store = Store::open(&root.join("engine.redb")).unwrap();
        Service::open(&store, root.join("volumes"), Bus::new()).await.unwrap()
    }

    /// As after a restart of the engine.
    async fn reopen(self) -> Self {
        drop(self.volumes);
        let volumes = Self::open(self.root.path()).await;
        Self { root: self.root, volumes }
    }
}

fn named(name: &str) -> Request {
    Request { name: Some(name.to_owned()), ..Request::default() }
}

#[tokio::test]
async fn volume_survives_a_restart_with_its_files() {
    let fixture = Fixture::new().await;
    let made = fixture.volumes.create(named("data")).await.unwrap();
    fs::write(fixture.volumes.source(&made).join("file"), "x").unwrap();
    let fixture = fixture.reopen().await;
    let found = fixture.volumes.get("data").await.unwrap();
    assert_eq!(found, made);
    assert_eq!(fs::read(fixture.volumes.source(&found).join("file")).unwrap(), b"x");
}

#[tokio::test]
async fn volume_of_a_container_cannot_be_removed_before_it_is_released() {
    let Fixture { volumes, root: _root } = Fixture::new().await;
    volumes.claim(named("data"), "c1").await.unwrap();
    let error = volumes.remove("data").await.unwrap_err();
    assert_eq!(error.to_string(), "remove data: volume is in use - [c1]");
    volumes.release("c1", true).await;
    volumes.remove("data").await.unwrap();
    assert!(matches!(volumes.get("data").await, Err(VolumeError::NotFound(_))));
}

#[tokio::test]
async fn anonymous_volumes_go_with_their_last_container_if_asked() {
    let Fixture { volumes, root: _root } = Fixture::new().await;
    let made = volumes.claim(Request::default(), "c1").await.unwrap();
    assert_eq!(made.name.len(), 64);
    volumes.claim(named(&made.name), "c2").await.unwrap();
    volumes.claim(named("kept"), "c2").await.unwrap();
    volumes.release("c1", true).await;
    assert_eq!(volumes.list().await.len(), 2);
    volumes.release("c2", true).await;
    let left: Vec<_> = volumes.list().await.into_iter().map(|(v, _)| v.name).collect();
    assert_eq!(left, ["kept"]);
    assert!(!volumes.mountpoint(&made).exists());
}

#[tokio::test]
async fn removal_that_was_begun_is_finished_at_the_next_start() {
    let fixture = Fixture::new().await;
    let made = fixture.volumes.create(named("data")).await.unwrap();
    let removing = Volume { removing: true, ..made.clone() };
    fixture.volumes.0.table.put("data", &removing).await.unwrap();
    let fixture = fixture.reopen().await;
    assert!(fixture.volumes.list().await.is_empty());
    assert!(!fixture.volumes.mountpoint(&made).exists());
    let fixture = fixture.reopen().await;
    let left = fs::read_dir(fixture.root.path().join("volumes")).unwrap().count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn names_that_could_leave_the_folder_are_refused() {
    let Fixture { volumes, root: _root } = Fixture::new().await;
    for name in ["", "a", "..", "../x", ".removed-x", "a/b", "a\0b", &"x".repeat(256)] {
        let refused = volumes.create(named(name)).await;
        assert!(matches!(refused, Err(VolumeError::Name(_))), "{name:?}");
    }
}

#[tokio::test]
async fn options_other_than_a_folder_are_refused_by_name() {
    let Fixture { volumes, root: _root } = Fixture::new().await;
    let with = |options: &[(&str, &str)]| Request {
        options: options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        ..named("data")
    };
    for (options, subject) in [
        (&[("type", "nfs"), ("o", "addr=x"), ("device", ":/x")][..], "type=nfs"),
        (&[("size", "1g")], "size"),
        (&[("o", "bind"), ("device", "here")], "device=here"),
        (&[("o", "ro"), ("device", "/")], "o=ro"),
    ] {
        let error = volumes.create(with(options)).await.unwrap_err();
        assert!(error.to_string().contains(&format!("option {subject} ")), "{error}");
    }
    let bind = with(&[("type", "none"), ("o", "bind"), ("device", "/srv")]);
    let volume = volumes.create(bind).await.unwrap();
    assert_eq!(volumes.source(&volume), Path::new("/srv"));
}

#[tokio::test]
async fn prune_leaves_what_is_used_and_counts_what_went() {
    let Fixture { volumes, root: _root } = Fixture::new().await;
    let free = volumes.create(named("free")).await.unwrap();
    fs::write(volumes.source(&free).join("file"), [0; 1000]).unwrap();
    volumes.claim(named("used"), "c1").await.unwrap();
    let pruned = volumes.prune(|_| true).await.unwrap();
    assert_eq!(pruned, Pruned { names: vec!["free".to_owned()], reclaimed: 1000 });
}

#[tokio::test]
async fn concurrent_creates_of_one_name_make_one_volume() {
    let Fixture { volumes, root: _root } = Fixture::new().await;
    let creating = (0..50).map(|_| volumes.create(named("one")));
    let made: Vec<_> = futures_util::future::join_all(creating).await;
    let first = made[0].as_ref().unwrap().created;
    assert!(made.iter().all(|volume| volume.as_ref().unwrap().created == first));
}
