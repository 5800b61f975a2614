//! Against a switch that only remembers what it was told.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::net::IpAddr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::sync::Mutex as SyncMutex;
use std::sync::atomic::{AtomicU32, Ordering};

use switch::control::{self, Fault, FaultKind, Protocol, Published, Response, Status};

use super::*;

/// What was asked, in words.
type Told = Arc<SyncMutex<Vec<String>>>;

struct Fixture {
    root: tempfile::TempDir,
    told: Told,
    /// What the switch says that its process is.
    pid: Arc<AtomicU32>,
    networks: Service,
}

impl Fixture {
    async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let pid = Arc::new(AtomicU32::new(std::process::id()));
        let told = serve(&root, &pid);
        let networks = Self::open(&root).await;
        Self { root, told, pid, networks }
    }

    async fn open(root: &tempfile::TempDir) -> Service {
        let store = Store::open(&root.path().join("engine.redb")).unwrap();
        Service::open(&store, root.path().to_owned(), "test", Bus::new()).await.unwrap()
    }

    /// What was asked since the last time.
    fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.told.lock().unwrap())
    }

    async fn attach(&self, id: &str, slot: u8, network: &str) -> Result<Joined, NetworkError> {
        self.attach_with(id, slot, network, EndpointRequest::default()).await
    }

    async fn attach_with(
        &self,
        id: &str,
        slot: u8,
        network: &str,
        request: EndpointRequest,
    ) -> Result<Joined, NetworkError> {
        let name = format!("name-{id}");
        self.networks.attach(Joining { id, name: &name, slot }, network, &request).await
    }
}

/// A switch in this process, at the place where the service looks for one.
fn serve(root: &tempfile::TempDir, pid: &Arc<AtomicU32>) -> Told {
    let listener = UnixListener::bind(root.path().join("control.sock")).unwrap();
    let told = Told::default();
    let shared = (Arc::clone(&told), Arc::clone(pid));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (told, pid) = shared.clone();
            std::thread::spawn(move || answer(stream.unwrap(), &told, &pid));
        }
    });
    told
}

fn answer(stream: UnixStream, told: &Told, pid: &AtomicU32) {
    let mut ports = HashSet::from([8080]);
    let mut writer = stream.try_clone().unwrap();
    for line in BufReader::new(stream).lines() {
        let Ok(request) = serde_json::from_str(&line.unwrap()) else { return };
        let response = decide(&request, &mut ports, pid.load(Ordering::Relaxed));
        told.lock().unwrap().push(words(&request));
        let _ = writeln!(writer, "{}", serde_json::to_string(&response).unwrap());
    }
}

fn decide(request: &control::Request, ports: &mut HashSet<u16>, pid: u32) -> Response {
    match request {
        control::Request::Status => Response::Status(Box::new(Status { pid, ..Status::default() })),
        control::Request::Publish(p) if p.host_address.is_ipv6() => {
            Response::Published(Published { host_port: p.host_port })
        }
        control::Request::Publish(p) => {
            let host_port = if p.host_port == 0 { 32768 } else { p.host_port };
            if !ports.insert(host_port) {
                let message = format!("{host_port} is in use");
                return Response::Failed(Fault { kind: FaultKind::InUse, message });
            }
            Response::Published(Published { host_port })
        }
        _ => Response::Done,
    }
}

fn words(request: &control::Request) -> String {
    use control::Request::{
        Publish, PutNetwork, PutPort, RemoveNetwork, RemovePort, Shutdown, Status, Unpublish,
    };
    match request {
        PutNetwork(network) => format!("network {}", network.domain.clone().unwrap_or_default()),
        RemoveNetwork(_) => "remove network".to_owned(),
        PutPort(port) => {
            let addresses: Vec<_> = port.addresses.iter().map(IpAddr::to_string).collect();
            format!("port {} {} {}", port.port, addresses.join(","), port.names.join(","))
        }
        RemovePort(port) => format!("remove {}", port.port),
        Publish(p) => format!("publish {} {}:{} {}", p.id, p.host_address, p.host_port, p.port),
        Unpublish(publication) => format!("unpublish {}", publication.id),
        Status => "status".to_owned(),
        Shutdown => "shutdown".to_owned(),
    }
}

fn named(name: &str) -> Request {
    Request { name: name.to_owned(), ..Request::default() }
}

fn with_subnet(name: &str, subnet: &str) -> Request {
    let subnet = SubnetRequest { subnet: subnet.to_owned(), ..SubnetRequest::default() };
    Request { subnets: vec![subnet], ..named(name) }
}

fn port(first: u16, last: u16) -> PortRequest {
    let host_address = Some("127.0.0.1".parse().unwrap());
    PortRequest { container_port: 80, protocol: Protocol::Tcp, host_address, first, last }
}

#[tokio::test]
async fn predefined_networks_are_there_and_keep_their_ids() {
    let fixture = Fixture::new().await;
    let bridge = fixture.networks.find("bridge").await.unwrap();
    let none = fixture.networks.find("none").await.unwrap();
    assert_eq!((bridge.driver.as_str(), none.driver.as_str()), ("bridge", "null"));
    drop(fixture.networks);
    let again = Fixture::open(&fixture.root).await;
    assert_eq!(again.find("default").await.unwrap(), bridge);
    assert_eq!(again.find(&none.id[..7]).await.unwrap(), none);
}

#[tokio::test]
async fn container_gets_an_address_and_the_switch_hears_of_it() {
    let fixture = Fixture::new().await;
    let network = fixture.networks.create(with_subnet("net", "10.7.0.0/24")).await.unwrap();
    let request = EndpointRequest { aliases: vec!["web".into()], ..EndpointRequest::default() };
    let joined = fixture.attach_with("c1", 0, "net", request).await.unwrap();
    let card = joined.card(true);
    assert_eq!(
        (card.addresses[0].as_str(), card.gateways[0].as_str()),
        ("10.7.0.2/24", "10.7.0.1")
    );
    let told = fixture.told();
    assert_eq!(told[told.len() - 2..], ["network net", "port c1-0 10.7.0.2 name-c1,web,c1"]);
    let neighbours = fixture.networks.neighbours(&network.id).await;
    assert_eq!(neighbours[0].container, "c1");
}

#[tokio::test]
async fn network_with_a_container_stays_until_that_is_gone() {
    let fixture = Fixture::new().await;
    fixture.networks.create(named("net")).await.unwrap();
    fixture.attach("c1", 0, "net").await.unwrap();
    let error = fixture.networks.remove("net").await.unwrap_err();
    assert!(matches!(&error, NetworkError::InUse { members, .. } if members.contains("name-c1")));
    fixture.networks.detach_all("c1").await.unwrap();
    fixture.networks.remove("net").await.unwrap();
    assert!(matches!(fixture.networks.find("net").await, Err(NetworkError::NotFound(_))));
}

#[tokio::test]
async fn chosen_address_must_be_free_and_in_a_chosen_subnet() {
    let fixture = Fixture::new().await;
    fixture.networks.create(with_subnet("net", "10.7.0.0/24")).await.unwrap();
    let choose = |text: &str| EndpointRequest {
        addresses: vec![text.parse().unwrap()],
        ..EndpointRequest::default()
    };
    let joined = fixture.attach_with("c1", 0, "net", choose("10.7.0.9")).await.unwrap();
    assert_eq!(joined.attachment.addresses, ["10.7.0.9".parse::<IpAddr>().unwrap()]);
    let twice = fixture.attach_with("c2", 0, "net", choose("10.7.0.9")).await;
    assert!(matches!(twice, Err(NetworkError::AddressInUse(_))));
    for outside in ["10.8.0.1", "10.7.0.1", "fd00::1"] {
        let refused = fixture.attach_with("c2", 0, "net", choose(outside)).await;
        assert!(matches!(refused, Err(NetworkError::Invalid(_))), "{outside}");
    }
    let bridge = fixture.attach_with("c2", 0, "bridge", choose("172.17.0.9")).await.unwrap_err();
    assert!(bridge.to_string().contains("user configured subnets"), "{bridge}");
}

#[tokio::test]
async fn address_that_was_given_back_is_not_given_at_once() {
    let fixture = Fixture::new().await;
    fixture.networks.create(with_subnet("net", "10.7.0.0/24")).await.unwrap();
    let first = fixture.attach("c1", 0, "net").await.unwrap().attachment.addresses;
    fixture.networks.detach_all("c1").await.unwrap();
    let second = fixture.attach("c1", 0, "net").await.unwrap().attachment.addresses;
    assert_ne!(first, second);
}

#[tokio::test]
async fn subnets_do_not_overlap() {
    let fixture = Fixture::new().await;
    fixture.networks.create(with_subnet("one", "10.7.0.0/16")).await.unwrap();
    let refused = fixture.networks.create(with_subnet("two", "10.7.8.0/24")).await;
    assert!(matches!(refused, Err(NetworkError::Overlap)));
    let third = fixture.networks.create(Request { ipv6: true, ..named("three") }).await.unwrap();
    let bridge = fixture.networks.find("bridge").await.unwrap();
    assert_eq!(third.subnets.len(), 2);
    assert_ne!(third.subnets[0].subnet, bridge.subnets[0].subnet);
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused() {
    let fixture = Fixture::new().await;
    for name in ["", "-x", "a/b", "bridge", "host", "none"] {
        assert!(fixture.networks.create(named(name)).await.is_err(), "{name:?}");
    }
    for subnet in ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/31", "x/8", "fd00::/64"] {
        let refused = fixture.networks.create(with_subnet("net", subnet)).await;
        assert!(matches!(refused, Err(NetworkError::Invalid(_))), "{subnet}");
    }
    let overlay = Request { driver: "overlay".to_owned(), ..named("net") };
    let refused = fixture.networks.create(overlay).await;
    assert!(matches!(refused, Err(NetworkError::Unsupported(_))));
    assert!(matches!(fixture.networks.find("host").await, Err(NetworkError::Unsupported(_))));
}

#[tokio::test]
async fn concurrent_creates_of_one_name_make_one_network() {
    let fixture = Fixture::new().await;
    let creating = (0..20).map(|_| fixture.networks.create(named("one")));
    let made = futures_util::future::join_all(creating).await;
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1);
    assert_eq!(fixture.networks.list().await.len(), 3);
}

#[tokio::test]
async fn port_of_a_range_that_is_free_is_published() {
    let fixture = Fixture::new().await;
    fixture.attach("c1", 0, "bridge").await.unwrap();
    let published = fixture.networks.publish("c1", &[port(8080, 8082)]).await.unwrap();
    assert_eq!((published.len(), published[0].host_port), (1, 8081));
    let error = fixture.networks.publish("c1", &[port(8080, 8080)]).await.unwrap_err();
    assert!(
        error.to_string().ends_with("Bind for 127.0.0.1:8080 failed: port is already allocated")
    );
    assert_eq!(fixture.networks.published("c1").await, published);
}

#[tokio::test]
async fn all_addresses_mean_both_families_with_one_number() {
    let fixture = Fixture::new().await;
    fixture.attach("c1", 0, "bridge").await.unwrap();
    let everywhere = PortRequest { host_address: None, ..port(0, 0) };
    let published = fixture.networks.publish("c1", &[everywhere]).await.unwrap();
    let shown: Vec<_> =
        published.iter().map(|p| (p.host_address.to_string(), p.host_port)).collect();
    assert_eq!(shown, [("0.0.0.0".to_owned(), 32768), ("::".to_owned(), 32768)]);
}

#[tokio::test]
async fn ports_that_were_published_end_where_a_later_one_fails() {
    let fixture = Fixture::new().await;
    fixture.attach("c1", 0, "bridge").await.unwrap();
    fixture.told();
    let failed = fixture.networks.publish("c1", &[port(9000, 9000), port(8080, 8080)]).await;
    assert!(matches!(failed, Err(NetworkError::PortInUse { port: 8080, .. })));
    assert_eq!(fixture.told().last().unwrap(), "unpublish c1/0");
    assert!(fixture.networks.published("c1").await.is_empty());
}

#[tokio::test]
async fn internal_network_publishes_nothing() {
    let fixture = Fixture::new().await;
    fixture.networks.create(Request { internal: true, ..named("inner") }).await.unwrap();
    let joined = fixture.attach("c1", 0, "inner").await.unwrap();
    assert!(joined.card(true).gateways.is_empty());
    let published = fixture.networks.publish("c1", &[port(9000, 9000)]).await.unwrap();
    assert!(published.is_empty());
}

#[tokio::test]
async fn publications_move_to_another_network_with_the_container() {
    let fixture = Fixture::new().await;
    fixture.networks.create(named("net")).await.unwrap();
    fixture.attach("c1", 0, "bridge").await.unwrap();
    fixture.networks.publish("c1", &[port(9000, 9000)]).await.unwrap();
    fixture.attach("c1", 1, "net").await.unwrap();
    fixture.told();
    fixture.networks.detach("c1", "bridge").await.unwrap();
    assert_eq!(fixture.told(), ["remove c1-0", "publish c1/0 127.0.0.1:9000 c1-1"]);
}

#[tokio::test]
async fn new_engine_tells_a_switch_everything() {
    let fixture = Fixture::new().await;
    fixture.attach("c1", 0, "bridge").await.unwrap();
    fixture.networks.publish("c1", &[port(9000, 9000)]).await.unwrap();
    let Fixture { root, told, networks, .. } = fixture;
    drop(networks);
    told.lock().unwrap().clear();
    let networks = Fixture::open(&root).await;
    let told = told.lock().unwrap().join("\n");
    assert!(told.starts_with("network bridge\nport c1-0 "), "{told}");
    assert!(told.contains("publish c1/0 127.0.0.1:9000 c1-0"), "{told}");
    assert_eq!(networks.members().await, ["c1"]);
}

#[tokio::test]
async fn switch_in_place_of_one_that_died_is_told_everything_and_that_is_known() {
    let fixture = Fixture::new().await;
    let mut dying = Command::new("sleep").arg("1000").spawn().unwrap();
    fixture.pid.store(dying.id(), Ordering::Relaxed);
    fixture.attach("c1", 0, "bridge").await.unwrap();
    let mut switches = fixture.networks.switches();
    assert_eq!(*switches.borrow_and_update(), Some(dying.id()));
    fixture.told();
    fixture.pid.store(std::process::id(), Ordering::Relaxed);
    dying.kill().unwrap();
    dying.wait().unwrap();
    switches.changed().await.unwrap();
    assert_eq!(*switches.borrow(), Some(std::process::id()));
    let told = fixture.told().join("\n");
    assert!(told.starts_with("network bridge\nport c1-0 "), "{told}");
}

#[tokio::test]
async fn container_is_found_by_its_new_name() {
    let fixture = Fixture::new().await;
    fixture.attach("c1", 0, "bridge").await.unwrap();
    fixture.told();
    fixture.networks.rename("c1", "db").await.unwrap();
    assert!(fixture.told()[0].ends_with(" db,c1"));
}

#[tokio::test]
async fn network_none_gives_nothing_and_asks_no_switch() {
    let fixture = Fixture::new().await;
    let joined = fixture.attach("c1", 0, "none").await.unwrap();
    assert!(joined.card(true).addresses.is_empty());
    fixture.networks.detach("c1", "none").await.unwrap();
    assert!(fixture.told().is_empty());
}
