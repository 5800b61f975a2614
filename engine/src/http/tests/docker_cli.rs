//! Docker's own client against the socket.

use super::Served;
use crate::container::moment;
use crate::events::{Actor, Kind};

#[tokio::test(flavor = "multi_thread")]
async fn version_shows_this_engine() {
    let served = Served::start();
    let format = "{{.Server.Platform.Name}} {{.Server.APIVersion}} {{.Server.Os}}";
    let version = served.docker(&["version", "--format", format]).await;
    assert_eq!(version.as_deref(), Ok("Bulkhead 1.53 linux"));
}

#[tokio::test(flavor = "multi_thread")]
async fn info_shows_driver_and_processors() {
    let served = Served::start();
    let format = "{{.Driver}} {{.NCPU}} {{.DefaultRuntime}} {{.Swarm.LocalNodeState}}";
    let info = served.docker(&["info", "--format", format]).await;
    let processors = std::thread::available_parallelism().unwrap();
    assert_eq!(info, Ok(format!("erofs {processors} bulkhead inactive")));
}

#[tokio::test(flavor = "multi_thread")]
async fn swarm_commands_hear_that_there_is_none() {
    let served = Served::start();
    let error = served.docker(&["service", "ls"]).await.unwrap_err();
    assert!(error.contains("not a swarm manager"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_the_past_come_in_order_and_end_at_the_moment_asked_for() {
    let (served, engine) = Served::start_with();
    let actor = Actor::new("data").with("driver", "local");
    engine.events.emit(Kind::Volume, "create", actor.clone());
    engine.events.emit(Kind::Volume, "destroy", actor);
    let soon = (moment::now().unix_timestamp() + 1).to_string();
    let arguments = ["events", "--since", "1h", "--until", &soon, "--filter", "type=volume"];
    let format = ["--format", "{{.Type}} {{.Action}} {{.Actor.ID}} {{.Actor.Attributes.driver}}"];
    let events = served.docker(&[&arguments[..], &format[..]].concat()).await;
    assert_eq!(events.as_deref(), Ok("volume create data local\nvolume destroy data local"));
}
