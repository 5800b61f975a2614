//! What containers that come and go leave of themselves: nothing.

use std::fs;

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tests::{Holdings, TestEngine, rounds};

const RUN: [&str; 17] = [
    "run",
    "-d",
    "--name",
    "box",
    "--network",
    "front",
    "-p",
    "127.0.0.1:0:80",
    "-v",
    "data:/data",
    "-v",
    "/anonymous",
    "--tmpfs",
    "/tmp",
    "busybox",
    "sleep",
    "1000",
];

/// The monitor of the one machine there is.
fn monitor(engine: &TestEngine) -> anyhow::Result<Pid> {
    let machine = fs::read_dir(engine.runtime().join("machines"))?.next().context("no machine")?;
    let record = fs::read_to_string(machine?.path().join("record.json"))?;
    let record: Value = serde_json::from_str(&record)?;
    let pid = record["monitor"]["pid"].as_i64().context("no monitor is on record")?;
    Pid::from_raw(pid.try_into()?).context("0 is no process")
}

/// A container that does a bit of everything; its monitor is killed in every second round.
fn round(engine: &TestEngine, number: u32) -> anyhow::Result<()> {
    engine.text(&RUN)?;
    engine.text(&["exec", "box", "sh", "-c", "echo x >> /data/file; echo y > /anonymous/file"])?;
    engine.text(&["cp", "box:/data/file", "-"])?;
    engine.text(&["logs", "box"])?;
    if number % 2 == 1 {
        kill_process(monitor(engine)?, Signal::KILL)?;
        assert_eq!(engine.text(&["wait", "box"])?, "137");
    }
    engine.text(&["rm", "-fv", "box"]).map(drop)
}

#[test]
fn rounds_of_containers_leave_nothing_behind() -> anyhow::Result<()> {
    let engine = TestEngine::start()?;
    engine.load_busybox()?;
    engine.text(&["network", "create", "front"])?;
    engine.text(&["volume", "create", "data"])?;
    // One to warm up, in which templates are made and pools get their threads.
    round(&engine, 0)?;
    round(&engine, 1)?;
    let before = Holdings::of(&engine)?;
    for number in 2..2 + rounds(10, 1) {
        round(&engine, number)?;
    }
    Holdings::of(&engine)?.are_no_more_than(&before)?;
    ensure!(engine.text(&["exec", "box", "true"]).is_err(), "it is gone");
    Ok(())
}
