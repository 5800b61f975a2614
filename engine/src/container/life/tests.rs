//! Life without a machine: what two do at once.

mod silent;

use std::sync::Arc;
use std::time::Duration;

use bollard_stubs::models::{ContainerCreateBody, ContainerUpdateBody, EndpointSettings};
use tokio::time::timeout;

use crate::container::ContainerError;
use crate::container::life::RemoveOptions;
use crate::container::live::Container;
use crate::container::played;
use crate::container::record::Phase;
use crate::http::tests::Served;

const SOON: Duration = Duration::from_secs(20);
/// As long as nothing is to happen.
const WHILE: Duration = Duration::from_millis(100);

/// A container that was made, with the engine that it lives in.
async fn container() -> (Served, Arc<Container>) {
    let (served, engine) = played::engine_with_image().await;
    let container = played::container(&engine, "one").await;
    (served, container)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_last_is_what_is_true() {
    let (_served, container) = container().await;
    let mut changing = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let container = container.clone();
        changing.spawn(async move {
            container.change(|record| record.restart_count += 1).await.unwrap();
        });
    }
    changing.join_all().await;
    let written = container.ground.table.get(&container.id).unwrap().unwrap();
    assert_eq!(written.restart_count, 100);
}

#[tokio::test]
async fn a_stop_waits_for_a_start_that_is_under_way_and_not_for_the_end_of_that_run() {
    let (_served, container) = container().await;
    container.change(|record| record.state.phase = Phase::Restarting).await.unwrap();
    let stopping = {
        let container = container.clone();
        tokio::spawn(async move { container.stop(None, None).await })
    };
    let mut progress = container.progress.subscribe();
    container.given_up().await;
    // It had begun already: the container runs now.
    container.change(|record| record.state.phase = Phase::Running).await.unwrap();
    progress.mark_unchanged();
    timeout(SOON, stopping).await.expect("it waits for a run to end").unwrap().unwrap();
}

#[tokio::test]
async fn a_wish_to_give_up_that_came_too_late_does_not_end_a_later_run() {
    let (_served, container) = container().await;
    container.give_up.notify_one();
    timeout(WHILE, container.given_up()).await.unwrap_err();
    container.change(|record| record.stopped_by_user = true).await.unwrap();
    container.give_up.notify_one();
    timeout(SOON, container.given_up()).await.unwrap();
}

#[tokio::test]
async fn a_start_that_failed_is_written_down_before_another_can_begin() {
    let (_served, container) = container().await;
    let operation = container.operation.lock().await;
    let starting = {
        let container = container.clone();
        tokio::spawn(async move { container.start().await })
    };
    let next = {
        let container = container.clone();
        tokio::spawn(async move {
            let _operation = container.operation.lock().await;
            container.with_record(|record| record.state.clone())
        })
    };
    tokio::task::yield_now().await;
    drop(operation);
    timeout(SOON, starting).await.unwrap().unwrap().unwrap_err();
    let seen = timeout(SOON, next).await.unwrap().unwrap();
    assert_eq!((seen.phase, seen.exit_code), (Phase::Created, 128));
    assert_ne!(seen.error, "");
}

#[tokio::test]
async fn a_signal_to_reload_leaves_the_restart_policy_alone_where_another_one_stops() {
    let (_served, container) = container().await;
    let (hup, term, usr1) = (1, 15, 10);
    assert_eq!([hup, term, 9].map(|signal| container.ends_by(signal)), [true, true, true]);
    container.change(|record| record.config.stop_signal = Some("USR1".to_owned())).await.unwrap();
    container.read_spec().unwrap();
    let ends = [hup, term, usr1, 9].map(|signal| container.ends_by(signal));
    assert_eq!(ends, [false, false, true, true]);
}

#[tokio::test]
async fn a_signal_between_two_runs_ends_the_restarts_only_if_it_stops() {
    let (_served, container) = container().await;
    container.change(|record| record.config.stop_signal = Some("USR1".to_owned())).await.unwrap();
    container.read_spec().unwrap();
    container.change(|record| record.state.phase = Phase::Restarting).await.unwrap();
    timeout(SOON, container.kill(1)).await.unwrap().unwrap();
    assert!(!container.with_record(|record| record.stopped_by_user));
    assert_eq!(container.phase(), Phase::Restarting);
}

#[tokio::test]
async fn an_engine_finishes_a_removal_as_it_was_asked_for() {
    let (_served, engine) = played::engine_with_image().await;
    for volumes in [false, true] {
        let body = ContainerCreateBody {
            image: Some("base".to_owned()),
            cmd: Some(vec!["true".to_owned()]),
            volumes: Some(vec!["/data".to_owned()]),
            ..ContainerCreateBody::default()
        };
        let container = engine.containers.create(None, None, body).await.unwrap().container;
        assert_eq!(engine.volumes.list().await.len(), 1);
        // It cannot be removed until there is a folder again.
        std::fs::remove_dir_all(container.folder()).unwrap();
        std::fs::write(container.folder(), "").unwrap();
        container.remove(RemoveOptions { volumes, force: false }).await.unwrap_err();
        std::fs::remove_file(container.folder()).unwrap();
        // As if the engine had gone before it knew.
        container.change(|record| record.state.phase = Phase::Removing).await.unwrap();
        container.resume_life();
        let mut progress = container.progress.subscribe();
        timeout(SOON, progress.wait_for(|progress| progress.removed)).await.unwrap().unwrap();
        assert_eq!(engine.volumes.list().await.len(), usize::from(!volumes));
        engine.volumes.prune(|_| true).await.unwrap();
    }
}

#[tokio::test]
async fn what_waited_for_a_removal_does_not_bring_the_container_back() {
    let (_served, engine) = played::engine_with_image().await;
    let container = played::container(&engine, "one").await;
    container.remove(RemoveOptions::default()).await.unwrap();
    let renamed = engine.containers.rename(&container, "two").await;
    assert!(matches!(renamed, Err(ContainerError::NotFound(_))));
    let updated = container.update(ContainerUpdateBody::default()).await;
    assert!(matches!(updated, Err(ContainerError::NotFound(_))));
    let connected = container.connect("bridge", EndpointSettings::default()).await;
    assert!(matches!(connected, Err(ContainerError::NotFound(_))));
    container.note(|record| record.restart_count += 1).await;
    assert!(container.ground.table.get(&container.id).unwrap().is_none());
    // The name that it could not have is free.
    played::container(&engine, "two").await;
}
