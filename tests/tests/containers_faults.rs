//! Containers whose monitor, disk or engine goes at the wrong moment.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::Value;
use tests::{TestEngine, descriptors_of, files_below, processes_of, rounds, wait_for_end};

const LIMIT: Duration = Duration::from_secs(100);
/// Does not end when it is asked to.
const STUBBORN: [&str; 4] = ["busybox", "sh", "-c", "trap : TERM; while :; do sleep 1; done"];

fn engine() -> anyhow::Result<TestEngine> {
    let engine = TestEngine::start()?;
    engine.load_busybox()?;
    Ok(engine)
}

fn state(engine: &TestEngine, name: &str) -> anyhow::Result<Value> {
    Ok(serde_json::from_str(&engine.text(&["inspect", "--format", "{{json .State}}", name])?)?)
}

/// The monitors of the machines that have a folder.
fn monitors(engine: &TestEngine) -> anyhow::Result<Vec<Pid>> {
    let mut all = Vec::new();
    for machine in fs::read_dir(engine.runtime().join("machines"))? {
        let record = fs::read_to_string(machine?.path().join("record.json"))?;
        let record: Value = serde_json::from_str(&record)?;
        let pid = record["monitor"]["pid"].as_i64().context("no monitor is on record")?;
        all.push(Pid::from_raw(pid.try_into()?).context("0 is no process")?);
    }
    Ok(all)
}

/// Kills the one monitor there is, and waits until its container has ended.
fn kill_monitor(engine: &TestEngine) -> anyhow::Result<()> {
    let monitors = monitors(engine)?;
    ensure!(monitors.len() == 1, "{monitors:?}");
    let waiting = engine.client("docker", &["wait", "box"]).stdout(Stdio::piped()).spawn()?;
    kill_process(monitors[0], Signal::KILL)?;
    let output = waiting.wait_with_output()?;
    assert_eq!(String::from_utf8(output.stdout)?.trim(), "137", "{}", engine.logged());
    let state = state(engine, "box")?;
    assert_eq!((&state["Status"], &state["ExitCode"]), (&"exited".into(), &137.into()));
    ensure!(state["Error"].as_str().is_some_and(|e| e.contains("machine ended")), "{state}");
    Ok(())
}

/// Nothing of a machine is left.
fn is_tidy(engine: &TestEngine) -> anyhow::Result<()> {
    let machines = engine.runtime().join("machines");
    assert_eq!(processes_of(&machines)?, Vec::<String>::new());
    ensure!(files_below(&machines)?.is_empty(), "{:?}", files_below(&machines)?);
    Ok(())
}

/// A client that is to end by itself.
fn begin(engine: &TestEngine, arguments: &[&str]) -> anyhow::Result<Child> {
    let mut client = engine.client("docker", arguments);
    let client = client.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    Ok(client.spawn()?)
}

fn ends(mut client: Child) -> anyhow::Result<bool> {
    let process = pidfd_open(Pid::from_child(&client), PidfdFlags::empty())?;
    let ended = wait_for_end(&process, LIMIT);
    if ended.is_err() {
        client.kill()?;
    }
    let status = client.wait()?;
    ended.map(|()| status.success())
}

#[test]
fn monitors_that_are_killed_at_any_stage_are_noticed_and_leave_nothing() -> anyhow::Result<()> {
    let engine = engine()?;
    engine.text(&[&["run", "-d", "--name", "box"], &STUBBORN[..]].concat())?;
    let open = descriptors_of(engine.pid()?)?.len();
    // While a command runs in it, and files are on their way out of it.
    let command = begin(&engine, &["exec", "box", "sh", "-c", "echo in; sleep 1000"])?;
    let mut copy = begin(&engine, &["cp", "box:/bin", "-"])?;
    engine.text(&["exec", "box", "true"])?;
    kill_monitor(&engine)?;
    ensure!(!ends(command)?, "the command cannot have ended well");
    // It waits for somebody to read what was copied.
    drop(copy.stdout.take());
    ends(copy)?;
    is_tidy(&engine)?;

    // While it is paused; its disk is free again.
    engine.text(&["start", "box"])?;
    engine.text(&["pause", "box"])?;
    kill_monitor(&engine)?;
    is_tidy(&engine)?;

    // While it is asked to stop. Its disk was cut off under it before, which it has to live with.
    engine.text(&["start", "box"])?;
    let id = engine.text(&["inspect", "--format", "{{.Id}}", "box"])?;
    let disk = engine.state().join("containers").join(id).join("writable.ext4");
    File::options().write(true).open(&disk)?.set_len(1 << 20)?;
    let write = "dd if=/dev/zero of=/file bs=1M count=4; sync; cat /file > /dev/null; true";
    engine.docker(&["exec", "box", "sh", "-c", write])?;
    ensure!(state(&engine, "box")?["Running"] == true, "{}", engine.logged());
    let stop = begin(&engine, &["stop", "-t", "1000", "box"])?;
    kill_monitor(&engine)?;
    ends(stop)?;
    is_tidy(&engine)?;

    engine.text(&["rm", "box"])?;
    ensure!(!engine.docker(&["rm", "box"])?.status.success(), "it is gone");
    ensure!(files_below(&engine.state().join("containers"))?.is_empty());
    let now = descriptors_of(engine.pid()?)?;
    ensure!(now.len() <= open, "{} were open, and now {now:?}", open);
    Ok(())
}

/// What a client does in each round, as far as it comes: each step fails once the engine is gone.
fn story(engine: &TestEngine) -> Vec<Command> {
    let run = [&["run", "-d", "--name", "box"], &STUBBORN[..]].concat();
    let steps: [&[&str]; 7] = [
        &run,
        &["exec", "box", "true"],
        &["pause", "box"],
        &["unpause", "box"],
        &["cp", "box:/etc/passwd", "/dev/null"],
        &["stop", "-t", "1", "box"],
        &["rm", "-f", "box"],
    ];
    steps.map(|step| engine.client("docker", step)).into()
}

fn tell(story: Vec<Command>) {
    for mut step in story {
        let _ = step.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

#[test]
fn engine_that_is_killed_at_any_stage_finds_what_runs_and_nothing_twice() -> anyhow::Result<()> {
    let mut engine = engine()?;
    let began = Instant::now();
    tell(story(&engine));
    let length = began.elapsed();
    let mut seed = u64::from(rustix::process::getpid().as_raw_nonzero().get().unsigned_abs());
    println!("seed {seed}, a round takes {length:?}");
    for round in 0..rounds(2, 2) {
        // Knuth's MMIX numbers.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let moment = length.mul_f64(f64::from((seed >> 32) as u32) / f64::from(u32::MAX));
        println!("round {round}: killed after {moment:?}");
        thread::scope(|scope| -> anyhow::Result<()> {
            let steps = story(&engine);
            scope.spawn(move || tell(steps));
            // Not a wait for anything: the moment is what is tried out.
            thread::sleep(moment);
            engine.kill()
        })?;
        engine.resume()?;
        let up = engine.text(&[
            "ps",
            "-q",
            "--filter",
            "status=running",
            "--filter",
            "status=paused",
        ])?;
        let machines = monitors(&engine)?;
        let processes = processes_of(&engine.runtime().join("machines"))?;
        let count = up.lines().count();
        assert_eq!((machines.len(), processes.len()), (count, count), "{processes:?}");
        if count == 1 {
            engine.docker(&["unpause", "box"])?;
            engine.text(&["exec", "box", "true"])?;
        }
        engine.docker(&["rm", "-f", "box"])?;
        assert_eq!(engine.text(&["ps", "-aq"])?, "");
        ensure!(files_below(&engine.state().join("containers"))?.is_empty());
        is_tidy(&engine)?;
    }
    Ok(())
}
