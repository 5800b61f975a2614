//! What hundreds of machines that come and go leave of themselves: nothing. Over guests of a few
//! instructions, in a network namespace of the test's own.

use anyhow::{Context, ensure};
use rustix::process::{Signal, kill_process};
use serde_json::json;
use tests::{Holdings, TestEngine, TinyGuest, begin_start, run_in_namespaces};

/// Each begins and ends a machine.
const ROUNDS: usize = 200;

/// From then on nothing grows any more: templates are made and pools have their threads.
const WARM: usize = 30;

#[test]
fn two_hundred_rounds_of_start_and_kill_leave_nothing_behind() -> anyhow::Result<()> {
    let setup = ("ip link set lo up", "");
    run_in_namespaces(&["--net"], setup, "rounds_of_start_and_kill")
}

fn ask(
    engine: &TestEngine,
    (method, path): (&str, &str),
    body: &str,
    wanted: u16,
) -> anyhow::Result<()> {
    let answer = engine.ask(method, path, body)?;
    ensure!(answer.status == wanted, "{method} {path}: {answer:?}\n{}", engine.logged());
    Ok(())
}

/// A machine without an agent runs and is killed by the engine.
fn plain_machine(engine: &TestEngine) -> anyhow::Result<()> {
    let kernel = engine.folder().join("Deaf.elf");
    let body = json!({ "name": "tiny", "kernel": kernel, "memory_mib": 32 }).to_string();
    ask(engine, ("POST", "/vms"), &body, 201)?;
    ask(engine, ("POST", "/vms/tiny/start"), "", 204)?;
    ask(engine, ("POST", "/vms/tiny/kill"), "", 204)?;
    ask(engine, ("DELETE", "/vms/tiny"), "", 204)
}

/// A container with a volume, on a network and with a published port, whose monitor is killed.
fn container(engine: &TestEngine, network: &str) -> anyhow::Result<()> {
    let body = json!({
        "Image": "empty",
        "Cmd": ["x"],
        "Volumes": { "/data": {} },
        "ExposedPorts": { "80/tcp": {} },
        "HostConfig": {
            "NetworkMode": network,
            "PortBindings": { "80/tcp": [{ "HostPort": "0" }] },
        },
    });
    ask(engine, ("POST", "/containers/create?name=one"), &body.to_string(), 201)?;
    let (monitor, start) = begin_start(engine, "one")?;
    kill_process(monitor, Signal::KILL)?;
    let answer = start.join().map_err(|_| anyhow::anyhow!("the client panicked"))??;
    ensure!(answer.status == 500, "{answer:?}");
    ask(engine, ("DELETE", "/containers/one?v=true"), "", 204)
}

#[test]
#[ignore = "run by two_hundred_rounds_of_start_and_kill_leave_nothing_behind"]
fn rounds_of_start_and_kill() -> anyhow::Result<()> {
    let engine = TestEngine::start_with_tiny_guest(TinyGuest::Deaf)?;
    engine.import_empty("empty")?;
    for (name, driver) in [("switched", "bridge"), ("bridged", "kernel-bridge")] {
        let body = json!({ "Name": name, "Driver": driver }).to_string();
        ask(&engine, ("POST", "/networks/create"), &body, 201)?;
    }
    let mut before = None;
    for round in 0..ROUNDS {
        match round % 3 {
            0 => plain_machine(&engine)?,
            1 => container(&engine, "switched")?,
            _ => container(&engine, "bridged")?,
        }
        if round + 1 == WARM {
            before = Some(Holdings::of(&engine)?.and_links()?);
        }
    }
    let now = Holdings::of(&engine)?.and_links()?;
    now.are_no_more_than(&before.context("there was no round")?)
}
