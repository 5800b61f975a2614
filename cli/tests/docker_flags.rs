//! Every flag of Docker's `run` and `create` is known: what it asks for reaches the engine, or is
//! refused with the reason.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod answers;

use answers::{Engine, text};
use serde_json::{Value, json};

/// The flags of `docker create --help`, version 28, each with a value that it may have.
const FLAGS: [&str; 100] = [
    "--add-host=a:10.0.0.1",
    "--annotation=a=b",
    "--attach=stdout",
    "--blkio-weight=100",
    "--blkio-weight-device=/dev/sda:100",
    "--cap-add=ALL",
    "--cap-drop=ALL",
    "--cgroup-parent=a.slice",
    "--cgroupns=host",
    "--cidfile=/dev/null",
    "--cpu-count=1",
    "--cpu-percent=1",
    "--cpu-period=1000",
    "--cpu-quota=1000",
    "--cpu-rt-period=1",
    "--cpu-rt-runtime=1",
    "--cpu-shares=2",
    "--cpus=1",
    "--cpuset-cpus=0",
    "--cpuset-mems=0",
    "--device=/dev/fuse",
    "--device-cgroup-rule=c 1:3 rwm",
    "--device-read-bps=/dev/sda:1mb",
    "--device-read-iops=/dev/sda:1",
    "--device-write-bps=/dev/sda:1mb",
    "--device-write-iops=/dev/sda:1",
    "--disable-content-trust",
    "--dns=10.0.0.1",
    "--dns-option=rotate",
    "--dns-search=a.test",
    "--domainname=a.test",
    "--entrypoint=sh",
    "--env=A=1",
    "--env-file=/dev/null",
    "--expose=80",
    "--gpus=all",
    "--group-add=1",
    "--health-cmd=true",
    "--health-interval=1s",
    "--health-retries=1",
    "--health-start-interval=1s",
    "--health-start-period=1s",
    "--health-timeout=1s",
    "--hostname=a",
    "--init",
    "--interactive",
    "--io-maxbandwidth=1m",
    "--io-maxiops=1",
    "--ip=10.0.0.2",
    "--ip6=fd00::2",
    "--ipc=private",
    "--isolation=default",
    "--kernel-memory=64m",
    "--label=a=b",
    "--label-file=/dev/null",
    "--link=a:b",
    "--link-local-ip=169.254.1.1",
    "--log-driver=local",
    "--log-opt=max-size=1m",
    "--mac-address=02:00:00:00:00:01",
    "--memory=64m",
    "--memory-reservation=32m",
    "--memory-swap=-1",
    "--memory-swappiness=10",
    "--mount=type=tmpfs,target=/t",
    "--name=a",
    "--network=bridge",
    "--network-alias=a",
    "--no-healthcheck",
    "--oom-kill-disable",
    "--oom-score-adj=-10",
    "--pid=host",
    "--pids-limit=-1",
    "--platform=linux/amd64",
    "--privileged",
    "--publish=80:80",
    "--publish-all",
    "--pull=never",
    "--quiet",
    "--read-only",
    "--restart=no",
    "--rm",
    "--runtime=bulkhead",
    "--security-opt=no-new-privileges",
    "--shm-size=64m",
    "--stop-signal=TERM",
    "--stop-timeout=1",
    "--storage-opt=size=1g",
    "--sysctl=net.ipv4.ip_forward=1",
    "--tmpfs=/t",
    "--tty",
    "--ulimit=nofile=10",
    "--use-api-socket",
    "--user=0",
    "--userns=host",
    "--uts=private",
    "--volume=/v",
    "--volume-driver=local",
    "--volumes-from=a",
    "--workdir=/",
];

/// Those that need no engine to be refused.
const REFUSED: [&str; 2] = ["--kernel-memory=64m", "--use-api-socket"];

fn engine() -> Engine {
    Engine::answering(|_| (201, r#"{"Id":"0","Warnings":[]}"#.to_owned())).unwrap()
}

#[test]
fn no_flag_of_dockers_is_unknown() {
    let engine = engine();
    for flag in FLAGS {
        let output = engine.bulkhead(&["create", flag, "image"]).unwrap();
        let error = text(&output.stderr);
        if REFUSED.contains(&flag) {
            assert!(error.contains(" cannot be had: "), "{flag}: {error}");
            assert_eq!(output.status.code(), Some(1), "{flag}");
        } else {
            assert!(output.status.success(), "{flag}: {error}");
        }
    }
    let output = engine.bulkhead(&["run", "--use-api-socket", "image"]).unwrap();
    assert_eq!(output.status.code(), Some(125));
    let output = engine.bulkhead(&["create", "--disable-content-trust=false", "image"]).unwrap();
    assert!(text(&output.stderr).contains("signatures of images are not verified"));
}

/// The host configuration that the engine is sent for flags.
fn host(flags: &[&str]) -> Value {
    let engine = engine();
    let output = engine.bulkhead(&[&["create"], flags, &["image"]].concat()).unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let body: Value = serde_json::from_str(&engine.asked()[0].body).unwrap();
    body["HostConfig"].clone()
}

#[test]
fn what_the_engine_judges_reaches_it_as_docker_sends_it() {
    let host = host(&[
        "--device=/dev/a:/dev/b:r",
        "--gpus=2",
        "--cgroupns=host",
        "--uts=host",
        "--userns=host",
        "--runtime=x",
        "--device-read-bps=/dev/sda:1mb",
        "--annotation=a=b",
        "--memory-swappiness=0",
    ]);
    let device =
        json!([{ "PathOnHost": "/dev/a", "PathInContainer": "/dev/b", "CgroupPermissions": "r" }]);
    assert_eq!(host["Devices"], device);
    assert_eq!(host["DeviceRequests"][0]["Count"], 2);
    assert_eq!((&host["CgroupnsMode"], &host["UTSMode"]), (&json!("host"), &json!("host")));
    assert_eq!((&host["UsernsMode"], &host["Runtime"]), (&json!("host"), &json!("x")));
    assert_eq!(host["BlkioDeviceReadBps"], json!([{ "Path": "/dev/sda", "Rate": 1 << 20 }]));
    assert_eq!(host["Annotations"], json!({ "a": "b" }));
    assert_eq!(host["MemorySwappiness"], 0);
}
