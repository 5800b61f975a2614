//! In network namespaces of their own, where a container is one end of a cable whose other end has
//! a tap's name.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};
use switch::control::Protocol;

use super::super::model::{Attachment, Member, Network, Publication};
use super::super::request::{Request, SubnetRequest};
use super::*;

/// How long a packet may take that is to arrive.
const ARRIVES: Duration = Duration::from_secs(10);
/// How long one is waited for that is not to arrive.
const LOST: Duration = Duration::from_millis(700);

/// An engine's view of two networks with a container each, in a namespace of its own.
struct Fixture {
    kernel: Kernel,
    state: State,
    /// The namespaces of the containers.
    names: Vec<String>,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Whether this can be tried here. Nothing is left to the thread but the new namespace.
fn isolated() -> bool {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: this takes root");
        return false;
    }
    let tools = Command::new("nft").arg("-v").output().and(Command::new("ip").output());
    tools.expect("nftables and iproute2 are needed: scripts/setup test");
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    sh("ip link set lo up");
    true
}

fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

fn network(id: String, third: u8, internal: bool) -> Network {
    let subnets = [format!("10.97.{third}.0/24"), format!("fd97:{third}::/64")];
    let subnets = subnets.map(|subnet| SubnetRequest { subnet, ..SubnetRequest::default() });
    let request = Request {
        name: format!("net{third}"),
        driver: "kernel-bridge".to_owned(),
        subnets: subnets.to_vec(),
        ipv6: true,
        internal,
        ..Request::default()
    };
    Network { id, ..request.into_network(&[]).unwrap() }
}

fn member(network: &Network, last: u8) -> Member {
    let attachment = Attachment {
        network: network.id.clone(),
        endpoint: String::new(),
        slot: 0,
        mac: format!("02:00:00:00:00:{last:02x}").parse().unwrap(),
        addresses: network.subnets.iter().map(|subnet| nth(subnet.gateway, last)).collect(),
        names: Vec::new(),
        dns: Vec::new(),
    };
    Member { name: "c".to_owned(), attachments: vec![attachment], publications: Vec::new() }
}

/// The address of a container in the network of a gateway.
fn nth(gateway: IpAddr, last: u8) -> IpAddr {
    match gateway {
        IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() - 1 + u32::from(last)).into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() - 1 + u128::from(last)).into(),
    }
}

impl Fixture {
    /// Networks 1 and 2, of which the second may be internal, with the containers `a` and `b`.
    async fn new(internal: bool) -> Self {
        let networks = [network(id('1'), 1, false), network(id('2'), 2, internal)];
        let members = [(id('a'), member(&networks[0], 5)), (id('b'), member(&networks[1], 6))];
        let networks = networks.map(|network| (network.id.clone(), network));
        let state = State::new(networks.to_vec(), members.to_vec());
        let mut this = Self { kernel: Kernel::new("0123456789"), state, names: Vec::new() };
        this.kernel.settle(&this.state).await.unwrap();
        this.cable('a', 1, 5);
        this.cable('b', 2, 6);
        this.kernel.settle(&this.state).await.unwrap();
        this
    }

    fn space(digit: char) -> String {
        format!("bht{}{digit}", std::process::id())
    }

    /// Makes the card of a container, as a machine's monitor would.
    fn cable(&mut self, digit: char, third: u8, last: u8) {
        let (space, tap) = (Self::space(digit), tap_name(&id(digit), 0));
        sh(&format!(
            "ip netns add {space}; \
             ip link add {tap} type veth peer name eth0 address 02:00:00:00:00:{last:02x} \
                 netns {space}; \
             ip -n {space} link set lo up; ip -n {space} link set eth0 up; \
             ip -n {space} addr add 10.97.{third}.{last}/24 dev eth0; \
             ip -n {space} addr add fd97:{third}::{last}/64 dev eth0 nodad; \
             ip -n {space} route add default via 10.97.{third}.1; \
             ip -n {space} -6 route add default via fd97:{third}::1"
        ));
        self.names.push(space);
    }

    fn publish(&mut self, digit: char, address: &str, host_port: u16) {
        let host_address = address.parse().unwrap();
        let publication =
            Publication { container_port: 80, protocol: Protocol::Tcp, host_address, host_port };
        self.state.members.get_mut(&id(digit)).unwrap().publications.push(publication);
    }
}

/// Does something in a container.
fn within<T: Send + 'static>(digit: char, act: impl FnOnce() -> T + Send + 'static) -> T {
    let path = format!("/run/netns/{}", Fixture::space(digit));
    let thread = std::thread::spawn(move || {
        setns(std::fs::File::open(path).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
        act()
    });
    thread.join().unwrap()
}

/// A server in a container that tells its callers what address they come from.
fn serve(digit: char, address: &str) {
    let address: SocketAddr = address.parse().unwrap();
    let listener = within(digit, move || TcpListener::bind(address).unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let caller = stream.peer_addr().unwrap().ip();
            let _ = stream.write_all(caller.to_string().as_bytes());
        }
    });
}

/// What the server at an address answers; nothing if it cannot be reached.
fn call(address: &str, patience: Duration) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address.parse().unwrap(), patience).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[tokio::test]
async fn published_ports_lead_to_containers_from_the_host_and_from_each_other() {
    if !isolated() {
        return;
    }
    let mut fixture = Fixture::new(false).await;
    sh("ip addr add 192.0.2.9/32 dev lo");
    fixture.publish('a', "0.0.0.0", 8080);
    fixture.publish('a', "127.0.0.1", 8081);
    fixture.kernel.settle(&fixture.state).await.unwrap();
    serve('a', "10.97.1.5:80");
    // The host itself, by its loopback address and by another.
    assert_eq!(call("127.0.0.1:8080", ARRIVES).as_deref(), Some("10.97.1.1"));
    assert_eq!(call("127.0.0.1:8081", ARRIVES).as_deref(), Some("10.97.1.1"));
    assert!(call("192.0.2.9:8080", ARRIVES).is_some());
    // A container of another network comes by the port, under the gateway's address; none by the
    // address.
    let by_port = || call("192.0.2.9:8080", ARRIVES);
    assert_eq!(within('b', by_port).as_deref(), Some("10.97.1.1"));
    // Where the bridge itself passes packets through the rules, it does not send one back to where
    // it came from.
    let bridged = std::fs::read_to_string("/proc/sys/net/bridge/bridge-nf-call-iptables");
    if bridged.is_ok_and(|value| value.trim() == "1") {
        assert_eq!(within('a', || call("192.0.2.9:8080", LOST)), None);
    } else {
        assert_eq!(within('a', by_port).as_deref(), Some("10.97.1.1"));
    }
    assert_eq!(within('b', || call("10.97.1.5:80", LOST)), None);
    // What is published at the loopback address is for the host alone.
    assert_eq!(within('b', || call("192.0.2.9:8081", LOST)), None);
    let taken = TcpListener::bind("127.0.0.1:8081").unwrap_err();
    assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    fixture.state.members.get_mut(&id('a')).unwrap().publications.clear();
    fixture.kernel.settle(&fixture.state).await.unwrap();
    assert_eq!(call("127.0.0.1:8080", LOST), None);
    assert!(TcpListener::bind("127.0.0.1:8081").is_ok());
}

#[tokio::test]
async fn ipv6_is_forwarded_and_kept_apart_too() {
    if !isolated() {
        return;
    }
    let mut fixture = Fixture::new(false).await;
    sh("ip addr add 2001:db8::9/128 dev lo nodad");
    fixture.publish('a', "::", 8080);
    fixture.kernel.settle(&fixture.state).await.unwrap();
    serve('a', "[fd97:1::5]:80");
    assert!(call("[2001:db8::9]:8080", ARRIVES).is_some());
    let by_port = || call("[2001:db8::9]:8080", ARRIVES);
    assert_eq!(within('b', by_port).as_deref(), Some("fd97:1::1"));
    assert_eq!(within('b', || call("[fd97:1::5]:80", LOST)), None);
}

#[tokio::test]
async fn internal_network_reaches_nothing_and_is_not_reached() {
    if !isolated() {
        return;
    }
    let fixture = Fixture::new(true).await;
    serve('b', "10.97.2.6:80");
    let host = TcpListener::bind("10.97.2.1:7000").unwrap();
    let other = TcpListener::bind("10.97.1.1:7000").unwrap();
    serve('a', "10.97.1.5:80");
    for closed in ["10.97.1.5:80", "10.97.1.1:7000", "10.97.2.1:7000"] {
        assert_eq!(within('b', move || call(closed, LOST)), None, "{closed}");
    }
    assert_eq!(within('a', || call("10.97.2.6:80", LOST)), None);
    // The other network's host side is open, so that the test can tell.
    let reached = within('a', || {
        TcpStream::connect_timeout(&"10.97.1.1:7000".parse().unwrap(), ARRIVES).is_ok()
    });
    assert!(reached);
    drop((host, other, fixture));
}

#[tokio::test]
async fn cards_speak_from_their_own_addresses_only() {
    if !isolated() {
        return;
    }
    let fixture = Fixture::new(false).await;
    let space = Fixture::space('a');
    let host = TcpListener::bind("10.97.1.1:7000").unwrap();
    let reaches = |patience| {
        let to = "10.97.1.1:7000".parse().unwrap();
        within('a', move || TcpStream::connect_timeout(&to, patience).is_ok())
    };
    assert!(reaches(ARRIVES));
    sh(&format!(
        "ip -n {space} addr del 10.97.1.5/24 dev eth0; ip -n {space} addr add 10.97.1.7/24 dev eth0"
    ));
    assert!(!reaches(LOST), "with the address of another");
    sh(&format!(
        "ip -n {space} addr del 10.97.1.7/24 dev eth0; ip -n {space} addr add 10.97.1.5/24 dev eth0"
    ));
    assert!(reaches(ARRIVES));
    sh(&format!("ip -n {space} link set eth0 address 02:00:00:00:00:77"));
    assert!(!reaches(LOST), "with the card of another");
    drop((host, fixture));
}

#[tokio::test]
async fn links_that_others_change_come_back_and_orphans_go() {
    if !isolated() {
        return;
    }
    let mut fixture = Fixture::new(false).await;
    sh("nft add table inet strangers; ip link add stranger type bridge");
    let tap = tap_name(&id('a'), 0);
    let changes = fixture.kernel.changes();
    sh(&format!("ip link set {tap} down nomaster"));
    tokio::time::timeout(ARRIVES, changes.notified()).await.unwrap();
    fixture.kernel.settle(&fixture.state).await.unwrap();
    serve('a', "10.97.1.5:80");
    assert!(call("10.97.1.5:80", ARRIVES).is_some());
    sh("ip link del bhb2222222222");
    fixture.kernel.settle(&fixture.state).await.unwrap();
    sh("ip -o link show bhb2222222222");
    // A tap that is gone is known by its name; the rest stays as it is.
    sh(&format!("ip link del {tap}"));
    fixture.kernel.settle(&fixture.state).await.unwrap();
    let error = fixture.kernel.check_tap(&tap).await.unwrap_err();
    assert!(error.to_string().contains(&tap), "{error}");
    // An engine that was killed meanwhile: the next one knows of one network only, and then none.
    let next = Kernel::new("0123456789");
    fixture.state.networks.remove(&id('1'));
    fixture.state.members.clear();
    next.settle(&fixture.state).await.unwrap();
    let left = sh("ip -o link; nft list ruleset");
    assert!(!left.contains("bhb1111111111") && left.contains("bhb2222222222"), "{left}");
    fixture.state.networks.clear();
    next.settle(&fixture.state).await.unwrap();
    let left = sh("ip -o link; nft list ruleset");
    assert!(!left.contains("bhb") && !left.contains("bulkhead"), "{left}");
    assert!(left.contains("stranger:") && left.contains("table inet strangers"), "{left}");
}
