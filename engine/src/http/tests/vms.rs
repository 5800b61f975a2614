//! Machines as far as they need no KVM.

use serde_json::{Value, json};

use super::Served;

fn body(served: &Served, name: &str) -> Value {
    let kernel = served.folder.path().join("vmlinux");
    std::fs::write(&kernel, "no kernel").unwrap();
    json!({ "name": name, "kernel": kernel, "cpus": 2, "memory_mib": 64, "labels": { "a": "b" } })
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_machine_is_made_shown_and_removed() {
    let served = Served::start().await;
    let body = body(&served, "one").to_string();
    let (status, made) = served.call("POST", "/vms", &body).await;
    assert_eq!(status, 201, "{made}");
    let id = serde_json::from_str::<Value>(&made).unwrap()["id"].as_str().unwrap().to_owned();
    let (status, second) = served.call("POST", "/vms", &body).await;
    assert_eq!(status, 409, "{second}");
    for name in ["one", &id, &id[..10]] {
        let (status, shown) = served.call("GET", &format!("/vms/{name}"), "").await;
        assert_eq!(status, 200, "{shown}");
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["id"], json!(id));
        assert_eq!((&shown["kind"], &shown["state"]), (&json!("plain"), &json!("created")));
        assert_eq!((&shown["cpus"], &shown["memory_mib"]), (&json!(2), &json!(64)));
        assert_eq!(shown["labels"], json!({ "a": "b" }));
    }
    assert_eq!(served.call("DELETE", "/vms/one", "").await.0, 204);
    assert_eq!(served.call("GET", "/vms", "").await.1, "[]");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_make_no_sense_are_refused_with_their_reason() {
    let served = Served::start().await;
    let good = body(&served, "one");
    for (field, value, reason) in [
        ("kernel", json!("/nonexistent"), "/nonexistent"),
        ("kernel", json!("vmlinux"), "absolute"),
        ("memory_mib", json!(1), "memory"),
        ("cpus", json!(0), "cpu.count"),
        ("name", json!("-"), "machine name"),
        ("disks", json!([{ "path": "/nonexistent/disk" }]), "/nonexistent/disk"),
        ("more", json!(1), "more"),
    ] {
        let mut body = good.clone();
        body[field] = value;
        let (status, said) = served.call("POST", "/vms", &body.to_string()).await;
        assert_eq!(status, 400, "{field}: {said}");
        assert!(said.contains(reason), "{field}: {said}");
    }
    assert_eq!(served.call("GET", "/vms", "").await.1, "[]");
}

#[tokio::test(flavor = "multi_thread")]
async fn machine_that_does_not_run_says_so() {
    let served = Served::start().await;
    let body = body(&served, "one").to_string();
    assert_eq!(served.call("POST", "/vms", &body).await.0, 201);
    for (method, path, status) in [
        ("POST", "/vms/one/stop", 409),
        ("POST", "/vms/one/kill", 409),
        ("POST", "/vms/one/pause", 409),
        ("POST", "/vms/one/resume", 409),
        ("GET", "/vms/one/metrics", 409),
        ("GET", "/vms/one/spec", 409),
        ("GET", "/vms/one/log", 200),
        ("GET", "/vms/one/console", 200),
        ("GET", "/vms/one/events", 200),
        ("GET", "/vms/other", 404),
    ] {
        let answer = served.call(method, path, "").await;
        assert_eq!(answer.0, status, "{method} {path}: {}", answer.1);
    }
}
