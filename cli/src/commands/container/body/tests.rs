use clap::Parser;

use super::*;

#[derive(Parser)]
#[command(disable_help_flag = true)]
struct Line {
    #[command(flatten)]
    options: CreateOptions,
    #[arg(trailing_var_arg = true)]
    rest: Vec<String>,
}

fn body(flags: &str) -> anyhow::Result<ContainerCreateBody> {
    let words = std::iter::once("run").chain(flags.split_whitespace());
    let line = Line::try_parse_from(words)?;
    let attached = line.options.attached(false)?;
    line.options.body("busybox", &line.rest, attached)
}

#[test]
fn flags_reach_their_fields() {
    let body = body(
        "-it -h web -u 7:8 -w /srv -e A=1 --label x=y --entrypoint /bin/sh --rm --cpus 1.5 -m 64m \
         --pids-limit 9 --ulimit nofile=10:20 --tmpfs /run:size=1m --read-only --cap-drop ALL \
         --restart on-failure:3 --network front --network-alias w --ip 172.20.0.9 \
         --link db:store --cpuset-cpus 0-1 --shm-size 1m --oom-score-adj 7 busybox echo",
    )
    .unwrap();
    assert_eq!(body.hostname.as_deref(), Some("web"));
    assert_eq!(body.env, Some(vec!["A=1".to_owned()]));
    assert_eq!(body.entrypoint, Some(vec!["/bin/sh".to_owned()]));
    assert_eq!((body.tty, body.open_stdin, body.stdin_once), (Some(true), Some(true), Some(true)));
    let host = body.host_config.unwrap();
    assert_eq!((host.nano_cpus, host.memory), (Some(1_500_000_000), Some(64 << 20)));
    assert_eq!((host.pids_limit, host.auto_remove), (Some(9), Some(true)));
    assert_eq!(host.ulimits.unwrap()[0].hard, Some(20));
    assert_eq!(host.tmpfs.unwrap()["/run"], "size=1m");
    assert_eq!(host.links, Some(vec!["db:store".to_owned()]));
    assert_eq!((host.cpuset_cpus.as_deref(), host.shm_size), (Some("0-1"), Some(1 << 20)));
    assert_eq!(host.oom_score_adj, Some(7));
    assert_eq!(host.restart_policy.unwrap().maximum_retry_count, Some(3));
    assert_eq!(host.network_mode.as_deref(), Some("front"));
    let endpoints = body.networking_config.unwrap().endpoints_config.unwrap();
    let front = &endpoints["front"];
    assert_eq!(front.aliases, Some(vec!["w".to_owned()]));
    let address = front.ipam_config.as_ref().unwrap().ipv4_address.as_deref();
    assert_eq!(address, Some("172.20.0.9"));
}

#[test]
fn nothing_is_said_of_what_was_not_asked() {
    let body = body("busybox").unwrap();
    assert_eq!((body.env, body.healthcheck, body.networking_config), (None, None, None));
    let host = body.host_config.unwrap();
    assert_eq!((host.memory, host.mounts, host.log_config), (None, None, None));
}

#[test]
fn published_ports_are_exposed_too() {
    let body = body("-p 8080:80 --expose 9/udp busybox").unwrap();
    let mut exposed = body.exposed_ports.unwrap();
    exposed.sort();
    assert_eq!(exposed, ["80/tcp", "9/udp"]);
}

#[test]
fn health_flags_become_a_check() {
    let body = body("--health-cmd true --health-interval 2s --health-retries 4 busybox").unwrap();
    let check = body.healthcheck.unwrap();
    assert_eq!(check.test, Some(vec!["CMD-SHELL".to_owned(), "true".to_owned()]));
    assert_eq!((check.interval, check.retries), (Some(2_000_000_000), Some(4)));
}

#[test]
fn mistakes_are_named_by_their_flag() {
    for (flags, named) in [
        ("--restart often busybox", "--restart often"),
        ("--restart always:3 busybox", "--restart always:3"),
        ("--ulimit nofile busybox", "--ulimit nofile"),
        ("-m lots busybox", "--memory"),
        ("--attach stdfoo busybox", "--attach stdfoo"),
        ("--sysctl x busybox", "--sysctl x"),
        ("--env-file /does/not/exist busybox", "--env-file /does/not/exist"),
    ] {
        let error = format!("{:#}", body(flags).unwrap_err());
        assert!(error.contains(named), "{error}");
    }
}
