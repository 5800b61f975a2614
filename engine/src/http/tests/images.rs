//! Images that go while others want them.

use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;

use super::containers::served;
use super::import_empty;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn image_that_is_removed_while_containers_are_made_of_it_stays_for_those() {
    let (served, engine) = served().await;
    let served = Arc::new(served);
    let mut made = 0;
    for round in 0..30 {
        import_empty(&engine, "going", json!({})).await;
        let mut calls = JoinSet::new();
        let mut call = |method, path: String, body| {
            let served = Arc::clone(&served);
            calls.spawn(async move { served.call(method, &path, body).await });
        };
        for number in 0..6 {
            // New names of another image: removals have to wait for the store.
            call("POST", format!("/images/base/tag?repo=name{number}&tag={round}"), "");
            call("POST", "/containers/create".to_owned(), r#"{"Image":"going","Cmd":["x"]}"#);
            call("DELETE", "/images/going".to_owned(), "");
        }
        let statuses = calls.join_all().await;
        let fits = |(status, _): &(u16, String)| matches!(status, 200 | 201 | 404 | 409);
        assert!(statuses.iter().all(fits), "{statuses:?}");
        for container in engine.containers.all() {
            let image = container.with_record(|record| record.image_id.clone());
            let found = engine.containers.images().find(&image);
            assert!(found.is_ok(), "round {round}: {found:?}");
            let path = format!("/containers/{}", container.id);
            assert_eq!(served.call("DELETE", &path, "").await.0, 204);
            made += 1;
        }
    }
    assert!(made > 0, "removals were always first");
}

#[tokio::test(flavor = "multi_thread")]
async fn image_whose_content_is_damaged_can_be_removed_and_made_again() {
    let (served, engine) = served().await;
    import_empty(&engine, "damaged", json!({})).await;
    let images = served.folder.path().join("state/images");
    for folder in ["layers", "blobs/sha256"] {
        for file in images.join(folder).read_dir().unwrap() {
            let path = file.unwrap().path();
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, "rubbish").unwrap();
        }
    }
    for name in ["base", "damaged"] {
        let (status, removed) = served.call("DELETE", &format!("/images/{name}"), "").await;
        assert_eq!(status, 200, "{removed}");
        assert!(removed.contains(&format!(r#"{{"Untagged":"{name}:latest"}}"#)), "{removed}");
        assert!(removed.contains(r#"{"Deleted":"sha256:"#), "{removed}");
    }
    assert_eq!(served.call("GET", "/images/damaged/json", "").await.0, 404);
    assert_eq!(images.join("layers").read_dir().unwrap().count(), 0);
    import_empty(&engine, "damaged", json!({})).await;
    assert_eq!(served.call("GET", "/images/damaged/json", "").await.0, 200);
}
