//! `/vms` of the engine over guests of a few instructions.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use serde_json::{Value, json};
use tests::{TestEngine, TinyGuest};

const LIMIT: Duration = Duration::from_secs(30);

/// Status and body of the answer to a request.
fn call(
    engine: &TestEngine,
    method: &str,
    path: &str,
    body: &str,
) -> anyhow::Result<(u16, String)> {
    let answer = engine.ask(method, path, body)?;
    let text = answer.body.as_str().map_or_else(|| answer.body.to_string(), str::to_owned);
    Ok((answer.status, text))
}

fn act(engine: &TestEngine, path: &str) -> anyhow::Result<()> {
    let (status, said) = call(engine, "POST", path, "")?;
    ensure!(status == 204, "{path}: {status} {said}\n{}", engine.logged());
    Ok(())
}

fn show(engine: &TestEngine) -> anyhow::Result<Value> {
    Ok(serde_json::from_str(&call(engine, "GET", "/vms/tiny", "")?.1)?)
}

/// Waits until the guest runs.
fn wait_until_it_says_hello(folder: &Path) -> anyhow::Result<()> {
    let changes = inotify::init(inotify::CreateFlags::CLOEXEC)?;
    inotify::add_watch(&changes, folder, inotify::WatchFlags::MODIFY)?;
    let timeout = Timespec::try_from(LIMIT)?;
    while !fs::read_to_string(folder.join("console.log")).is_ok_and(|text| text == "hello\n") {
        let changed = poll(&mut [PollFd::new(&changes, PollFlags::IN)], Some(&timeout))?;
        ensure!(changed == 1, "the guest said nothing within {LIMIT:?}");
        rustix::io::read(&changes, &mut [0; 4096])?;
    }
    Ok(())
}

#[test]
fn plain_machine_lives_through_its_verbs_and_an_engine_that_is_killed() -> anyhow::Result<()> {
    let mut engine = TestEngine::start_with_tiny_guest(TinyGuest::Deaf)?;
    let kernel = TinyGuest::Attentive.write_kernel(engine.folder())?;
    let body = json!({ "name": "tiny", "kernel": kernel, "memory_mib": 32 }).to_string();
    let (status, made) = call(&engine, "POST", "/vms", &body)?;
    ensure!(status == 201, "{made}");
    act(&engine, "/vms/tiny/start")?;
    let running = show(&engine)?;
    assert_eq!(running["state"], "running");
    let socket = running["monitor"]["api_socket"].as_str().context("no monitor")?.to_owned();
    wait_until_it_says_hello(Path::new(&socket).parent().context("no folder")?)?;
    act(&engine, "/vms/tiny/pause")?;
    engine.kill()?;
    engine.resume()?;
    let found = show(&engine)?;
    assert_eq!(found["state"], "paused", "what was paused stays so");
    assert_eq!(found["monitor"], running["monitor"], "it is the same machine");
    assert_eq!(call(&engine, "POST", "/vms/tiny/pause", "")?.0, 409);
    act(&engine, "/vms/tiny/resume")?;
    ensure!(call(&engine, "GET", "/vms/tiny/metrics", "")?.1.contains("# TYPE"));
    assert_eq!(call(&engine, "GET", "/vms/tiny/console", "")?.1, "hello\n");
    assert_eq!(call(&engine, "DELETE", "/vms/tiny", "")?.0, 409);
    act(&engine, "/vms/tiny/stop?t=20")?;
    let ended = show(&engine)?;
    assert_eq!((&ended["state"], &ended["end"]["end"]), (&json!("ended"), &json!("power-button")));
    ensure!(call(&engine, "GET", "/vms/tiny/events", "")?.1.contains("exited"));
    act(&engine, "/vms/tiny/start")?;
    act(&engine, "/vms/tiny/kill")?;
    let killed = show(&engine)?;
    assert_eq!((&killed["state"], &killed["end"]["end"]), (&json!("ended"), &Value::Null));
    assert_eq!(call(&engine, "DELETE", "/vms/tiny", "")?.0, 204);
    ensure!(fs::read_dir(engine.folder().join("run/machines"))?.next().is_none());
    Ok(())
}
