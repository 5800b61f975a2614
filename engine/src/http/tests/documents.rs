//! Documents as clients of several versions and languages look into them, and what lists leave out.

use serde_json::{Value, json};

use super::Served;
use super::containers::{json_of, served};

async fn create(served: &Served, path: &str, body: &str) -> (u16, Value) {
    let (status, answer) = served.call("POST", path, body).await;
    (status, serde_json::from_str(&answer).unwrap())
}

/// The names of the containers that fit.
async fn listed(served: &Served, filters: &Value) -> Vec<String> {
    let filters = filters.to_string().replace('"', "%22").replace('^', "%5E").replace('|', "%7C");
    let list = json_of(served, &format!("/containers/json?all=1&filters={filters}")).await;
    let names = list.as_array().unwrap().iter().map(|one| one["Names"][0].as_str().unwrap());
    let mut names: Vec<_> = names.map(|name| name[1..].to_owned()).collect();
    names.sort_unstable();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_asked_for_is_shown_as_its_zero_value() {
    let (served, _engine) = served().await;
    create(&served, "/containers/create?name=web", r#"{"Image":"base"}"#).await;
    let shown = json_of(&served, "/containers/web/json").await;
    assert_eq!(shown["Config"]["Tty"], false);
    assert_eq!(shown["HostConfig"]["Privileged"], false);
    assert_eq!(shown["HostConfig"]["MaskedPaths"], Value::Null);
    assert_eq!(shown["NetworkSettings"]["Networks"]["bridge"]["IPAddress"], "");
    assert_eq!(shown.get("ExecIDs"), Some(&Value::Null));
    assert_eq!(shown["NetworkSettings"].get("IPAddress"), None);
    let old = json_of(&served, "/v1.43/containers/web/json").await;
    assert_eq!(old["NetworkSettings"]["IPAddress"], "");
    let stats = json_of(&served, "/containers/web/stats?stream=0").await;
    assert_eq!(stats["precpu_stats"]["cpu_usage"]["total_usage"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_the_container_is_one_of_its_network() {
    let (served, _engine) = served().await;
    let body = r#"{"Image":"base","MacAddress":"02:00:00:00:00:07"}"#;
    assert_eq!(create(&served, "/v1.43/containers/create?name=old", body).await.0, 201);
    let shown = json_of(&served, "/v1.43/containers/old/json").await;
    assert_eq!(shown["Config"]["MacAddress"], "02:00:00:00:00:07");
    let shown = json_of(&served, "/containers/old/json").await;
    assert_eq!(shown["Config"].get("MacAddress"), None);
    let endpoint = &shown["NetworkSettings"]["Networks"]["bridge"];
    assert_eq!(endpoint["MacAddress"], "02:00:00:00:00:07");
    let (status, answer) = create(&served, "/v1.51/containers/create", body).await;
    assert_eq!(status, 201);
    assert!(answer["Warnings"][0].as_str().unwrap().contains("deprecated"), "{answer}");
    assert_eq!(create(&served, "/containers/create", body).await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn null_is_taken_for_how_a_container_is_on_a_network() {
    let (served, _engine) = served().await;
    let body = r#"{"Image":"base","NetworkingConfig":{"EndpointsConfig":{"bridge":null}}}"#;
    assert_eq!(create(&served, "/containers/create?name=web", body).await.0, 201);
    let wrong = r#"{"Image":"base","HostConfig":{"Memory":"much"}}"#;
    let (status, answer) = create(&served, "/containers/create", wrong).await;
    assert_eq!(status, 400);
    assert!(answer["message"].as_str().unwrap().contains("HostConfig.Memory"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn image_of_another_platform_is_not_found() {
    let (served, _engine) = served().await;
    let body = r#"{"Image":"base"}"#;
    let path = "/containers/create?platform=linux/s390x";
    let (status, answer) = create(&served, path, body).await;
    assert_eq!(status, 404);
    assert!(answer["message"].as_str().unwrap().contains("wanted linux/s390x"), "{answer}");
    let path = format!("/containers/create?platform={}", image::Platform::of_guests());
    assert_eq!(create(&served, &path, body).await.0, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_shown_as_old_clients_know_them() {
    let (served, _engine) = served().await;
    let old = json_of(&served, "/v1.38/images/base/json").await;
    assert_eq!(old["ContainerConfig"]["Cmd"], json!(["sh"]));
    assert_eq!(old["ContainerConfig"].get("Volumes"), Some(&Value::Null));
    assert_eq!(old["VirtualSize"], old["Size"]);
    let new = json_of(&served, "/images/base/json").await;
    assert_eq!(new["ContainerConfig"]["Cmd"], json!(["sh"]));
    assert_eq!(new.get("VirtualSize"), None);
    let list = json_of(&served, "/v1.43/images/json").await;
    assert_eq!(list[0]["VirtualSize"], list[0]["Size"]);
    let list = json_of(&served, "/images/json?filters={%22label!%22:[%22a%22]}").await;
    assert_eq!(list[0]["RepoTags"], json!(["base:latest"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered_by_what_names_mean() {
    let (served, engine) = served().await;
    served.call("POST", "/networks/create", r#"{"Name":"front"}"#).await;
    let body = r#"{"Image":"base","ExposedPorts":{"8005/tcp":{}},
        "HostConfig":{"NetworkMode":"front","PortBindings":{"80/tcp":[{"HostPort":"8080"}]}}}"#;
    create(&served, "/containers/create?name=web-1", body).await;
    create(&served, "/containers/create?name=db-1", r#"{"Image":"base"}"#).await;
    let network = engine.networks.find("front").await.unwrap().id;
    let image = engine.images.store().find("base").unwrap().id().to_string();
    let (both, web) = (vec!["db-1", "web-1"], vec!["web-1"]);
    for (filters, names) in [
        (json!({ "name": ["^(web|db)-[0-9]$"] }), &both),
        (json!({ "name": ["^/web-1$"] }), &web),
        (json!({ "network": [&network[..12]] }), &web),
        (json!({ "network": ["front"] }), &web),
        (json!({ "ancestor": ["docker.io/library/base"] }), &both),
        (json!({ "ancestor": [&image[7..19]] }), &both),
        (json!({ "ancestor": ["nothing"] }), &vec![]),
        (json!({ "expose": ["8000-8010/tcp"] }), &web),
        (json!({ "expose": ["8006"] }), &vec![]),
        // It does not run, so that nothing leads to it, least of all its own port.
        (json!({ "publish": ["80"] }), &vec![]),
    ] {
        assert_eq!(listed(&served, &filters).await, *names, "{filters}");
    }
    let refused =
        served.call("GET", "/containers/json?filters={%22publish%22:[%22a%22]}", "").await;
    assert_eq!(refused.0, 400);
    let exited = json_of(&served, "/containers/json?filters={%22exited%22:[%220%22]}").await;
    assert_eq!(exited, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_tags_of_a_repository_that_has_none_here_are_not_pushed() {
    let (served, _engine) = served().await;
    let (status, answer) = create(&served, "/images/127.0.0.1:9/none/push", "").await;
    assert_eq!(status, 404, "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("127.0.0.1:9/none"), "{answer}");
}
