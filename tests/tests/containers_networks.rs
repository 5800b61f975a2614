//! Networks of containers: both families of addresses, and what becomes of them when the switch dies.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, ensure};
use switch::client::Client;
use tests::TestEngine;

/// How long an answer from a container may take: its machine may be an emulated one.
const PATIENCE: Duration = Duration::from_secs(60);

/// The page that a web server shows at an address of the host.
fn page(address: &str) -> anyhow::Result<String> {
    let mut stream =
        TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").context("no end of the header")?;
    Ok(body.trim().to_owned())
}

/// Runs a web server that shows `found`.
fn serve(engine: &TestEngine, options: &[&str]) -> anyhow::Result<String> {
    let script = "echo found > /var/www/index.html; httpd -f -h /var/www";
    engine.text(&[&["run", "-d"], options, &["busybox", "sh", "-c", script]].concat())
}

#[test]
fn containers_talk_by_both_families_also_after_the_switch_was_killed() -> anyhow::Result<()> {
    let engine = TestEngine::start()?;
    engine.load_busybox()?;
    let create = ["network", "create", "--ipv6", "--subnet", "10.99.1.0/24"];
    engine.text(&[&create[..], &["--subnet", "fd99:1::/64", "both"]].concat())?;
    let options = ["--name", "web", "--network", "both", "--ip", "10.99.1.5"];
    let more = ["--ip6", "fd99:1::5", "-p", "127.0.0.1::80", "-p", "[::1]::80"];
    serve(&engine, &[&options[..], &more[..]].concat())?;
    engine.text(&[
        "run",
        "-d",
        "--name",
        "box",
        "--network",
        "both",
        "busybox",
        "sleep",
        "1000",
    ])?;
    let exec = |script: &str| engine.text(&["exec", "box", "sh", "-c", script]);
    ensure!(exec("ip -6 addr show dev eth0")?.contains("fd99:1::2/64"));
    ensure!(exec("ip -6 route")?.contains("default via fd99:1::1 dev eth0"));
    ensure!(exec("nslookup -type=aaaa web")?.contains("fd99:1::5"));
    exec("ping6 -c 1 web")?;
    assert_eq!(exec("wget -q -O - http://[fd99:1::5]/")?, "found");
    assert_eq!(exec("wget -q -O - http://10.99.1.5/")?, "found");
    let published = engine.text(&["port", "web", "80"])?;
    let published: Vec<_> = published.lines().collect();
    ensure!(published.len() == 2, "{published:?}");
    for address in &published {
        assert_eq!(page(address)?, "found", "{address}");
    }

    let control = engine.folder().join("run/switch/control.sock");
    let before = Client::connect(&control)?.status()?.pid;
    let process = i32::try_from(before).ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(process.context("no process")?, rustix::process::Signal::KILL)?;
    // The first packets find no switch yet, and are sent again.
    assert_eq!(exec("wget -q -O - http://web/")?, "found", "{}", engine.logged());
    assert_eq!(exec("wget -q -O - http://[fd99:1::5]/")?, "found");
    for address in &published {
        assert_eq!(page(address)?, "found", "{address}");
    }
    assert_ne!(Client::connect(&control)?.status()?.pid, before);
    Ok(())
}
