//! Docker's own command line against the engine, each container in a machine of its own.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::Value;
use tests::TestEngine;

fn engine() -> anyhow::Result<TestEngine> {
    let engine = TestEngine::start()?;
    engine.load_busybox()?;
    Ok(engine)
}

/// Exit status and output of a command that may fail.
fn status(engine: &TestEngine, arguments: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
    let output = engine.docker(arguments)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok((output.status.code(), text + &String::from_utf8_lossy(&output.stderr)))
}

fn inspect(engine: &TestEngine, name: &str) -> anyhow::Result<Value> {
    let list: Value = serde_json::from_str(&engine.text(&["inspect", name])?)?;
    list.get(0).cloned().context("nothing was inspected")
}

#[test]
fn command_runs_in_a_kernel_of_its_own_with_its_settings() -> anyhow::Result<()> {
    let engine = engine()?;
    let script = "uname -r; id -u; pwd; echo $GREETING; hostname; echo oops >&2; exit 7";
    let output = engine.docker(&[
        "run",
        "--rm",
        "-e",
        "GREETING=hello",
        "-w",
        "/tmp",
        "-u",
        "65534",
        "-h",
        "box",
        "busybox",
        "sh",
        "-c",
        script,
    ])?;
    let text = String::from_utf8(output.stdout)?;
    let lines: Vec<_> = text.lines().collect();
    let host = Command::new("uname").arg("-r").output()?.stdout;
    assert_eq!(output.status.code(), Some(7), "{text}\n{}", engine.logged());
    assert_eq!(lines[1..], ["65534", "/tmp", "hello", "box"]);
    assert_ne!(lines[0], String::from_utf8(host)?.trim());
    assert_eq!(String::from_utf8(output.stderr)?.trim(), "oops");
    assert_eq!(engine.text(&["ps", "-aq"])?, "", "--rm removes it");
    Ok(())
}

#[test]
fn missing_and_unusable_commands_have_the_statuses_of_docker() -> anyhow::Result<()> {
    let engine = engine()?;
    let (missing, said) = status(&engine, &["run", "--rm", "busybox", "/bin/nothing"])?;
    assert_eq!(missing, Some(127), "{said}");
    let (unusable, said) = status(&engine, &["run", "--rm", "busybox", "/etc/passwd"])?;
    assert_eq!(unusable, Some(126), "{said}");
    let (refused, said) = status(&engine, &["run", "--rm", "no-such-image-anywhere:1"])?;
    assert_eq!(refused, Some(125), "{said}");
    Ok(())
}

#[test]
fn input_reaches_a_command_and_its_end_too() -> anyhow::Result<()> {
    let engine = engine()?;
    let mut client = engine
        .client("docker", &["run", "--rm", "-i", "busybox", "sha256sum"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let data = vec![0x5a; 3 << 20];
    client.stdin.take().context("no input")?.write_all(&data)?;
    let output = client.wait_with_output()?;
    let mut here =
        Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    here.stdin.take().context("no input")?.write_all(&data)?;
    assert_eq!(output.stdout, here.wait_with_output()?.stdout, "{}", engine.logged());
    Ok(())
}

#[test]
fn container_lives_through_docker_verbs() -> anyhow::Result<()> {
    let engine = engine()?;
    let script = "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 1; done";
    engine
        .text(&["run", "-d", "--name", "web", "--label", "a=b", "busybox", "sh", "-c", script])?;
    assert_eq!(engine.text(&["ps", "--format", "{{.Names}} {{.State}}"])?, "web running");
    assert_eq!(engine.text(&["exec", "web", "cat", "/etc/hostname"])?.len(), 12);
    let (code, _) = status(&engine, &["exec", "web", "sh", "-c", "exit 9"])?;
    assert_eq!(code, Some(9));
    ensure!(engine.text(&["top", "web"])?.contains("sleep 1"));
    engine.text(&["pause", "web"])?;
    assert_eq!(inspect(&engine, "web")?["State"]["Status"], "paused");
    engine.text(&["unpause", "web"])?;
    engine.text(&["exec", "web", "sh", "-c", "echo kept > /root/file"])?;
    engine.text(&["stop", "-t", "20", "web"])?;
    assert_eq!(inspect(&engine, "web")?["State"]["ExitCode"], 5);
    assert_eq!(engine.text(&["logs", "web"])?, "up\nbye");
    // The stopped one is read honestly, and what it wrote is there after a new start.
    ensure!(engine.text(&["diff", "web"])?.lines().any(|line| line == "A /root/file"));
    engine.text(&["start", "web"])?;
    assert_eq!(engine.text(&["exec", "web", "cat", "/root/file"])?, "kept");
    engine.text(&["rename", "web", "site"])?;
    let (code, said) = status(&engine, &["rm", "site"])?;
    assert_eq!(code, Some(1), "{said}");
    engine.text(&["rm", "-f", "site"])?;
    assert_eq!(engine.text(&["ps", "-aq"])?, "");
    Ok(())
}

#[test]
fn files_are_copied_in_and_out() -> anyhow::Result<()> {
    let engine = engine()?;
    engine.text(&["run", "-d", "--name", "box", "busybox", "sleep", "1000"])?;
    let folder = tempfile::tempdir()?;
    let (to, from) = (folder.path().join("in"), folder.path().join("out"));
    std::fs::write(&to, "carried")?;
    engine.text(&["cp", &to.display().to_string(), "box:/tmp/there"])?;
    assert_eq!(engine.text(&["exec", "box", "cat", "/tmp/there"])?, "carried");
    engine.text(&["cp", "box:/tmp/there", &from.display().to_string()])?;
    assert_eq!(std::fs::read_to_string(&from)?, "carried");
    Ok(())
}

#[test]
fn container_outlives_an_engine_that_is_killed() -> anyhow::Result<()> {
    let mut engine = engine()?;
    engine.text(&["run", "-d", "--name", "box", "busybox", "sleep", "1000"])?;
    let before = engine.text(&["exec", "box", "sh", "-c", "date > /id; cat /id"])?;
    assert_ne!(before, "");
    engine.kill()?;
    engine.resume()?;
    assert_eq!(engine.text(&["ps", "--format", "{{.Names}} {{.State}}"])?, "box running");
    assert_eq!(engine.text(&["exec", "box", "cat", "/id"])?, before);
    Ok(())
}

#[test]
fn containers_of_a_network_find_each_other_by_name() -> anyhow::Result<()> {
    let engine = engine()?;
    engine.text(&["network", "create", "front"])?;
    engine.text(&["network", "create", "other"])?;
    let serve = ["busybox", "sh", "-c", "echo found > /var/www/index.html; httpd -f -h /var/www"];
    let mut arguments = vec!["run", "-d", "--name", "web", "--network", "front"];
    arguments.extend(["--network-alias", "www", "-p", "127.0.0.1::80"]);
    arguments.extend(serve);
    engine.text(&arguments)?;
    let get = ["busybox", "wget", "-q", "-O", "-", "http://www/"];
    let within = [&["run", "--rm", "--network", "front"], &get[..]].concat();
    assert_eq!(engine.text(&within)?, "found");
    let without = [&["run", "--rm", "--network", "other"], &get[..]].concat();
    let (code, said) = status(&engine, &without)?;
    assert_eq!(code, Some(1), "{said}");
    let port = engine.text(&["port", "web", "80"])?;
    let page = Command::new("busybox").args(["wget", "-q", "-O", "-", &port]).output()?.stdout;
    assert_eq!(String::from_utf8(page)?.trim(), "found");
    Ok(())
}

#[test]
fn engine_that_ends_leaves_what_runs_and_nothing_else() -> anyhow::Result<()> {
    let mut engine = engine()?;
    let control = engine.folder().join("run/switch/control.sock");
    let answers = || std::os::unix::net::UnixStream::connect(&control).is_ok();
    engine.text(&["run", "-d", "--name", "box", "busybox", "sleep", "1000"])?;
    engine.stop()?;
    ensure!(answers(), "the container needs its switch");
    engine.resume()?;
    engine.text(&["exec", "box", "ping", "-c", "1", "-W", "20", "172.17.0.1"])?;
    engine.text(&["rm", "-f", "box"])?;
    engine.stop()?;
    ensure!(!answers(), "nobody needs a switch any more\n{}", engine.logged());
    Ok(())
}

#[test]
fn volumes_and_folders_are_shared() -> anyhow::Result<()> {
    let engine = engine()?;
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("note"), "from the host")?;
    let bind = format!("{}:/host:ro", folder.path().display());
    let write = "echo data > /data/file; cat /host/note; echo x > /host/new";
    let (code, said) = status(
        &engine,
        &["run", "--rm", "-v", "data:/data", "-v", &bind, "busybox", "sh", "-c", write],
    )?;
    ensure!(code == Some(1) && said.contains("from the host"), "{said}");
    ensure!(!folder.path().join("new").exists(), "the folder is read-only");
    let device = "$(grep ' /data ' /proc/self/mountinfo | cut -d' ' -f3)";
    let read = format!("cat /data/file /sys/class/bdi/{device}/read_ahead_kb");
    let read = ["run", "--rm", "-v", "data:/data", "busybox", "sh", "-c", &read];
    assert_eq!(engine.text(&read)?, "data\n512", "content, and KiB that are read ahead");
    engine.text(&["volume", "rm", "data"])?;
    Ok(())
}

#[test]
fn our_own_commands_do_the_same() -> anyhow::Result<()> {
    let engine = engine()?;
    let program = tests::program("bulkhead")?.display().to_string();
    let ours = |arguments: &[&str]| -> anyhow::Result<String> {
        let output = engine.client(&program, arguments).stdin(Stdio::null()).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "bulkhead {arguments:?}: {}\n{said}", output.status);
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    };
    ours(&["run", "-d", "--name", "box", "--network", "none", "busybox", "sleep", "1000"])?;
    assert_eq!(ours(&["ps", "--format", "{{.Names}} {{.Image}}"])?, "box busybox");
    assert_eq!(ours(&["exec", "box", "sh", "-c", "echo made > /made; echo done"])?, "done");
    let status = engine.client(&program, &["exec", "box", "sh", "-c", "exit 6"]).status()?;
    assert_eq!(status.code(), Some(6));
    ours(&["commit", "box", "next:1"])?;
    ours(&["rm", "-f", "box"])?;
    assert_eq!(ours(&["run", "--rm", "--network", "none", "next:1", "cat", "/made"])?, "made");
    Ok(())
}
