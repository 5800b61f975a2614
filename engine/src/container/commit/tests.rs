use agent_protocol::message::{Done, Exited, Reply, Request};
use bollard_stubs::models::ContainerCreateBody;
use image::config::ContainerConfig as Committed;
use serde_json::json;

use super::*;
use crate::agent::tests::{next, reply};
use crate::container::played;

#[tokio::test]
async fn a_commit_that_broke_off_makes_no_image() {
    let (_served, engine) = played::engine_with_image().await;
    let container = played::container(&engine, "one").await;
    let (machine, mut guest) = played::run(&container).await;
    let commit = || CommitRequest { repository: "made".to_owned(), ..CommitRequest::default() };
    // All that came looks whole.
    let (made, ()) = tokio::join!(
        engine.containers.commit(&container, commit()),
        machine.transfer(&mut guest, &[0; 1024], 1),
    );
    let error = made.unwrap_err().to_string();
    assert!(error.contains("broke off (code 1)"), "{error}");
    engine.images.store().find("made").unwrap_err();
    let (made, ()) = tokio::join!(
        engine.containers.commit(&container, commit()),
        machine.transfer(&mut guest, &[0; 1024], 0),
    );
    let id = made.unwrap();
    assert_eq!(engine.images.store().find("made").unwrap().id().to_string(), id);
}

#[tokio::test]
async fn nobody_else_freezes_a_container_during_a_commit_and_it_goes_on_whatever_comes_of_that() {
    let (_served, engine) = played::engine_with_image().await;
    let container = played::container(&engine, "one").await;
    let (machine, mut guest) = played::run(&container).await;
    let request = CommitRequest { pause: true, ..CommitRequest::default() };
    let other = Arc::clone(&container);
    let playing = async {
        let freeze = next(&guest).await;
        assert!(matches!(freeze.request, Some(Request::PauseContainer(_))));
        reply(&mut guest, freeze.id, Reply::Done(Done {})).await;
        let (stream, id) = machine.begin_transfer(&mut guest).await;
        let pausing = tokio::spawn(async move { other.pause().await });
        drop(stream);
        reply(&mut guest, id, Reply::Exited(Exited { session: 9, code: 1, ..Exited::default() }))
            .await;
        let resume = next(&guest).await;
        assert!(matches!(resume.request, Some(Request::ResumeContainer(_))));
        reply(&mut guest, resume.id, Reply::Done(Done {})).await;
        let freeze = next(&guest).await;
        assert!(matches!(freeze.request, Some(Request::PauseContainer(_))));
        reply(&mut guest, freeze.id, Reply::Done(Done {})).await;
        pausing.await.unwrap().unwrap();
    };
    let (made, ()) = tokio::join!(engine.containers.commit(&container, request), playing);
    made.unwrap_err();
    assert_eq!(container.phase(), Phase::Paused);
}

#[tokio::test]
async fn a_commit_of_a_guest_that_falls_silent_is_given_up() {
    let (_served, engine) = played::engine_with_image().await;
    let container = played::container(&engine, "one").await;
    let (machine, mut guest) = played::run(&container).await;
    let request = CommitRequest { repository: "made".to_owned(), ..CommitRequest::default() };
    let beginning = async {
        let (stream, _) = machine.begin_transfer(&mut guest).await;
        played::hurry();
        stream
    };
    let committing = engine.containers.commit(&container, request);
    let (made, _stream) = tokio::join!(committing, beginning);
    let error = made.unwrap_err().to_string();
    assert!(error.contains("the guest of container one did not answer for 30s"), "{error}");
    engine.images.store().find("made").unwrap_err();
}

fn words(text: &str) -> Option<Vec<String>> {
    Some(text.split(' ').map(str::to_owned).collect())
}

/// What an image has that is committed of a container that serves, with these lines and, in place
/// of the container's, this configuration.
async fn committed(changes: &[&str], config: Option<ContainerConfig>) -> Committed {
    let (_served, engine) = played::engine_with_image().await;
    let body = ContainerCreateBody {
        image: Some("base".to_owned()),
        cmd: words("serve --fast"),
        env: words("A=own B=own"),
        labels: Some([("of".to_owned(), "own".to_owned())].into()),
        exposed_ports: words("80/tcp"),
        user: Some("web".to_owned()),
        working_dir: Some("/srv".to_owned()),
        ..ContainerCreateBody::default()
    };
    let container = engine.containers.create(Some("one"), None, body).await.unwrap().container;
    let (machine, mut guest) = played::run(&container).await;
    let changes = changes.iter().map(|line| (*line).to_owned()).collect();
    let repository = "made".to_owned();
    let request = CommitRequest { repository, changes, config, ..CommitRequest::default() };
    let (made, ()) = tokio::join!(
        engine.containers.commit(&container, request),
        machine.transfer(&mut guest, &[0; 1024], 0),
    );
    made.unwrap();
    engine.images.store().find("made").unwrap().config().config.clone()
}

fn ports(config: &Committed) -> Vec<&str> {
    config.exposed_ports.iter().flatten().map(|(port, _)| port.as_str()).collect()
}

#[tokio::test]
async fn an_image_has_the_configuration_of_its_container() {
    let config = committed(&[], None).await;
    assert_eq!(config.cmd, words("serve --fast"));
    assert_eq!(config.env, words("A=own B=own"));
    assert_eq!(json!(config.labels), json!({ "of": "own" }));
    assert_eq!(ports(&config), ["80/tcp"]);
    assert_eq!((config.user.unwrap(), config.working_dir.unwrap()), ("web".into(), "/srv".into()));
}

#[tokio::test]
async fn changes_win_over_the_configuration_of_the_container() {
    let changes = ["ENV A=changed C=changed", "EXPOSE 53/udp", "LABEL of=changed", "USER root"];
    let config = committed(&changes, None).await;
    assert_eq!(config.env, words("B=own A=changed C=changed"));
    assert_eq!(ports(&config), ["53/udp", "80/tcp"]);
    assert_eq!(json!(config.labels), json!({ "of": "changed" }));
    assert_eq!((config.user.unwrap(), config.working_dir.unwrap()), ("root".into(), "/srv".into()));
    assert_eq!(config.cmd, words("serve --fast"));
}

#[tokio::test]
async fn a_configuration_that_is_asked_for_is_filled_up_by_that_of_the_container() {
    let asked = ContainerConfig {
        env: words("A=asked D=asked"),
        entrypoint: words("/entry"),
        user: Some("asked".to_owned()),
        ..ContainerConfig::default()
    };
    let config = committed(&["ENV A=changed", "WORKDIR /changed"], Some(asked)).await;
    // What is changed wins over what is asked for, and that over what is there.
    assert_eq!(config.env, words("D=asked A=changed B=own"));
    assert_eq!(config.user.as_deref(), Some("asked"));
    assert_eq!(config.working_dir.as_deref(), Some("/changed"));
    assert_eq!(json!(config.labels), json!({ "of": "own" }));
    // An entry point of its own drops the other's command.
    assert_eq!((config.entrypoint, config.cmd), (words("/entry"), None));
}
