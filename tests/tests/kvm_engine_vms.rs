//! `/vms` of the engine over guests of a few instructions.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tests::{TestEngine, TinyGuest};

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

#[test]
fn plain_machine_lives_through_its_verbs_and_an_engine_that_is_killed() -> anyhow::Result<()> {
    let mut engine = TestEngine::start_with_tiny_guest(TinyGuest::Deaf)?;
    let kernel = TinyGuest::Attentive.write_kernel(engine.folder())?;
    let body = json!({ "name": "tiny", "kernel": kernel, "memory_mib": 32 }).to_string();
    let (status, made) = call(&engine, "POST", "/vms", &body)?;
    ensure!(status == 201, "{made}");
    act(&engine, "/vms/tiny/start")?;
    // Its monitor serves already.
    ensure!(call(&engine, "GET", "/vms/tiny/metrics", "")?.1.contains("# TYPE"));
    let running = show(&engine)?;
    assert_eq!(running["state"], "running");
    let socket = running["monitor"]["api_socket"].as_str().context("no monitor")?.to_owned();
    let folder = Path::new(&socket).parent().context("no folder")?;
    TinyGuest::await_hello(folder)?;
    act(&engine, "/vms/tiny/pause")?;
    engine.kill()?;
    engine.resume()?;
    let found = show(&engine)?;
    assert_eq!(found["state"], "paused", "what was paused stays so");
    assert_eq!(found["monitor"], running["monitor"], "it is the same machine");
    assert_eq!(call(&engine, "POST", "/vms/tiny/pause", "")?.0, 409);
    act(&engine, "/vms/tiny/resume")?;
    assert_eq!(call(&engine, "GET", "/vms/tiny/console", "")?.1, "hello\n");
    assert_eq!(call(&engine, "DELETE", "/vms/tiny", "")?.0, 409);
    act(&engine, "/vms/tiny/stop?t=20")?;
    let ended = show(&engine)?;
    assert_eq!((&ended["state"], &ended["end"]["end"]), (&json!("ended"), &json!("power-button")));
    ensure!(call(&engine, "GET", "/vms/tiny/events", "")?.1.contains("exited"));
    act(&engine, "/vms/tiny/start")?;
    TinyGuest::await_hello(folder)?;
    act(&engine, "/vms/tiny/kill")?;
    let killed = show(&engine)?;
    assert_eq!((&killed["state"], &killed["end"]["end"]), (&json!("ended"), &json!("stopped")));
    assert_eq!(call(&engine, "DELETE", "/vms/tiny", "")?.0, 204);
    ensure!(fs::read_dir(engine.folder().join("run/machines"))?.next().is_none());
    Ok(())
}

#[test]
fn start_of_a_machine_whose_monitor_refuses_it_is_answered_with_the_reason() -> anyhow::Result<()> {
    let engine = TestEngine::start_with_tiny_guest(TinyGuest::Deaf)?;
    let kernel = engine.folder().join("vmlinux");
    fs::write(&kernel, "no kernel")?;
    let body = json!({ "name": "tiny", "kernel": kernel, "memory_mib": 32 }).to_string();
    assert_eq!(call(&engine, "POST", "/vms", &body)?.0, 201);
    let (status, said) = call(&engine, "POST", "/vms/tiny/start", "")?;
    assert_eq!(status, 500, "{said}");
    ensure!(said.contains("Failed to start machine tiny"), "{said}");
    ensure!(said.contains("vmlinux"), "{said}");
    let ended = show(&engine)?;
    assert_eq!(ended["state"], "ended");
    ensure!(ended["end"]["message"].as_str().is_some_and(|why| why.contains("vmlinux")), "{ended}");
    fs::copy(TinyGuest::Attentive.write_kernel(engine.folder())?, &kernel)?;
    act(&engine, "/vms/tiny/start")?;
    act(&engine, "/vms/tiny/kill")
}
