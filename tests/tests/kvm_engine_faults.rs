//! The engine's program under stress and misfortune, over guests of a few instructions: many
//! clients at once, and kill -9 of itself and of its monitors while machines start.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::{
    PidfdFlags, Resource, Signal, getrlimit, kill_process, pidfd_open, setrlimit,
};
use serde_json::Value;
use tests::{
    TestEngine, TinyGuest, begin_start, descriptors_of, files_below, processes_of, program,
    request, wait_for_end,
};

const CLIENTS: usize = 1_000;
const BODY: &str = r#"{"Image":"empty","Cmd":["x"],"HostConfig":{"NetworkMode":"none"}}"#;

fn engine() -> anyhow::Result<TestEngine> {
    let engine = TestEngine::start_with_tiny_guest(TinyGuest::Deaf)?;
    engine.import_empty("empty")?;
    Ok(engine)
}

/// Many requests at once, each over a connection of its own; how often which status came.
fn at_once(
    engine: &TestEngine,
    requests: impl Fn(usize) -> (&'static str, String, &'static str),
) -> anyhow::Result<BTreeMap<u16, usize>> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    let start = Arc::new(Barrier::new(CLIENTS));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (start, socket) = (Arc::clone(&start), engine.socket());
            let (method, path, body) = requests(number);
            thread::Builder::new().stack_size(128 << 10).spawn(move || {
                start.wait();
                request(&socket, method, &path, body.as_bytes())
            })
        })
        .collect::<Result<_, _>>()?;
    let mut statuses = BTreeMap::new();
    for client in clients {
        let answer = client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
        *statuses.entry(answer.status).or_default() += 1;
    }
    Ok(statuses)
}

fn containers(engine: &TestEngine) -> anyhow::Result<Vec<Value>> {
    let answer = engine.ask("GET", "/containers/json?all=true", "")?;
    Ok(answer.body.as_array().context("it is no list")?.clone())
}

/// The folders that containers have on disk.
fn folders(engine: &TestEngine) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(engine.state().join("containers"))?;
    Ok(entries.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?)
}

#[test]
fn thousand_creates_and_deletes_of_one_name_have_one_winner() -> anyhow::Result<()> {
    let mut engine = engine()?;
    let before = files_below(&engine.state())?;
    let create = ("POST", "/containers/create?name=one".to_owned(), BODY);
    let created = at_once(&engine, |_| create.clone())?;
    assert_eq!(created, BTreeMap::from([(201, 1), (409, CLIENTS - 1)]));
    assert_eq!((containers(&engine)?.len(), folders(&engine)?.len()), (1, 1));

    let deleted = at_once(&engine, |_| ("DELETE", "/containers/one".to_owned(), ""))?;
    assert_eq!(deleted.get(&204), Some(&1), "{deleted:?}");
    ensure!(deleted.keys().all(|status| matches!(status, 204 | 404 | 409)), "{deleted:?}");
    assert_eq!(files_below(&engine.state())?, before);

    let both = at_once(&engine, |number| match number % 2 {
        0 => create.clone(),
        _ => ("DELETE", "/containers/one".to_owned(), ""),
    })?;
    ensure!(both.keys().all(|status| matches!(status, 201 | 204 | 404 | 409)), "{both:?}");
    let left = both.get(&201).unwrap_or(&0) - both.get(&204).unwrap_or(&0);
    ensure!(both.contains_key(&201) && left <= 1, "{both:?}");
    assert_eq!((containers(&engine)?.len(), folders(&engine)?.len()), (left, left));

    engine.kill()?;
    engine.resume()?;
    assert_eq!((containers(&engine)?.len(), folders(&engine)?.len()), (left, left));
    Ok(())
}

#[test]
fn second_engine_on_a_folder_is_told_who_has_it() -> anyhow::Result<()> {
    let engine = engine()?;
    let other = tempfile::tempdir()?;
    for (free, taken) in [("BULKHEAD_RUNTIME", "state"), ("BULKHEAD_ROOT", "run")] {
        let second = engine.command()?.env(free, other.path().join("x")).output()?;
        let said = String::from_utf8_lossy(&second.stderr).into_owned();
        let folder = engine.folder().join(taken);
        let expected = format!(
            "another engine is at work on {}: process {}, with the socket {}",
            folder.display(),
            engine.pid()?,
            engine.socket().display()
        );
        ensure!(second.status.code() == Some(1) && said.contains(&expected), "{said}");
    }
    assert_eq!(engine.ask("GET", "/_ping", "")?.status, 200);
    Ok(())
}

#[test]
fn commands_find_the_engine_by_its_runtime_folder() -> anyhow::Result<()> {
    let engine = engine()?;
    assert_eq!(engine.ask("POST", "/containers/create?name=one", BODY)?.status, 201);
    let listed = Command::new(program("bulkhead")?)
        .args(["ps", "-a", "--format", "{{.Names}}"])
        .env("BULKHEAD_RUNTIME", engine.runtime())
        .env_remove("BULKHEAD_HOST")
        .output()?;
    let errors = String::from_utf8_lossy(&listed.stderr);
    assert_eq!(String::from_utf8_lossy(&listed.stdout), "one\n", "{errors}");
    Ok(())
}

#[test]
fn monitors_that_are_killed_while_they_start_leave_nothing() -> anyhow::Result<()> {
    let engine = engine()?;
    assert_eq!(engine.ask("POST", "/containers/create?name=one", BODY)?.status, 201);
    let mut open = Vec::new();
    for _ in 0..20 {
        let (monitor, start) = begin_start(&engine, "one")?;
        kill_process(monitor, Signal::KILL)?;
        let answer = start.join().map_err(|_| anyhow::anyhow!("the client panicked"))??;
        let message = answer.body["message"].as_str().unwrap_or_default();
        ensure!(
            answer.status == 500 && message.contains("ended before it was ready"),
            "{answer:?}"
        );
        let state = &engine.ask("GET", "/containers/one/json", "")?.body["State"];
        assert_eq!((&state["Status"], &state["ExitCode"]), (&"created".into(), &128.into()));
        assert_eq!(fs::read_dir(engine.runtime().join("machines"))?.count(), 0);
        assert_eq!(processes_of(&engine.runtime().join("machines"))?, Vec::<String>::new());
        open.push(descriptors_of(engine.pid()?)?.len());
    }
    // A connection may just be about to be closed; what leaks does so each time.
    ensure!(open[19] < open[0] + 10, "{open:?}");
    assert_eq!(engine.ask("DELETE", "/containers/one", "")?.status, 204);
    assert_eq!(engine.ask("DELETE", "/containers/one", "")?.status, 404);
    ensure!(folders(&engine)?.is_empty());
    Ok(())
}

/// Numbers that look random, and are the same for the same seed (xorshift64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

#[test]
fn engine_that_is_killed_at_any_moment_loses_no_container_and_leaves_no_machine()
-> anyhow::Result<()> {
    let seed = rustix::process::getpid().as_raw_nonzero().get().unsigned_abs();
    println!("seed {seed}");
    let mut chance = Chance(u64::from(seed));
    let mut engine = engine()?;
    let before = files_below(&engine.state())?;
    for round in 0..12 {
        let socket = engine.socket();
        let client = thread::spawn(move || {
            // Whether they come to an answer is chance.
            let create = request(&socket, "POST", "/containers/create?name=one", BODY.as_bytes());
            let started = request(&socket, "POST", "/containers/one/start", b"");
            (create.map(|answer| answer.status), started)
        });
        // Not a wait for anything: the moment is what is tried out.
        thread::sleep(Duration::from_micros(chance.below(250_000)));
        engine.kill()?;
        let (created, _) = client.join().map_err(|_| anyhow::anyhow!("the client panicked"))?;
        engine.resume()?;
        let there = containers(&engine)?;
        let told = created.is_ok_and(|status| status == 201);
        ensure!(there.len() == 1 || !told, "round {round}: the container is lost");
        assert_eq!(folders(&engine)?.len(), there.len(), "round {round}");
        assert_eq!(processes_of(&engine.runtime().join("machines"))?, Vec::<String>::new());
        assert_eq!(fs::read_dir(engine.runtime().join("machines"))?.count(), 0, "round {round}");
        if let [container] = &there[..] {
            assert_eq!(container["State"], "created", "round {round}");
            assert_eq!(engine.ask("DELETE", "/containers/one", "")?.status, 204);
        }
        let disks = engine.state().join("disks");
        let now =
            files_below(&engine.state())?.into_iter().filter(|file| !file.starts_with(&disks));
        let was = before.iter().filter(|file| !file.starts_with(&disks)).cloned();
        assert_eq!(now.collect::<Vec<_>>(), was.collect::<Vec<_>>(), "round {round}");
    }
    Ok(())
}

#[test]
fn engine_that_is_killed_while_a_guest_runs_ends_it_when_it_is_back() -> anyhow::Result<()> {
    let mut engine = engine()?;
    let network = r#"{"Name":"front"}"#;
    assert_eq!(engine.ask("POST", "/networks/create", network)?.status, 201);
    let body = BODY.replace("none", "front");
    assert_eq!(engine.ask("POST", "/containers/create?name=one", &body)?.status, 201);
    let (monitor, start) = begin_start(&engine, "one")?;
    let process = pidfd_open(monitor, PidfdFlags::empty())?;
    engine.kill()?;
    let answer = start.join().map_err(|_| anyhow::anyhow!("the client panicked"))?;
    ensure!(answer.is_err(), "{answer:?}");
    let Err(_) = wait_for_end(&process, Duration::ZERO) else { bail!("its machine outlives it") };
    engine.resume()?;
    wait_for_end(&process, Duration::ZERO).context("a machine of nobody runs on")?;
    let state = &engine.ask("GET", "/containers/one/json", "")?.body["State"];
    assert_eq!(state["Status"], "created");
    assert_eq!(fs::read_dir(engine.runtime().join("machines"))?.count(), 0);
    let removed = engine.ask("DELETE", "/networks/front", "")?;
    assert_eq!(removed.status, 204, "it has a place on its network: {removed:?}");
    Ok(())
}

#[test]
fn image_that_is_found_damaged_by_an_engine_can_be_removed_by_its_name() -> anyhow::Result<()> {
    let mut engine = engine()?;
    engine.stop()?;
    let images = engine.state().join("images");
    for layer in fs::read_dir(images.join("layers"))? {
        fs::remove_file(layer?.path())?;
    }
    engine.resume()?;
    assert_eq!(engine.ask("GET", "/images/empty/json", "")?.status, 404);
    let removed = engine.ask("DELETE", "/images/empty", "")?;
    assert_eq!(removed.status, 200, "{removed:?}");
    assert_eq!(removed.body[0]["Untagged"], "empty:latest");
    let left = fs::read_dir(images.join("blobs/sha256"))?.count();
    assert_eq!(left, 0, "files of it are left");
    engine.import_empty("empty")?;
    assert_eq!(engine.ask("GET", "/images/empty/json", "")?.status, 200);
    Ok(())
}
