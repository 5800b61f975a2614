//! Docker's own client against the socket.

use super::Served;

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
