//! Networks of containers: both families of addresses, what becomes of them when the switch dies, and
//! bridges of the host's kernel.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, ensure};
use nix::sched::{CloneFlags, unshare};
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

fn sh(script: &str) -> anyhow::Result<String> {
    let output = Command::new("sh").args(["-ec", script]).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{script}: {errors}");
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

/// A host that this thread's network has a cable to: a thread in a network of its own.
struct Outside {
    listens: Sender<()>,
    caller: JoinHandle<anyhow::Result<SocketAddr>>,
}

impl Outside {
    const HERE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
    const THERE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);

    fn connect() -> anyhow::Result<Self> {
        let (listens, cable) = mpsc::channel();
        let (made, is_made) = mpsc::channel();
        let caller = thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET)?;
            made.send(rustix::thread::gettid())?;
            cable.recv()?;
            sh(&format!("ip addr add {}/24 dev there; ip link set there up", Self::THERE))?;
            let listener = TcpListener::bind((Self::THERE, 7))?;
            made.send(rustix::thread::gettid())?;
            Ok(listener.accept()?.1)
        });
        let thread = is_made.recv()?.as_raw_nonzero();
        sh(&format!(
            "ip link add here type veth peer name there netns {thread}; \
             ip addr add {}/24 dev here; ip link set here up",
            Self::HERE
        ))?;
        listens.send(())?;
        is_made.recv()?;
        Ok(Self { listens, caller })
    }

    /// Who has called.
    fn caller(self) -> anyhow::Result<SocketAddr> {
        drop(self.listens);
        self.caller.join().expect("the thread does not panic")
    }
}

/// In a network of its own, as the bridges, rules and settings of a host are shared by all.
#[test]
fn bridges_of_the_kernel_lead_to_names_neighbours_ports_and_out() -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: bridges of the kernel are for root");
        return Ok(());
    }
    unshare(CloneFlags::CLONE_NEWNET)?;
    sh("ip link set lo up")?;
    let outside = Outside::connect()?;

    let mut engine = TestEngine::start()?;
    engine.load_busybox()?;
    let create = ["network", "create", "--driver", "kernel-bridge", "--ipv6"];
    let ranges = ["--subnet", "10.98.1.0/24", "--subnet", "fd98:1::/64", "lan"];
    engine.text(&[&create[..], &ranges].concat())?;
    engine.text(&[&create[..4], &["--subnet", "10.98.2.0/24", "more"]].concat())?;
    let options = ["--name", "web", "--network", "lan", "--ip6", "fd98:1::5"];
    serve(&engine, &[&options[..], &["-p", "127.0.0.1::80"]].concat())?;
    let run = ["run", "-d", "--name", "box", "--network", "lan", "busybox", "sleep", "1000"];
    engine.text(&run)?;
    let exec = |engine: &TestEngine, name: &str, script: &str| {
        engine.text(&["exec", name, "sh", "-c", script])
    };
    assert_eq!(exec(&engine, "box", "wget -q -O - http://web/")?, "found");
    assert_eq!(exec(&engine, "box", "wget -q -O - http://[fd98:1::5]/")?, "found");
    let address = engine.text(&["port", "web", "80"])?;
    assert_eq!(page(&address)?, "found");
    exec(&engine, "box", &format!("nc {} 7 < /dev/null", Outside::THERE))?;
    assert_eq!(outside.caller()?.ip(), Outside::HERE);

    // A spare card goes onto the second one while the machines run.
    engine.text(&["network", "connect", "--ip", "10.98.2.7", "more", "web"])?;
    engine.text(&["network", "connect", "more", "box"])?;
    assert_eq!(exec(&engine, "box", "wget -q -O - http://10.98.2.7/")?, "found");

    engine.kill()?;
    assert_eq!(page(&address)?, "found", "it needs no engine");
    engine.resume()?;
    assert_eq!(exec(&engine, "box", "wget -q -O - http://web/")?, "found");
    engine.text(&["network", "disconnect", "lan", "web"])?;
    assert_eq!(page(&address)?, "found", "its port leads through the other network now");
    engine.text(&["network", "disconnect", "more", "web"])?;
    ensure!(page(&address).is_err(), "its port leads nowhere");

    engine.text(&["rm", "-f", "web", "box"])?;
    engine.text(&["network", "rm", "lan", "more"])?;
    assert_eq!(sh("nft list tables")?, "");
    assert_eq!(sh("ip -o link | grep -c bh || true")?, "0");
    Ok(())
}
