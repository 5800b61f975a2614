//! Containers as far as they need no machine.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Served, import_empty};
use crate::engine::Engine;

/// An engine with an image `base` whose one layer is empty.
pub(super) async fn served() -> (Served, Arc<Engine>) {
    let (served, engine) = Served::start_with().await;
    let config = json!({ "Cmd": ["sh"], "Env": ["PATH=/bin"] });
    import_empty(&engine, "base", config).await;
    (served, engine)
}

pub(super) async fn json_of(served: &Served, path: &str) -> Value {
    let (status, body) = served.call("GET", path, "").await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_gets_a_name_and_nothing_is_left_of_the_others() {
    let (served, engine) = served().await;
    let served = Arc::new(served);
    let mut creating = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let served = Arc::clone(&served);
        creating.spawn(async move {
            let path = "/containers/create?name=one";
            served.call("POST", path, r#"{"Image":"base"}"#).await.0
        });
    }
    let mut statuses = creating.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses[0], 201);
    assert!(statuses[1..].iter().all(|status| *status == 409), "{statuses:?}");
    assert_eq!(engine.containers.all().len(), 1);
    assert_eq!(served.folder.path().join("state/containers").read_dir().unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_for_is_shown() {
    let (served, _engine) = served().await;
    let body = r#"{"Image":"base","Cmd":["echo","hi"],"Labels":{"a":"b"},"Tty":true,
        "HostConfig":{"Memory":67108864,"NetworkMode":"none"}}"#;
    let (status, answer) = served.call("POST", "/containers/create?name=web", body).await;
    assert_eq!(status, 201, "{answer}");
    let shown = json_of(&served, "/containers/web/json").await;
    assert_eq!(shown["Name"], "/web");
    assert_eq!(shown["State"]["Status"], "created");
    assert_eq!(shown["Path"], "echo");
    assert_eq!(shown["Config"]["Env"], json!(["PATH=/bin"]));
    assert_eq!(shown["HostConfig"]["Memory"], 67_108_864);
    let list = json_of(&served, "/containers/json?all=1&filters={%22label%22:[%22a=b%22]}").await;
    assert_eq!(list[0]["Names"], json!(["/web"]));
    assert_eq!(json_of(&served, "/containers/json").await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn container_that_changed_its_networks_is_on_those_only() {
    let (served, _engine) = served().await;
    let made = served.call("POST", "/networks/create", r#"{"Name":"front"}"#).await;
    assert_eq!(made.0, 201, "{}", made.1);
    assert_eq!(
        served.call("POST", "/containers/create?name=web", r#"{"Image":"base"}"#).await.0,
        201
    );
    // As docker-compose does to give aliases.
    for (path, status) in [
        ("/networks/bridge/disconnect", 200),
        ("/networks/bridge/disconnect", 500),
        ("/networks/front/connect", 200),
    ] {
        let answer = served.call("POST", path, r#"{"Container":"web"}"#).await;
        assert_eq!(answer.0, status, "{path}: {}", answer.1);
    }
    let shown = json_of(&served, "/containers/web/json").await;
    let networks = shown["NetworkSettings"]["Networks"].as_object().unwrap();
    assert_eq!(networks.keys().collect::<Vec<_>>(), ["front"]);
    assert_eq!(shown["HostConfig"]["NetworkMode"], "bridge");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_on_no_network_is_on_no_other() {
    let (served, _engine) = served().await;
    let none = r#"{"Image":"base","HostConfig":{"NetworkMode":"none"}}"#;
    assert_eq!(served.call("POST", "/containers/create?name=alone", none).await.0, 201);
    let create = r#"{"Image":"base"}"#;
    assert_eq!(served.call("POST", "/containers/create?name=web", create).await.0, 201);
    for (path, name, status) in [
        ("/networks/bridge/connect", "alone", 400),
        ("/networks/none/connect", "web", 400),
        ("/networks/none/connect", "alone", 200),
        ("/networks/none/disconnect", "web", 500),
        ("/networks/none/disconnect", "alone", 200),
        ("/networks/bridge/connect", "alone", 200),
        ("/networks/bridge/disconnect", "web", 200),
        ("/networks/none/connect", "web", 200),
    ] {
        let answer = served.call("POST", path, &format!(r#"{{"Container":"{name}"}}"#)).await;
        assert_eq!(answer.0, status, "{path} {name}: {}", answer.1);
        assert!(status != 400 || answer.1.contains("private (none) mode"), "{}", answer.1);
    }
    let both = r#"{"Image":"base","HostConfig":{"NetworkMode":"none"},
        "NetworkingConfig":{"EndpointsConfig":{"bridge":{}}}}"#;
    let refused = served.call("POST", "/containers/create", both).await;
    assert_eq!(refused.0, 400, "{}", refused.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_are_renamed_updated_and_removed() {
    let (served, _engine) = served().await;
    let create = served.call("POST", "/containers/create?name=old", r#"{"Image":"base"}"#).await;
    assert_eq!(create.0, 201);
    assert_eq!(served.call("POST", "/containers/old/rename?name=new", "").await.0, 204);
    assert_eq!(served.call("GET", "/containers/old/json", "").await.0, 404);
    let update = r#"{"Memory":134217728,"RestartPolicy":{"Name":"always"}}"#;
    assert_eq!(served.call("POST", "/containers/new/update", update).await.0, 200);
    let shown = json_of(&served, "/containers/new/json").await;
    assert_eq!(shown["HostConfig"]["RestartPolicy"]["Name"], "always");
    assert_eq!(served.call("DELETE", "/containers/new", "").await.0, 204);
    assert_eq!(served.call("DELETE", "/containers/new", "").await.0, 404);
    assert_eq!(served.folder.path().join("state/containers").read_dir().unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_run_answers_as_docker_does() {
    let (served, _engine) = served().await;
    let create = served.call("POST", "/containers/create?name=web", r#"{"Image":"base"}"#).await;
    assert_eq!(create.0, 201);
    for (method, path, body, status) in [
        ("POST", "/containers/web/stop", "", 304),
        ("POST", "/containers/web/kill", "", 409),
        ("POST", "/containers/web/pause", "", 409),
        ("POST", "/containers/web/unpause", "", 409),
        ("POST", "/containers/web/exec", r#"{"Cmd":["a"]}"#, 409),
        ("GET", "/containers/web/top", "", 409),
        ("POST", "/containers/web/wait", "", 200),
        ("POST", "/containers/web/wait?condition=never", "", 400),
        ("GET", "/containers/web/logs?stdout=1", "", 200),
        ("GET", "/containers/web/logs", "", 400),
        ("POST", "/containers/none/start", "", 404),
        ("GET", "/exec/none/json", "", 404),
        ("POST", "/containers/create", r#"{"Image":"nothing"}"#, 404),
        ("POST", "/containers/create?name=-", r#"{"Image":"base"}"#, 400),
        ("POST", "/containers/create", r#"{"Image":"base","HostConfig":{"PidMode":"host"}}"#, 501),
    ] {
        let answer = served.call(method, path, body).await;
        assert_eq!(answer.0, status, "{method} {path}: {}", answer.1);
    }
}
