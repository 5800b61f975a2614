//! A guest with a TCP/IP of its own talks to the service's.

use serde_json::json;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::SocketBuffer;

use super::*;
use crate::mmds::store::Mmds;
use crate::mmds::token::TokenAuthority;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const GUEST: [u8; 6] = [2, 0, 0, 0, 0, 1];

struct Guest {
    stack: Stack,
    interface: Interface,
    wire: GuestWire,
    sockets: SocketSet<'static>,
    now: Instant,
    next_port: u16,
}

/// The guest's card: any number of packets both ways.
#[derive(Default)]
struct GuestWire {
    received: VecDeque<Vec<u8>>,
    sent: VecDeque<Vec<u8>>,
}

impl Device for GuestWire {
    type RxToken<'a> = Received;
    type TxToken<'a> = ToSend<'a>;
    fn receive(&mut self, _at: TcpInstant) -> Option<(Received, ToSend<'_>)> {
        let packet = self.received.pop_front()?;
        Some((Received(packet), ToSend(&mut self.sent)))
    }
    fn transmit(&mut self, _at: TcpInstant) -> Option<ToSend<'_>> {
        Some(ToSend(&mut self.sent))
    }
    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = MTU;
        // Partial checksums, as of a guest that leaves them to the card; answers are verified.
        capabilities.checksum.tcp = Checksum::Rx;
        capabilities
    }
}

impl Guest {
    fn new() -> Self {
        let mut mmds = Mmds::new(200_000, TokenAuthority::new([1; 64], "vm"));
        mmds.put(json!({"name": "bulk", "large": "x".repeat(100_000)})).unwrap();
        let mmds = Arc::new(std::sync::RwLock::new(mmds));
        let stack = Stack::new(ADDRESS, mmds, Arc::default(), 1);
        let mut wire = GuestWire::default();
        let mut interface =
            Interface::new(Config::new(HardwareAddress::Ip), &mut wire, TcpInstant::ZERO);
        interface.update_ip_addrs(|addresses| {
            let cidr = Ipv4Cidr::new(Ipv4Addr::new(192, 168, 7, 2), 0);
            addresses.push(IpCidr::Ipv4(cidr)).unwrap();
        });
        let now = stack.began;
        let sockets = SocketSet::new(Vec::new());
        Self { stack, interface, wire, sockets, now, next_port: 40_000 }
    }

    fn connect(&mut self) -> SocketHandle {
        let buffer = || SocketBuffer::new(vec![0; 32_768]);
        let mut socket = Socket::new(buffer(), buffer());
        self.next_port += 1;
        let remote = (smoltcp::wire::IpAddress::Ipv4(ADDRESS), PORT);
        socket.connect(self.interface.context(), remote, self.next_port).unwrap();
        let handle = self.sockets.add(socket);
        self.settle();
        handle
    }

    fn socket(&mut self, handle: SocketHandle) -> &mut Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// Carries frames both ways until neither side has any.
    fn settle(&mut self) {
        for _ in 0..1000 {
            let at = self.stack.time(self.now);
            self.interface.poll(at, &mut self.wire, &mut self.sockets);
            let mut moved = false;
            while let Some(packet) = self.wire.sent.pop_front() {
                let frame = [&frame::SERVICE_MAC[..], &GUEST, &[8, 0], &packet].concat();
                assert!(frame::is_for(ADDRESS, &frame));
                self.stack.take(&frame, self.now);
                moved = true;
            }
            while let Some(frame) = self.stack.next_frame(self.now) {
                assert!(frame.len() <= 1514);
                assert_eq!(frame[..6], GUEST);
                self.wire.received.push_back(frame[14..].to_vec());
                moved = true;
            }
            if !moved {
                return;
            }
        }
        panic!("guest and service talk for ever");
    }

    fn send(&mut self, handle: SocketHandle, text: &str) {
        assert_eq!(self.socket(handle).send_slice(text.as_bytes()).unwrap(), text.len());
        self.settle();
    }

    fn read(&mut self, handle: SocketHandle) -> String {
        let mut data = Vec::new();
        while self.socket(handle).can_recv() {
            self.socket(handle)
                .recv(|part| {
                    data.extend_from_slice(part);
                    (part.len(), ())
                })
                .unwrap();
            self.settle();
        }
        String::from_utf8(data).unwrap()
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.settle();
    }

    fn ask(&mut self, request: &str) -> String {
        let handle = self.connect();
        self.send(handle, request);
        self.read(handle)
    }
}

#[test]
fn request_is_answered() {
    let answer = Guest::new().ask("GET /name HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nbulk"), "{answer}");
}

#[test]
fn request_in_pieces_is_answered_once_it_is_whole() {
    let mut guest = Guest::new();
    let handle = guest.connect();
    guest.send(handle, "GET /na");
    guest.send(handle, "me HTTP/1.1\r\n");
    assert_eq!(guest.read(handle), "");
    guest.send(handle, "\r\n");
    assert!(guest.read(handle).ends_with("bulk"));
}

#[test]
fn requests_follow_one_another_on_a_connection() {
    let mut guest = Guest::new();
    let handle = guest.connect();
    guest.send(handle, "GET /name HTTP/1.1\r\n\r\nGET /none HTTP/1.1\r\n\r\n");
    let answers = guest.read(handle);
    assert_eq!(answers.matches("HTTP/1.1").count(), 2);
    assert!(answers.ends_with("Resource not found: /none."), "{answers}");
    assert!(guest.socket(handle).may_send());
}

#[test]
fn answer_larger_than_the_buffers_arrives_whole() {
    let answer = Guest::new().ask("GET /large HTTP/1.1\r\nConnection: close\r\n\r\n");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(body.len() == 100_000 && body.bytes().all(|b| b == b'x'));
}

#[test]
fn connection_closes_when_asked_and_leaves_nothing() {
    let mut guest = Guest::new();
    for _ in 0..100 {
        let handle = guest.connect();
        guest.send(handle, "GET /name HTTP/1.0\r\n\r\n");
        assert!(guest.read(handle).ends_with("bulk"));
        assert!(!guest.socket(handle).may_recv());
        guest.socket(handle).close();
        guest.settle();
        guest.sockets.remove(handle);
    }
    assert_eq!(guest.stack.connections.len(), 1);
    assert_eq!(guest.stack.metrics.connections_destroyed.get(), 100);
    assert_eq!(guest.stack.wake_after(guest.now), None);
}

#[test]
fn connections_beyond_the_limit_are_refused_and_the_others_served() {
    let mut guest = Guest::new();
    let handles: Vec<_> = (0..MAX_CONNECTIONS).map(|_| guest.connect()).collect();
    let refused = guest.connect();
    assert_eq!(guest.socket(refused).state(), State::Closed);
    guest.send(handles[0], "GET /name HTTP/1.0\r\n\r\n");
    assert!(guest.read(handles[0]).ends_with("bulk"));
    guest.socket(handles[0]).close();
    guest.settle();
    assert!(guest.ask("GET /name HTTP/1.1\r\n\r\n").ends_with("bulk"));
}

#[test]
fn idle_connection_is_dropped_after_its_time() {
    let mut guest = Guest::new();
    guest.pass(Duration::from_secs(300));
    let handle = guest.connect();
    assert!(guest.stack.wake_after(guest.now).is_some());
    guest.pass(Duration::from_secs(59));
    assert!(guest.socket(handle).is_active());
    guest.pass(Duration::from_secs(2));
    assert!(!guest.socket(handle).is_active());
    assert_eq!(guest.stack.connections.len(), 1);
}

#[test]
fn half_a_request_does_not_keep_a_closed_connection() {
    let mut guest = Guest::new();
    let handle = guest.connect();
    guest.send(handle, "GET /na");
    guest.socket(handle).close();
    guest.settle();
    assert_eq!(guest.stack.connections.len(), 1);
}

#[test]
fn endless_request_is_refused_and_its_connection_closed() {
    let mut guest = Guest::new();
    let handle = guest.connect();
    guest.send(handle, &format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(9000)));
    assert!(guest.read(handle).starts_with("HTTP/1.1 413 "));
    assert!(!guest.socket(handle).may_recv());
}

#[test]
fn nonsense_is_counted_and_harmless() {
    let mut guest = Guest::new();
    let now = guest.now;
    let header = [&frame::SERVICE_MAC[..], &GUEST, &[8, 0]].concat();
    for packet in [&[][..], &[0x45; 20], &[0x4f; 60], &[0x45, 0, 0xff, 0xff, 0, 0, 0, 0, 64, 6]] {
        guest.stack.take(&[&header[..], packet].concat(), now);
    }
    assert!(guest.ask("GET /name HTTP/1.1\r\n\r\n").ends_with("bulk"));
    assert!(guest.stack.metrics.rx_bad_frames.get() > 0);
}

#[test]
fn guest_that_takes_nothing_does_not_grow_the_queues() {
    let mut guest = Guest::new();
    let now = guest.now;
    let mut request = vec![0xff; 6];
    request.extend(GUEST);
    request.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    request.extend([0; 16]);
    request.extend(ADDRESS.octets());
    for _ in 0..10 * MAX_WAITING {
        guest.stack.take(&request, now);
    }
    let answers = std::iter::from_fn(|| guest.stack.next_frame(now)).count();
    assert_eq!(answers, MAX_WAITING);
}
