//! Docker's own client against the socket.

use super::Served;
use crate::container::moment;
use crate::events::{Actor, Kind};

#[tokio::test(flavor = "multi_thread")]
async fn version_shows_this_engine() {
    let served = Served::start().await;
    let format = "{{.Server.Platform.Name}} {{.Server.APIVersion}} {{.Server.Os}}";
    let version = served.docker(&["version", "--format", format]).await;
    assert_eq!(version.as_deref(), Ok("Bulkhead 1.53 linux"));
}

#[tokio::test(flavor = "multi_thread")]
async fn info_shows_driver_and_processors() {
    let served = Served::start().await;
    let format = "{{.Driver}} {{.NCPU}} {{.DefaultRuntime}} {{.Swarm.LocalNodeState}}";
    let info = served.docker(&["info", "--format", format]).await;
    let processors = std::thread::available_parallelism().unwrap();
    assert_eq!(info, Ok(format!("erofs {processors} bulkhead inactive")));
}

#[tokio::test(flavor = "multi_thread")]
async fn swarm_commands_hear_that_there_is_none() {
    let served = Served::start().await;
    let error = served.docker(&["service", "ls"]).await.unwrap_err();
    assert!(error.contains("not a swarm manager"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_the_past_come_in_order_and_end_at_the_moment_asked_for() {
    let (served, engine) = Served::start_with().await;
    let actor = Actor::new("data").with("driver", "local");
    engine.events.emit(Kind::Volume, "create", actor.clone());
    engine.events.emit(Kind::Volume, "destroy", actor);
    let soon = (moment::now().unix_timestamp() + 1).to_string();
    let arguments = ["events", "--since", "1h", "--until", &soon, "--filter", "type=volume"];
    let format = ["--format", "{{.Type}} {{.Action}} {{.Actor.ID}} {{.Actor.Attributes.driver}}"];
    let events = served.docker(&[&arguments[..], &format[..]].concat()).await;
    assert_eq!(events.as_deref(), Ok("volume create data local\nvolume destroy data local"));
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_are_made_listed_shown_and_removed() {
    let served = Served::start().await;
    let create = ["volume", "create", "--label", "a=b", "data"];
    assert_eq!(served.docker(&create).await.as_deref(), Ok("data"));
    served.docker(&["volume", "create", "other"]).await.unwrap();
    let list = ["volume", "ls", "--filter", "label=a=b", "--format", "{{.Driver}} {{.Name}}"];
    assert_eq!(served.docker(&list).await.as_deref(), Ok("local data"));
    let inspect = ["volume", "inspect", "data", "--format", "{{.Mountpoint}} {{.Labels.a}}"];
    let folder = served.folder.path().join("state/volumes/data/_data");
    assert_eq!(served.docker(&inspect).await, Ok(format!("{} b", folder.display())));
    assert_eq!(
        served.docker(&["volume", "rm", "data", "other"]).await.as_deref(),
        Ok("data\nother")
    );
    assert!(!folder.exists());
    let error = served.docker(&["volume", "rm", "data"]).await.unwrap_err();
    assert!(error.contains("get data: no such volume"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn volume_prune_takes_anonymous_ones_only_unless_told() {
    let served = Served::start().await;
    let anonymous = served.docker(&["volume", "create"]).await.unwrap();
    served.docker(&["volume", "create", "named"]).await.unwrap();
    let pruned = served.docker(&["volume", "prune", "-f"]).await.unwrap();
    assert!(pruned.contains(&anonymous) && !pruned.contains("named"), "{pruned}");
    let pruned = served.docker(&["volume", "prune", "-fa"]).await.unwrap();
    assert!(pruned.contains("named"), "{pruned}");
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_are_made_listed_shown_and_removed() {
    let served = Served::start().await;
    let create = ["network", "create", "--subnet", "10.7.0.0/24", "--label", "a=b", "net"];
    let id = served.docker(&create).await.unwrap();
    let list = ["network", "ls", "--no-trunc", "--format", "{{.ID}} {{.Name}} {{.Driver}}"];
    let listed = served.docker(&list).await.unwrap();
    assert!(listed.contains(&format!("{id} net bridge")), "{listed}");
    assert!(listed.contains(" bridge bridge") && listed.contains(" none null"), "{listed}");
    let format =
        "{{(index .IPAM.Config 0).Subnet}} {{(index .IPAM.Config 0).Gateway}} {{.Labels.a}}";
    let shown = served.docker(&["network", "inspect", "net", "--format", format]).await;
    assert_eq!(shown.as_deref(), Ok("10.7.0.0/24 10.7.0.1 b"));
    let error = served.docker(&["network", "create", "net"]).await.unwrap_err();
    assert!(error.contains("network with name net already exists"), "{error}");
    assert_eq!(served.docker(&["network", "rm", "net"]).await.as_deref(), Ok("net"));
    let error = served.docker(&["network", "rm", "bridge"]).await.unwrap_err();
    assert!(error.contains("bridge is a pre-defined network and cannot be removed"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn network_prune_takes_what_is_not_used() {
    let served = Served::start().await;
    served.docker(&["network", "create", "--ipv6", "net"]).await.unwrap();
    let pruned = served.docker(&["network", "prune", "-f"]).await.unwrap();
    assert_eq!(pruned, "Deleted Networks:\nnet");
    let left = served.docker(&["network", "ls", "-q"]).await.unwrap();
    assert_eq!(left.lines().count(), 2);
}
