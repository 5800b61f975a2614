//! Network cards at ports of the user-mode switch.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use switch::client::Client;
use switch::control::{MAX_MTU, Network, Port, Protocol, Publication, Subnet};
use tempfile::TempDir;
use tests::{Kernel, Process, RunningVm, TestVm, pattern, program};
use vm_spec::{Component, NetSpec, SwitchPortSpec};

/// How long the switch may take to begin.
const START_LIMIT: Duration = Duration::from_secs(60);
/// What guests and host exchange.
const BULK: usize = 16 << 20;

/// A switch; killed with this value. Its gateways lead to the loopback interface, as hosts without
/// a network have no other.
struct Switch {
    process: Process,
    client: Client,
    folder: TempDir,
}

impl Switch {
    fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (process, client) = launch(&folder)?;
        Ok(Self { process, client, folder })
    }

    /// Kills it, and starts another in its place, which knows nothing yet.
    fn kill(&mut self) -> anyhow::Result<()> {
        self.process.signal(rustix::process::Signal::KILL)?;
        self.process.wait(START_LIMIT)?;
        Ok(())
    }

    fn start_again(&mut self) -> anyhow::Result<()> {
        (self.process, self.client) = launch(&self.folder)?;
        Ok(())
    }

    fn put_network(&mut self, id: &str, third: u8) -> anyhow::Result<()> {
        let subnet = Subnet {
            subnet: format!("10.9.{third}.0/24").parse()?,
            gateway: Ipv4Addr::new(10, 9, third, 1).into(),
        };
        let network = Network {
            id: id.to_owned(),
            subnets: vec![subnet],
            internal: false,
            isolate_host: false,
            on_host: false,
            mtu: MAX_MTU,
            domain: None,
        };
        Ok(self.client.put_network(network)?)
    }

    /// Puts the port of the machine `name`, at 10.9.THIRD.HOST.
    fn put_port(
        &mut self,
        name: &str,
        network: Option<&str>,
        third: u8,
        host: u8,
    ) -> anyhow::Result<()> {
        let port = Port {
            port: name.to_owned(),
            network: network.map(ToOwned::to_owned),
            mac: format!("02:00:00:00:00:{host:02x}").parse()?,
            addresses: vec![Ipv4Addr::new(10, 9, third, host).into()],
            names: vec![name.to_owned()],
            dns: vec![],
        };
        Ok(self.client.put_port(port)?)
    }

    fn ports(&self) -> PathBuf {
        self.folder.path().join("ports")
    }

    /// Boots a machine at the port `name` with the address 10.9.1.HOST.
    fn boot(&self, name: &str, host: u8) -> anyhow::Result<RunningVm> {
        let mut card = NetSpec::new("port".parse()?);
        card.mac = Some(format!("02:00:00:00:00:{host:02x}").parse()?);
        let port = SwitchPortSpec { socket: self.ports(), port: name.to_owned() };
        let vm = TestVm::new(Kernel::Bulkhead612)?
            .with("eth0", Component::Net(card))?
            .with("port", Component::SwitchPort(port))?
            .boot()?;
        vm.exec(&format!(
            "ip addr add 10.9.1.{host}/24 dev eth0 && ip link set eth0 up && \
             ip route add default via 10.9.1.1"
        ))?;
        Ok(vm)
    }
}

fn launch(folder: &TempDir) -> anyhow::Result<(Process, Client)> {
    let control = folder.path().join("control");
    let process = Process::spawn(
        Command::new(program("bulkhead-switch")?)
            .arg("--control")
            .arg(&control)
            .arg("--ports")
            .arg(folder.path().join("ports"))
            .args(["--host-address", "127.0.0.1"]),
    )?;
    let deadline = Instant::now() + START_LIMIT;
    loop {
        match Client::connect(&control) {
            Ok(client) => return Ok((process, client)),
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => std::thread::yield_now(),
        }
    }
}

fn wait_for_carrier(vm: &RunningVm, carrier: u8) -> anyhow::Result<()> {
    let seen = format!("grep -qx {carrier} /sys/class/net/eth0/carrier");
    vm.exec(&format!("timeout 60 sh -c 'until {seen}; do sleep 0.1; done'"))?;
    Ok(())
}

/// One guest sends the other a file over TCP.
fn send_between(from: &RunningVm, to: &RunningVm, address: &str) -> anyhow::Result<()> {
    from.exec("head -c 16777216 /dev/urandom >/tmp/sent")?;
    // Whoever has nothing to say hangs up at once: the listener's input stays open.
    let listen = "(nc -l -p 5000 >/tmp/received; touch /tmp/done)";
    to.exec(&format!("(tail -f /dev/null | {listen}) >/dev/null 2>&1 &"))?;
    from.exec(&format!(
        "timeout 100 sh -c 'until nc {address} 5000 </tmp/sent; do sleep 0.1; done'"
    ))?;
    to.exec("timeout 60 sh -c 'until [ -e /tmp/done ]; do sleep 0.1; done'")?;
    let sums = (from.exec("md5sum </tmp/sent")?, to.exec("md5sum </tmp/received")?);
    ensure!(sums.0 == sums.1, "what arrived is not what was sent: {sums:?}");
    Ok(())
}

/// The guest fetches from the host through its gateway, and sends it back.
fn exchange_with_the_host(vm: &RunningVm) -> anyhow::Result<()> {
    let content = pattern(BULK);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let returned = std::thread::scope(|scope| {
        let server = scope.spawn(|| {
            let (mut stream, _) = listener.accept()?;
            stream.write_all(&content)?;
            stream.shutdown(Shutdown::Write)?;
            let (mut stream, _) = listener.accept()?;
            let mut returned = Vec::new();
            stream.read_to_end(&mut returned)?;
            anyhow::Ok(returned)
        });
        vm.exec(&format!("nc 10.9.1.1 {port} </dev/null >/tmp/content"))?;
        vm.exec(&format!("nc 10.9.1.1 {port} </tmp/content"))?;
        server.join().ok().context("the server has panicked")?
    })?;
    ensure!(returned == content, "{} bytes came back of {BULK}", returned.len());
    Ok(())
}

/// The host calls the guest through a published port.
fn call_through_a_published_port(switch: &mut Switch, vm: &RunningVm) -> anyhow::Result<()> {
    let port = switch.client.publish(Publication {
        id: "web".to_owned(),
        port: "one".to_owned(),
        protocol: Protocol::Tcp,
        host_address: IpAddr::from(Ipv4Addr::LOCALHOST),
        host_port: 0,
        container_port: 80,
    })?;
    vm.exec("(echo hello | nc -l -p 80) >/dev/null 2>&1 &")?;
    vm.exec("timeout 60 sh -c 'until netstat -ltn | grep -q :80; do sleep 0.1; done'")?;
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(START_LIMIT))?;
    let mut greeting = String::new();
    stream.read_to_string(&mut greeting)?;
    assert_eq!(greeting, "hello\n");
    switch.client.unpublish("web")?;
    ensure!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err(), "it is still published");
    Ok(())
}

#[test]
fn guests_reach_each_other_by_name_and_the_host_both_ways() -> anyhow::Result<()> {
    let mut switch = Switch::start()?;
    switch.put_network("n", 1)?;
    switch.put_port("one", Some("n"), 1, 2)?;
    switch.put_port("two", Some("n"), 1, 3)?;
    let (one, two) = (switch.boot("one", 2)?, switch.boot("two", 3)?);
    assert_eq!(one.exec("cat /sys/class/net/eth0/mtu")?, "65520");
    one.exec("echo nameserver 10.9.1.1 >/etc/resolv.conf")?;
    one.exec("ping -c 2 -W 5 10.9.1.1")?;
    one.exec("ping -c 2 -W 5 10.9.1.3")?;
    let found = one.exec("nslookup two 10.9.1.1")?;
    ensure!(found.contains("10.9.1.3"), "{found}");
    send_between(&one, &two, "10.9.1.3")?;
    exchange_with_the_host(&one)?;
    call_through_a_published_port(&mut switch, &one)
}

#[test]
fn cable_follows_the_port_and_comes_back_with_the_switch() -> anyhow::Result<()> {
    let mut switch = Switch::start()?;
    switch.put_network("n", 1)?;
    switch.put_port("one", None, 1, 2)?;
    let vm = switch.boot("one", 2)?;
    wait_for_carrier(&vm, 0)?;
    switch.put_port("one", Some("n"), 1, 2)?;
    wait_for_carrier(&vm, 1)?;
    vm.exec("ping -c 2 -W 5 10.9.1.1")?;
    switch.kill()?;
    wait_for_carrier(&vm, 0)?;
    switch.start_again()?;
    switch.put_network("n", 1)?;
    switch.put_port("one", Some("n"), 1, 2)?;
    vm.api().set_link("eth0", true)?;
    wait_for_carrier(&vm, 1)?;
    vm.exec("ping -c 2 -W 5 10.9.1.1")?;
    Ok(())
}
