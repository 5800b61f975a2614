//! An engine whose disk is full: on a small file system in a mount namespace of the test's own.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use image::Digest;
use rustix::process::{Signal, kill_process};
use serde_json::json;
use tests::{Answer, TestEngine, TinyGuest, begin_start, files_below, request, run_in_namespaces};

const LIMIT: Duration = Duration::from_secs(30);
const CREATE: &str = r#"{"Image":"empty","Cmd":["x"],"HostConfig":{"NetworkMode":"none"}}"#;

#[test]
fn full_disk_stops_neither_the_engine_nor_its_machines() -> anyhow::Result<()> {
    let disk = tempfile::tempdir()?;
    let path = disk.path().to_str().context("the path is no text")?;
    let setup = (r#"mount -t tmpfs -o size=96m none "$1" && export TMPDIR="$1""#, path);
    run_in_namespaces(&["--mount"], setup, "engine_on_a_full_disk")
}

/// An engine with an image, two containers of which one has a disk, and a machine that echoes.
struct Full {
    engine: TestEngine,
    filler: PathBuf,
    console: UnixStream,
}

impl Full {
    fn new() -> anyhow::Result<Self> {
        let engine = TestEngine::start_with_tiny_guest(TinyGuest::Deaf)?;
        engine.import_empty("empty")?;
        let bulky = "/images/create?fromSrc=-&repo=bulky";
        ensure!(request(&engine.socket(), "POST", bulky, &bulky_layer()?)?.status == 200);
        for name in ["kept", "spare"] {
            let path = format!("/containers/create?name={name}");
            ensure!(engine.ask("POST", &path, CREATE)?.status == 201);
        }
        start_and_kill(&engine, "spare")?;
        let kernel = TinyGuest::Attentive.write_kernel(engine.folder())?;
        let machine = json!({ "name": "tiny", "kernel": kernel, "memory_mib": 32 });
        ensure!(engine.ask("POST", "/vms", &machine.to_string())?.status == 201);
        ensure!(engine.ask("POST", "/vms/tiny/start", "")?.status == 204);
        let shown = engine.ask("GET", "/vms/tiny", "")?.body;
        let socket = Path::new(shown["monitor"]["api_socket"].as_str().context("no monitor")?);
        TinyGuest::await_hello(socket.parent().context("no folder")?)?;
        let console = attach(socket)?;
        let filler = engine.folder().join("filler");
        Ok(Self { engine, filler, console })
    }

    /// Takes all room that is left.
    fn fill(&self) -> anyhow::Result<()> {
        let mut file = File::options().create(true).append(true).open(&self.filler)?;
        let mut size = 1 << 20;
        while size > 0 {
            if file.write_all(&vec![b'x'; size]).is_err() {
                size /= 2;
            }
        }
        Ok(())
    }

    /// What is asked of the engine while the disk is full, and again when it is not.
    fn requests(&self) -> anyhow::Result<Vec<(&'static str, Vec<u8>)>> {
        let kernel = self.engine.folder().join("Deaf.elf");
        let machine = json!({ "name": "new", "kernel": kernel, "memory_mib": 32 });
        Ok(vec![
            ("/containers/create?name=new", CREATE.into()),
            ("/volumes/create", r#"{"Name":"new"}"#.into()),
            ("/networks/create", r#"{"Name":"new"}"#.into()),
            ("/vms", machine.to_string().into()),
            ("/images/empty/tag?repo=new", Vec::new()),
            ("/images/create?fromSrc=-&repo=imported", layer()?),
            ("/images/load", archive()?),
            ("/containers/kept/rename?name=renamed", Vec::new()),
            ("/containers/renamed/rename?name=kept", Vec::new()),
        ])
    }

    fn post(&self, path: &str, body: &[u8]) -> anyhow::Result<Answer> {
        request(&self.engine.socket(), "POST", path, body)
    }

    /// Whether the guest gets what is typed and its echo comes back.
    fn guest_echoes(&mut self, text: &str) -> anyhow::Result<()> {
        self.console.write_all(text.as_bytes())?;
        let mut echo = vec![0; text.len()];
        self.console.read_exact(&mut echo).context("the guest is held up")?;
        assert_eq!(String::from_utf8(echo)?, text);
        Ok(())
    }

    /// What clients see that only look.
    fn shown(&self) -> anyhow::Result<Vec<String>> {
        let paths = [
            "/containers/json?all=1",
            "/images/json",
            "/containers/spare/json",
            "/vms/tiny",
            "/containers/spare/logs?stdout=1",
            "/events?since=0&until=1",
        ];
        let ask = |path: &&str| {
            let answer = self.engine.ask("GET", path, "")?;
            ensure!(answer.status == 200, "{path}: {answer:?}");
            Ok(answer.body.to_string())
        };
        paths.iter().map(ask).collect()
    }

    /// Below the folder of the engine's state, volumes apart.
    fn files(&self) -> anyhow::Result<BTreeSet<PathBuf>> {
        let mut files = files_below(&self.engine.state())?;
        files.retain(|file| !file.starts_with(self.engine.state().join("volumes")));
        Ok(files)
    }
}

fn start_and_kill(engine: &TestEngine, name: &str) -> anyhow::Result<()> {
    let (monitor, start) = begin_start(engine, name)?;
    kill_process(monitor, Signal::KILL)?;
    let answer = start.join().map_err(|_| anyhow::anyhow!("the client panicked"))??;
    ensure!(answer.body.to_string().contains("ended before it was ready"), "{answer:?}");
    Ok(())
}

/// A connection to the console of a monitor's machine, after the guest's greeting.
fn attach(socket: &Path) -> anyhow::Result<UnixStream> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(
        b"GET /bulkhead/console HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
    )?;
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\nhello\n") {
        let mut byte = [0];
        stream
            .read_exact(&mut byte)
            .with_context(|| String::from_utf8_lossy(&seen).into_owned())?;
        seen.extend(byte);
    }
    Ok(stream)
}

/// A layer of one file that does not compress.
fn layer() -> anyhow::Result<Vec<u8>> {
    let mut state = 1u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    tar_of(&[("noise", &noise.take(100_000).collect::<Vec<_>>())])
}

/// One that is larger, and another.
fn bulky_layer() -> anyhow::Result<Vec<u8>> {
    tar_of(&[("bulky", &layer()?.repeat(3))])
}

/// An image as `docker save` writes it.
fn archive() -> anyhow::Result<Vec<u8>> {
    let mut layer = layer()?;
    // Not that of the image that is imported.
    layer.extend([0; 512]);
    let diff_id = Digest::of(&layer);
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": [diff_id.to_string()] },
    });
    let manifest = json!([{
        "Config": "config.json",
        "RepoTags": ["loaded:latest"],
        "Layers": ["layer.tar"],
    }]);
    tar_of(&[
        ("layer.tar", &layer),
        ("config.json", config.to_string().as_bytes()),
        ("manifest.json", manifest.to_string().as_bytes()),
    ])
}

fn tar_of(files: &[(&str, &[u8])]) -> anyhow::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_cksum();
        archive.append_data(&mut header, name, *content)?;
    }
    Ok(archive.into_inner()?)
}

#[test]
#[ignore = "run by full_disk_stops_neither_the_engine_nor_its_machines"]
fn engine_on_a_full_disk() -> anyhow::Result<()> {
    let mut full = Full::new()?;
    let (pid, files, shown) = (full.engine.pid()?, full.files()?, full.shown()?);
    full.fill()?;

    let mut refused = BTreeSet::new();
    for (path, body) in full.requests()? {
        let answer = full.post(path, &body)?;
        let said = answer.body.to_string();
        // The store's file may have room left for small records.
        let made = answer.status < 300 && !said.contains("error");
        let why = said.contains("No space left on device") || answer.status == 404;
        ensure!(made || why, "{path}: {answer:?}");
        if !made {
            refused.insert(path);
        }
        if !made && path.starts_with("/images") {
            let disk =
                format!("the disk of {} is full", full.engine.state().join("images").display());
            ensure!(said.contains(&disk), "{path}: {answer:?}");
        }
    }
    let large = ["/images/load", "/images/create?fromSrc=-&repo=imported"];
    ensure!(large.iter().all(|path| refused.contains(path)), "{refused:?}");
    let start = full.engine.ask("POST", "/containers/kept/start", "")?;
    ensure!(
        start.status == 500 && start.body.to_string().contains("No space left on device"),
        "{start:?}"
    );
    let mut new: Vec<_> = full.files()?.difference(&files).cloned().collect();
    if !refused.contains("/containers/create?name=new") {
        new.retain(|file| !file.starts_with(full.engine.state().join("containers")));
    }
    ensure!(new.is_empty(), "files are left: {new:?}");
    full.guest_echoes("abc")?;
    for action in ["pause", "resume"] {
        assert_eq!(full.engine.ask("POST", &format!("/vms/tiny/{action}"), "")?.status, 204);
    }
    // Who removes something makes room.
    let images = full.shown()?.swap_remove(1);
    assert_eq!(images, shown[1]);
    let removed = full.engine.ask("DELETE", "/images/bulky", "")?;
    assert_eq!(removed.status, 200, "{removed:?}");
    full.fill()?;
    let removed = full.engine.ask("DELETE", "/containers/spare", "")?;
    assert_eq!(removed.status, 204, "{removed:?}\n{}", full.engine.logged());

    fs::remove_file(&full.filler)?;
    for (path, body) in full.requests()? {
        let answer = full.post(path, &body)?;
        let was_made = answer.status == 409 && !refused.contains(path);
        let made = answer.status < 300 && !answer.body.to_string().contains("error");
        ensure!(made || was_made, "{path}: {answer:?}");
    }
    start_and_kill(&full.engine, "kept")?;
    full.guest_echoes("def")?;
    assert_eq!(full.engine.pid()?, pid);
    full.engine.kill()?;
    full.engine.resume()?;
    assert_eq!(full.engine.ask("GET", "/containers/new/json", "")?.status, 200);
    assert_eq!(full.engine.ask("POST", "/vms/tiny/kill", "")?.status, 204);
    assert_eq!(full.engine.ask("DELETE", "/vms/tiny", "")?.status, 204);
    Ok(())
}
