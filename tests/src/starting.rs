//! Containers on their way: their machine runs, and its agent has not called.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::process::Pid;
use serde_json::Value;

use crate::engine::TestEngine;
use crate::engine_requests::{Answer, request};
use crate::tiny_guest::TinyGuest;

/// How long a machine may take until it has a folder.
const LIMIT: Duration = Duration::from_secs(30);

/// Asks for the start of the container `name`, while nothing else is started, and waits until its
/// guest runs; gives the monitor, and who waits for the answer.
///
/// # Errors
///
/// It does not start.
pub fn begin_start(
    engine: &TestEngine,
    name: &str,
) -> anyhow::Result<(Pid, thread::JoinHandle<anyhow::Result<Answer>>)> {
    let machines = engine.runtime().join("machines");
    let changes = inotify::init(inotify::CreateFlags::CLOEXEC)?;
    inotify::add_watch(&changes, &machines, inotify::WatchFlags::CREATE)?;
    let others = folders(&machines)?;
    let (socket, path) = (engine.socket(), format!("/containers/{name}/start"));
    let start = thread::spawn(move || request(&socket, "POST", &path, b""));
    let machine = loop {
        if let Some(machine) = folders(&machines)?.difference(&others).next() {
            break machine.clone();
        }
        next_change(&changes)?;
    };
    TinyGuest::await_hello(&machine)?;
    Ok((monitor(&machine)?.context("there is no monitor on record")?, start))
}

fn folders(of: &Path) -> anyhow::Result<BTreeSet<PathBuf>> {
    let entries = fs::read_dir(of)?;
    Ok(entries.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?)
}

fn next_change(changes: &impl AsFd) -> anyhow::Result<()> {
    let timeout = Timespec::try_from(LIMIT)?;
    let changed = poll(&mut [PollFd::new(changes, PollFlags::IN)], Some(&timeout))?;
    ensure!(changed == 1, "nothing happened within {LIMIT:?}");
    rustix::io::read(changes, &mut [0; 4096])?;
    Ok(())
}

/// The monitor that a machine's record names.
fn monitor(machine: &Path) -> anyhow::Result<Option<Pid>> {
    let Ok(text) = fs::read_to_string(machine.join("record.json")) else { return Ok(None) };
    let record: Value = serde_json::from_str(&text)?;
    Ok(record["monitor"]["pid"].as_i64().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)))
}
