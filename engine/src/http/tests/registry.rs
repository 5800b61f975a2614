//! Docker's own client, the engine and Debian's registry.

#[allow(dead_code, reason = "the tests of the crate `image` use more of it")]
#[path = "../../../../image/tests/registry/programs.rs"]
mod programs;

use programs::Registry;

use super::Served;
use super::docker_cli::small_archive;

/// The names here, with the ids of their images.
async fn names(served: &Served) -> Vec<String> {
    let list = ["images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"];
    let listed = served.docker(&list).await.unwrap();
    let mut names: Vec<_> = listed.lines().map(str::to_owned).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn all_tags_of_a_repository_are_pushed_and_pulled_and_no_others() {
    let registry = Registry::start(false);
    let served = Served::start().await;
    let (app, other) =
        (format!("{}/team/app", registry.address), format!("{}/team/other:1", registry.address));
    let archive = small_archive(&served);
    let (one, two) = (format!("{app}:1"), format!("{app}:2"));
    for name in [&one, &two, &other] {
        let change = format!("LABEL name={name}");
        served.docker(&["import", "-c", &change, &archive, name]).await.unwrap();
    }
    let made = names(&served).await;
    let pushed = served.docker(&["push", "--all-tags", &app]).await.unwrap();
    assert!(pushed.contains("1: digest: sha256:") && pushed.contains("2: digest: sha256:"));
    served.docker(&["rmi", &one, &two, &other]).await.unwrap();
    assert_eq!(names(&served).await, [""; 0]);
    let pulled = served.docker(&["pull", "--all-tags", &app]).await.unwrap();
    for name in [&one, &two] {
        let status = format!("Status: Downloaded newer image for {name}");
        assert!(pulled.contains(&status), "{pulled}");
    }
    assert_eq!(names(&served).await, made[..2]);
    let error = served.docker(&["pull", &other]).await.unwrap_err();
    assert!(error.contains("not found"), "{error}");
    let error = served.docker(&["push", "--all-tags", &other[..other.len() - 2]]).await;
    assert!(error.unwrap_err().contains("does not exist locally"));
}
