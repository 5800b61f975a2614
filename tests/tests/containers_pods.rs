//! Pods: containers of one machine.

use std::process::Stdio;

use anyhow::{Context, ensure};
use serde_json::Value;
use tests::TestEngine;

fn ours(engine: &TestEngine, arguments: &[&str]) -> anyhow::Result<String> {
    let program = tests::program("bulkhead")?.display().to_string();
    let output = engine.client(&program, arguments).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let logged = || engine.logged();
    ensure!(output.status.success(), "bulkhead {arguments:?}: {said}\n{}", logged());
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

fn pod(engine: &TestEngine) -> anyhow::Result<Value> {
    let list: Value = serde_json::from_str(&ours(engine, &["pod", "inspect", "shop"])?)?;
    list.get(0).cloned().context("nothing was inspected")
}

fn create(engine: &TestEngine, name: &str, script: &str) -> anyhow::Result<()> {
    let command = ["create", "--pod", "shop", "--name", name, "busybox", "sh", "-c", script];
    ours(engine, &command).map(drop)
}

/// What a command in a container says.
fn exec(engine: &TestEngine, container: &str, command: &str) -> anyhow::Result<String> {
    engine.text(&["exec", container, "sh", "-c", command])
}

/// Shared memory, another network, and what is shown of all containers together.
fn look_and_change(engine: &TestEngine) -> anyhow::Result<()> {
    exec(engine, "web", "echo seen > /dev/shm/note")?;
    assert_eq!(exec(engine, "worker", "cat /dev/shm/note")?, "seen");
    engine.text(&["network", "create", "--subnet", "10.77.0.0/24", "side"])?;
    engine.text(&["network", "connect", "--ip", "10.77.0.9", "side", "shop"])?;
    let addresses = "ip -4 -o addr show; cat /etc/hosts";
    let there = exec(engine, "worker", addresses)?;
    ensure!(there.contains("10.77.0.9/24") && there.contains("10.77.0.9\tcounter"), "{there}");
    engine.text(&["network", "disconnect", "side", "shop"])?;
    ensure!(!exec(engine, "worker", addresses)?.contains("10.77.0.9"), "it has left");
    ours(engine, &["pod", "pause", "shop"])?;
    let states = ["ps", "--format", "{{.Names}} {{.State}}"];
    assert_eq!(engine.text(&states)?, "worker paused\nweb paused");
    ours(engine, &["pod", "unpause", "shop"])?;
    let shown = ours(engine, &["pod", "stats", "--no-stream", "--format", "{{.Name}}", "shop"])?;
    assert_eq!(shown, "web\nworker");
    let shown = engine.text(&["stats", "--no-stream", "--format", "{{.Name}}"])?;
    assert_eq!(shown, "worker\nweb");
    let top = ours(engine, &["pod", "top", "shop", "-o", "pid,args"])?;
    let shows = |name: &str, process: &str| {
        top.lines().any(|line| line.starts_with(name) && line.ends_with(process))
    };
    ensure!(shows("web ", " httpd -f -h /var/www") && shows("worker ", " sleep 1"), "{top}");
    assert_eq!(ours(engine, &["pod", "logs", "shop"])?, "worker | up");
    let exists = |name| -> anyhow::Result<Option<i32>> {
        let program = tests::program("bulkhead")?.display().to_string();
        Ok(engine.client(&program, &["pod", "exists", name]).status()?.code())
    };
    assert_eq!((exists("shop")?, exists("web")?), (Some(0), Some(1)));
    Ok(())
}

#[test]
fn containers_of_a_pod_share_a_machine_and_live_apart() -> anyhow::Result<()> {
    let mut engine = TestEngine::start()?;
    engine.load_busybox()?;
    let hostname = ["--hostname", "counter", "--share-ipc"];
    ours(&engine, &[&["pod", "create", "--name", "shop"], &hostname[..]].concat())?;
    create(&engine, "web", "echo found > /var/www/index.html; exec httpd -f -h /var/www")?;
    create(&engine, "worker", "trap 'exit 4' TERM; echo up; while :; do sleep 1; done")?;
    ours(&engine, &["pod", "start", "shop"])?;
    assert_eq!(pod(&engine)?["state"], "running");

    // The server may not listen yet.
    let get =
        "for i in 1 2 3 4 5 6 7 8 9; do wget -q -O - http://127.0.0.1/ && break; sleep 1; done";
    assert_eq!(exec(&engine, "worker", get)?, "found");
    let same = "hostname; readlink /proc/self/ns/ipc; readlink /proc/self/ns/net; \
                cat /proc/sys/kernel/random/boot_id";
    let of_web = exec(&engine, "web", same)?;
    assert_eq!(of_web, exec(&engine, "worker", same)?);
    ensure!(of_web.starts_with("counter\n"), "{of_web}");
    ensure!(exec(&engine, "worker", "ls /var/www/index.html").is_err(), "files are each one's own");
    // One that comes late is told to wait, and leaves the others alone.
    let late = engine.client(
        &tests::program("bulkhead")?.display().to_string(),
        &["run", "-d", "--pod", "shop", "--name", "late", "busybox", "true"],
    );
    let refused = { late }.stdin(Stdio::null()).output()?;
    assert_eq!(refused.status.code(), Some(125));
    ensure!(String::from_utf8_lossy(&refused.stderr).contains("stop the pod"));

    look_and_change(&engine)?;

    // One ends, and the machine goes on without it.
    engine.text(&["stop", "-t", "20", "worker"])?;
    let ended =
        engine.text(&["ps", "-a", "--filter", "status=exited", "--format", "{{.Names}}"])?;
    assert_eq!(ended, "worker");
    assert_eq!(engine.text(&["inspect", "-f", "{{.State.ExitCode}}", "worker"])?, "4");
    engine.kill()?;
    engine.resume()?;
    assert_eq!(exec(&engine, "web", same)?, of_web, "it is the same machine");
    engine.text(&["start", "worker"])?;
    assert_eq!(exec(&engine, "worker", get)?, "found");
    assert_eq!(exec(&engine, "worker", same)?, of_web);
    assert_eq!(engine.text(&["logs", "worker"])?, "up\nup");

    ours(&engine, &["pod", "restart", "-t", "2", "shop"])?;
    ensure!(exec(&engine, "web", same)? != of_web, "it is another machine");
    ours(&engine, &["pod", "stop", "-t", "2", "shop"])?;
    assert_eq!(pod(&engine)?["state"], "exited");
    assert_eq!(engine.text(&["ps", "-q"])?, "");
    let machines = engine.folder().join("run/machines");
    ensure!(machines.read_dir()?.next().is_none(), "its machine is gone");
    ours(&engine, &["pod", "prune", "-f"])?;
    assert_eq!(engine.text(&["ps", "-aq"])?, "");
    Ok(())
}
