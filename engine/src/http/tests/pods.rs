//! Pods as far as they need no machine.

use serde_json::{Value, json};

use super::containers::{json_of, served};

#[tokio::test(flavor = "multi_thread")]
async fn pod_and_its_containers_are_made_shown_and_removed() {
    let (served, engine) = served().await;
    let body = json!({
        "name": "shop", "hostname": "counter", "cpus": 1.5, "memory_mib": 512, "share_ipc": true,
        "ports": [{ "port": "80", "host_port": "8080" }], "labels": { "a": "b" },
    });
    let (status, made) = served.call("POST", "/pods", &body.to_string()).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(served.call("POST", "/networks/create", r#"{"Name":"front"}"#).await.0, 201);
    let container = r#"{"Image":"base"}"#;
    for name in ["web", "db"] {
        let path = format!("/containers/create?pod=shop&name={name}");
        let (status, made) = served.call("POST", &path, container).await;
        assert_eq!(status, 201, "{made}");
    }
    let shown = json_of(&served, "/pods/shop").await;
    assert_eq!((&shown["state"], &shown["hostname"]), (&json!("created"), &json!("counter")));
    assert_eq!(shown["cpus"], 2);
    assert_eq!((&shown["networks"], &shown["share_ipc"]), (&json!(["bridge"]), &json!(true)));
    let names: Vec<_> =
        shown["containers"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    assert_eq!(names, ["web", "db"]);
    // Docker's clients see the containers, and no pod.
    let listed = json_of(&served, "/containers/json?all=1").await;
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let web = json_of(&served, "/containers/web/json").await;
    assert_eq!(web["Config"]["Hostname"], "counter");
    assert_eq!(web["HostConfig"]["NetworkMode"], format!("container:{}", id_of(&shown)));
    assert_eq!(served.call("GET", "/containers/shop/json", "").await.0, 404);
    assert_eq!(served.call("GET", "/pods/web", "").await.0, 404);
    assert_eq!(
        served.call("POST", "/networks/none/connect", r#"{"Container":"web"}"#).await.0,
        409
    );
    for (path, networks) in [
        ("none/connect", None),
        ("front/connect", Some(["bridge", "front"].as_slice())),
        ("bridge/disconnect", Some(&["front"])),
    ] {
        let answer =
            served.call("POST", &format!("/networks/{path}"), r#"{"Container":"shop"}"#).await;
        assert_eq!(answer.0, if networks.is_some() { 200 } else { 400 }, "{path}: {}", answer.1);
        if let Some(networks) = networks {
            assert_eq!(json_of(&served, "/pods/shop").await["networks"], json!(networks));
        }
    }
    for verb in ["stop", "kill", "pause", "unpause"] {
        let answer = served.call("POST", &format!("/pods/shop/{verb}"), "").await;
        assert_eq!(answer.0, 409, "{verb}: {}", answer.1);
    }
    assert_eq!(served.call("DELETE", "/pods/shop", "").await.0, 204);
    assert_eq!(json_of(&served, "/pods").await, json!([]));
    assert!(engine.containers.all().is_empty(), "its containers go with it");
}

fn id_of(pod: &Value) -> &str {
    pod["id"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_the_pod_s_is_refused_to_its_containers() {
    let (served, engine) = served().await;
    assert_eq!(served.call("POST", "/pods", r#"{"name":"shop"}"#).await.0, 201);
    for (body, option) in [
        (r#"{"Image":"base","Hostname":"own"}"#, "--hostname"),
        (r#"{"Image":"base","HostConfig":{"NetworkMode":"none"}}"#, "--network"),
        (r#"{"Image":"base","HostConfig":{"PortBindings":{"80/tcp":[{}]}}}"#, "--publish"),
    ] {
        let (status, said) = served.call("POST", "/containers/create?pod=shop", body).await;
        assert_eq!(status, 400, "{said}");
        assert!(said.contains(option), "{said}");
    }
    let none = served.call("POST", "/containers/create?pod=other", r#"{"Image":"base"}"#).await;
    assert_eq!(none.0, 404, "{}", none.1);
    let taken = served.call("POST", "/containers/create?name=shop", r#"{"Image":"base"}"#).await;
    assert_eq!(taken.0, 409, "{}", taken.1);
    for body in [
        r#"{"networks":["none","bridge"]}"#,
        r#"{"cpus":0}"#,
        r#"{"hostname":"a b"}"#,
        r#"{"ports":[{"port":"x"}]}"#,
    ] {
        assert_eq!(served.call("POST", "/pods", body).await.0, 400, "{body}");
    }
    assert!(engine.containers.all().is_empty());
    assert_eq!(engine.containers.pods().len(), 1);
}
