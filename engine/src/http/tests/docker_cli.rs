//! Docker's own client against the socket.

use super::{Served, containers};
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
async fn info_lists_network_drivers_and_registries_in_plain_http() {
    let served = Served::start().await;
    let format = r#"{{json .Plugins.Network}} {{range .RegistryConfig.IndexConfigs}}{{.Name}} {{.Secure}}{{end}}"#;
    let info = served.docker(&["info", "--format", format]).await;
    assert_eq!(info.as_deref(), Ok(r#"["bridge","kernel-bridge","none","user"] plain:5000 false"#));
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
async fn system_prune_finds_no_build_cache() {
    let served = Served::start().await;
    served.docker(&["network", "create", "unused"]).await.unwrap();
    let pruned = served.docker(&["system", "prune", "-f"]).await.unwrap();
    assert!(pruned.starts_with("Deleted Networks:\nunused"), "{pruned}");
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

/// A file system with one file, as a tar archive.
pub(super) fn small_archive(served: &Served) -> String {
    let path = served.folder.path().join("rootfs.tar");
    let mut archive = tar::Builder::new(std::fs::File::create(&path).unwrap());
    let mut header = tar::Header::new_ustar();
    header.set_size(5);
    header.set_mode(0o644);
    archive.append_data(&mut header, "etc/motd", &b"hello"[..]).unwrap();
    archive.finish().unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn image_is_imported_shown_tagged_saved_loaded_and_removed() {
    let served = Served::start().await;
    let archive = small_archive(&served);
    let import = ["import", "-c", "CMD [\"/bin/sh\"]", "-m", "made", &archive, "team/small:1"];
    let id = served.docker(&import).await.unwrap();
    let format = "{{.Id}} {{.Config.Cmd}} {{.Architecture}} {{index .RepoTags 0}}";
    let shown = served.docker(&["image", "inspect", "team/small:1", "--format", format]).await;
    assert_eq!(shown, Ok(format!("{id} [/bin/sh] amd64 team/small:1")));
    served.docker(&["tag", "team/small:1", "other"]).await.unwrap();
    let list = ["images", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}", "other"];
    assert_eq!(served.docker(&list).await, Ok(format!("{id} other:latest")));
    let history = ["history", "--format", "{{.Comment}}", "other"];
    assert_eq!(served.docker(&history).await.as_deref(), Ok("made"));
    let saved = served.folder.path().join("saved.tar").display().to_string();
    served.docker(&["save", "-o", &saved, "team/small:1"]).await.unwrap();
    let removed = served.docker(&["rmi", "team/small:1", "other"]).await.unwrap();
    assert!(removed.contains(&format!("Deleted: {id}")), "{removed}");
    let loaded = served.docker(&["load", "-i", &saved]).await;
    assert_eq!(loaded.as_deref(), Ok("Loaded image: team/small:1"));
    let error = served.docker(&["image", "inspect", "other"]).await.unwrap_err();
    assert!(error.contains("No such image: other"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_from_where_nobody_listens_fails_and_names_the_registry() {
    let served = Served::start().await;
    // A port of this host that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let name = format!("127.0.0.1:{port}/nothing");
    let error = served.docker(&["pull", &name]).await.unwrap_err();
    assert!(error.contains(&format!("127.0.0.1:{port}")), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn disk_usage_counts_images_and_volumes() {
    let served = Served::start().await;
    served.docker(&["import", &small_archive(&served), "small"]).await.unwrap();
    served.docker(&["volume", "create", "data"]).await.unwrap();
    let usage = served.docker(&["system", "df", "--format", "{{.Type}} {{.TotalCount}}"]).await;
    let expected = "Images 1\nContainers 0\nLocal Volumes 1\nBuild Cache 0";
    assert_eq!(usage.as_deref(), Ok(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn options_that_cannot_be_had_are_refused_with_the_reason() {
    let (served, engine) = containers::served().await;
    for (option, words) in [
        ("--device=/dev/kvm", "--device cannot be had: a container sees devices of its own"),
        ("--gpus=all", "--gpus cannot be had: cards of the host"),
        ("--cgroupns=host", "--cgroupns host cannot be had"),
        ("--blkio-weight=100", "--blkio-weight cannot be had"),
        ("--pid=host", "--pid host cannot be had: the host's is out of reach"),
        ("--network=host", "--network host cannot be had: its machine has cards of its own"),
        ("--network=container:x", "bulkhead pod create"),
        ("--network=name=bridge,gw-priority=1", "gw-priority"),
        ("--runtime=runc", "unknown or invalid runtime name: runc"),
        ("--security-opt=apparmor=mine", "has no AppArmor"),
        ("--security-opt=label=type:mine", "has no SELinux"),
    ] {
        let refusal = served.docker(&["create", option, "base"]).await.unwrap_err();
        assert!(refusal.contains(words), "{option}: {refusal}");
    }
    assert!(engine.containers.all().is_empty());
    served.docker(&["create", "--name", "one", "--userns=host", "base"]).await.unwrap();
    let refusal = served.docker(&["update", "--blkio-weight", "100", "one"]).await.unwrap_err();
    assert!(refusal.contains("--blkio-weight cannot be had"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_a_subnet_is_refused_by_client_and_engine() {
    let served = Served::start().await;
    for flags in [&["--gateway", "10.0.0.1"][..], &["--ipv6", "--gateway", "fd00::1"]] {
        let error = served.docker(&[&["network", "create"], flags, &["net"]].concat()).await;
        let words = "every ip-range or gateway must have a corresponding subnet";
        assert!(error.as_ref().unwrap_err().contains(words), "{error:?}");
    }
    for config in [
        r#"{"Gateway":"10.0.0.1"}"#,
        r#"{"Gateway":"fd00::1"}"#,
        r#"{"IPRange":"10.0.0.0/28"}"#,
        r#"{"AuxiliaryAddresses":{"a":"10.0.0.9"}}"#,
    ] {
        let body = format!(r#"{{"Name":"net","EnableIPv6":true,"IPAM":{{"Config":[{config}]}}}}"#);
        let (status, answer) = served.call("POST", "/networks/create", &body).await;
        assert_eq!(status, 400, "{answer}");
        assert!(answer.contains("invalid subnet : invalid CIDR block notation"), "{answer}");
    }
    let left = served.docker(&["network", "ls", "-q"]).await.unwrap();
    assert_eq!(left.lines().count(), 2);
    // One that asks for nothing gets a subnet that is made up.
    let body = r#"{"Name":"net","IPAM":{"Config":[{}]}}"#;
    assert_eq!(served.call("POST", "/networks/create", body).await.0, 201);
}
