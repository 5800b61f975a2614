//! Verbs of docker's command line that look at a container, change it, or make something of it.

use std::process::Stdio;

use anyhow::{Context, ensure};
use tests::TestEngine;

const SCRIPT: &str = "echo up; trap 'exit 3' TERM; sleep 1000 & wait";

fn engine() -> anyhow::Result<TestEngine> {
    let engine = TestEngine::start()?;
    engine.load_busybox()?;
    Ok(engine)
}

/// What `stats` and `top` show, and how it is updated.
fn look_and_update(engine: &TestEngine) -> anyhow::Result<()> {
    let format = "{{.Name}} {{.PIDs}} {{.MemUsage}}";
    let stats = engine.text(&["stats", "--no-stream", "--format", format, "box"])?;
    // The third is a probe of its health, which may be at work.
    let counted = stats.starts_with("box 2 ") || stats.starts_with("box 3 ");
    ensure!(counted && stats.ends_with("/ 100MiB"), "{stats}");
    let top = engine.text(&["top", "box"])?;
    ensure!(top.lines().any(|line| line.ends_with(" sleep 1000")), "{top}");
    engine.text(&[
        "update",
        "-m",
        "80m",
        "--memory-swap",
        "-1",
        "--restart",
        "on-failure:3",
        "box",
    ])?;
    let format = "{{.HostConfig.Memory}} {{.HostConfig.RestartPolicy.Name}}";
    assert_eq!(engine.text(&["inspect", "-f", format, "box"])?, "83886080 on-failure");
    assert_eq!(engine.text(&["exec", "box", "cat", "/sys/fs/cgroup/memory.max"])?, "83886080");
    Ok(())
}

/// Off its only network, and on another, while it runs.
fn change_networks(engine: &TestEngine) -> anyhow::Result<()> {
    engine.text(&["network", "create", "--subnet", "10.77.0.0/24", "side"])?;
    let addresses =
        || engine.text(&["exec", "box", "ip", "-4", "-o", "addr", "show", "scope", "global"]);
    ensure!(addresses()?.contains("172.17."), "it starts on bridge");
    engine.text(&["network", "disconnect", "bridge", "box"])?;
    assert_eq!(addresses()?, "");
    engine.text(&["network", "connect", "--ip", "10.77.0.9", "--alias", "other", "side", "box"])?;
    ensure!(addresses()?.contains("10.77.0.9/24"), "{}", addresses()?);
    ensure!(engine.text(&["exec", "box", "nslookup", "other"])?.contains("10.77.0.9"), "its alias");
    let on = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}";
    assert_eq!(engine.text(&["inspect", "-f", on, "box"])?, "side");
    Ok(())
}

/// Images of it: with its history, and flat.
fn make_images(engine: &TestEngine) -> anyhow::Result<()> {
    engine.text(&["exec", "box", "sh", "-c", "echo x > /made; rm /etc/group"])?;
    let changes = engine.text(&["diff", "box"])?;
    assert_eq!(changes.lines().collect::<Vec<_>>(), ["C /etc", "D /etc/group", "A /made"]);
    engine.text(&["commit", "-m", "why", "-c", r#"CMD ["cat", "/made"]"#, "box", "made:1"])?;
    let history = engine.text(&["history", "--format", "{{.Comment}}", "made:1"])?;
    assert_eq!(history.lines().next(), Some("why"));
    let mut export = engine.client("docker", &["export", "box"]).stdout(Stdio::piped()).spawn()?;
    let archive = export.stdout.take().context("no output")?;
    let import = engine.client("docker", &["import", "-", "flat:1"]).stdin(archive).output()?;
    ensure!(export.wait()?.success() && import.status.success(), "{import:?}");
    let images = engine.text(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"])?;
    let mut images: Vec<_> = images.lines().collect();
    images.sort_unstable();
    assert_eq!(images, ["busybox:latest", "flat:1", "made:1"]);
    let usage =
        engine.text(&["system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}}"])?;
    ensure!(usage.contains("Images 3 1") && usage.contains("Containers 1 1"), "{usage}");
    Ok(())
}

/// A probe of its health is told of as Docker tells of one.
fn probe_is_an_exec(engine: &TestEngine) -> anyhow::Result<()> {
    let format = "{{.Actor.Attributes.execID}} {{.Actor.Attributes.exitCode}} {{.Action}}";
    let events = engine.events("container=box", format)?;
    let created = events.iter().find(|event| event.ends_with(" exec_create: /bin/sh -c true"));
    let (id, _) = created.and_then(|event| event.split_once(' ')).context("no probe")?;
    let of_probe: Vec<_> = events.iter().filter_map(|event| event.strip_prefix(id)).collect();
    let none = "<no value>";
    let (create, start) = ("exec_create: /bin/sh -c true", "exec_start: /bin/sh -c true");
    let wanted = [format!(" {none} {create}"), format!(" {none} {start}"), " 0 exec_die".into()];
    assert_eq!(of_probe, wanted);
    Ok(())
}

#[test]
fn container_is_looked_at_changed_and_made_an_image_of() -> anyhow::Result<()> {
    let engine = engine()?;
    let settings = ["run", "-d", "--name", "box", "-m", "100m", "-p", "127.0.0.1::80"];
    let health =
        ["--health-cmd", "true", "--health-interval", "1h", "--health-start-interval", "1s"];
    let health = [&health[..], &["--health-start-period", "1h"]].concat();
    engine.text(&[&settings[..], &health[..], &["busybox", "sh", "-c", SCRIPT]].concat())?;
    ensure!(engine.text(&["port", "box"])?.starts_with("80/tcp -> 127.0.0.1:"));
    look_and_update(&engine)?;
    change_networks(&engine)?;
    make_images(&engine)?;
    // A frozen one goes on with the signal that it is to end by, and is not started again.
    engine.text(&["pause", "box"])?;
    engine.text(&["kill", "-s", "TERM", "box"])?;
    assert_eq!(engine.text(&["wait", "box"])?, "3");
    let logged = engine.text(&["logs", "-t", "--tail", "1", "box"])?;
    ensure!(logged.ends_with("Z up"), "{logged}");
    let actions = engine.events("container=box", "{{.Action}}")?;
    let healthy = "health_status: healthy";
    ensure!(actions.iter().any(|action| action == healthy), "{actions:?}");
    probe_is_an_exec(&engine)?;
    let beside = |action: &&String| *action != healthy && !action.starts_with("exec_");
    let others: Vec<_> = actions.iter().filter(beside).collect();
    let wanted =
        ["create", "start", "top", "update", "commit", "export", "pause", "kill", "unpause", "die"];
    assert_eq!(others, wanted);
    engine.text(&["system", "prune", "-f"])?;
    assert_eq!(engine.text(&["ps", "-aq"])?, "");
    assert_eq!(engine.text(&["network", "ls", "-q", "--filter", "name=side"])?, "");
    let made = engine.docker(&["run", "--rm", "made:1"])?;
    assert_eq!(String::from_utf8(made.stdout)?, "x\n");
    engine.text(&["image", "rm", "made:1", "flat:1"])?;
    Ok(())
}
