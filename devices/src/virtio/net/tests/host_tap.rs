//! Pairs over a real tap, with the host's kernel at its other end. These need `/dev/net/tun`,
//! CAP_NET_ADMIN and the program `ip`, and fail without.

use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use super::*;
use crate::net::tap::Tap;

const GUEST_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Header flag: the checksum is partial.
const NEEDS_CSUM: u8 = 1;
/// Segmentation type: a train of UDP datagrams.
const UDP_TRAIN: u8 = 5;

/// A rig whose backend is a tap that is up, in a network of its own within 198.18.0.0/15 (RFC
/// 2544: for tests).
struct TapRig {
    rig: Rig,
    tap: Arc<Tap>,
    name: String,
    host: [u8; 4],
    guest: [u8; 4],
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().expect("ip runs");
    assert!(status.success(), "ip {arguments}");
}

impl TapRig {
    /// `test` tells the networks of one process apart, below 64.
    fn new(test: u8) -> Self {
        let process = std::process::id();
        let name = format!("bhn{test}-{}", process % 1_000_000);
        let net = [198, 18, process as u8, test << 2];
        let (host, guest) = ([198, 18, net[2], net[3] | 1], [198, 18, net[2], net[3] | 2]);
        let tap = Arc::new(Tap::open(&name, 1).unwrap().remove(0));
        // The kernel's own chatter would come between.
        std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1").unwrap();
        let dotted = |a: [u8; 4]| std::net::Ipv4Addr::from(a).to_string();
        ip(&format!("addr add {}/30 dev {name}", dotted(host)));
        ip(&format!("link set {name} up"));
        ip(&format!("neigh replace {} lladdr 02:00:00:00:00:01 dev {name}", dotted(guest)));
        let (_, unused) = SocketBackend::pair();
        let mut rig = Rig::over(tap.clone(), unused, LARGE, Parts::default());
        for i in 0..32 {
            rig.offer(DATA + 0x1000 * i, 4096);
        }
        rig.start();
        Self { rig, tap, name, host, guest }
    }

    fn socket(&self) -> UdpSocket {
        let socket = UdpSocket::bind((std::net::Ipv4Addr::from(self.host), 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket
    }

    /// A UDP datagram of the guest to `port` of the host, its checksum partial.
    fn datagram(&self, port: u16, payload: &[u8]) -> Vec<u8> {
        let mac = std::fs::read_to_string(format!("/sys/class/net/{}/address", self.name)).unwrap();
        let mut frame: Vec<u8> =
            mac.trim().split(':').map(|b| u8::from_str_radix(b, 16).unwrap()).collect();
        frame.extend(GUEST_MAC);
        frame.extend([8, 0]);
        let udp_len = 8 + payload.len() as u16;
        let mut header = [0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0].to_vec();
        header.extend(self.guest);
        header.extend(self.host);
        header[2..4].copy_from_slice(&(20 + udp_len).to_be_bytes());
        let sum = !ones_sum(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        frame.extend(&header);
        let pseudo = [&self.guest[..], &self.host, &[0, 17], &udp_len.to_be_bytes()].concat();
        frame.extend(1234u16.to_be_bytes());
        frame.extend(port.to_be_bytes());
        frame.extend(udp_len.to_be_bytes());
        frame.extend(ones_sum(&pseudo).to_be_bytes());
        frame.extend(payload);
        frame
    }

    /// What the guest received, of 4096-byte buffers in order: header and frame.
    fn received(&mut self) -> Vec<Vec<u8>> {
        let used = self.rig.rx.used();
        used.into_iter()
            .map(|(head, len)| self.rig.rx.read(DATA + 0x1000 * u64::from(head), len as usize))
            .collect()
    }
}

/// The sum of 16-bit words that Internet checksums are made of (RFC 1071).
fn ones_sum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1]));
    let sum: u32 = words.sum();
    ((sum & 0xffff) + (sum >> 16)) as u16
}

fn partial_checksum() -> NetHeader {
    NetHeader { flags: NEEDS_CSUM, csum_start: [34, 0], csum_offset: [6, 0], ..Default::default() }
}

#[test]
fn host_completes_the_checksum_of_a_guests_datagram() {
    let mut host = TapRig::new(1);
    let socket = host.socket();
    let frame = host.datagram(socket.local_addr().unwrap().port(), b"hello host");
    let head = host.rig.transmit(DATA + 0x10_0000, partial_checksum(), &frame);
    host.rig.kick_tx();
    let mut data = [0; 64];
    let (len, _) = socket.recv_from(&mut data).unwrap();
    assert_eq!(&data[..len], b"hello host");
    assert_eq!(host.rig.tx.used(), [(head, 0)]);
}

#[test]
fn host_takes_a_train_of_datagrams_apart() {
    let mut host = TapRig::new(2);
    if !host.tap.supported_offloads().contains(Offloads::USO4) {
        eprintln!("skipped: this kernel's taps know no UDP segmentation (Linux 6.2)");
        return;
    }
    let socket = host.socket();
    let payload: Vec<u8> = (0..2500).map(|i| i as u8).collect();
    let frame = host.datagram(socket.local_addr().unwrap().port(), &payload);
    let header = NetHeader {
        gso_type: UDP_TRAIN,
        gso_size: 1000u16.to_le_bytes(),
        hdr_len: 42u16.to_le_bytes(),
        ..partial_checksum()
    };
    host.rig.transmit(DATA + 0x10_0000, header, &frame);
    host.rig.kick_tx();
    let mut data = [0; 4000];
    let sizes: Vec<usize> = (0..3).map(|_| socket.recv_from(&mut data).unwrap().0).collect();
    assert_eq!(sizes, [1000, 1000, 500]);
}

#[test]
fn host_leaves_the_checksum_to_a_guest_that_offered() {
    let mut host = TapRig::new(3);
    host.rig.handler.set_offloads(Offloads::CSUM).unwrap();
    let to = (std::net::Ipv4Addr::from(host.guest), 4321);
    host.socket().send_to(b"hello guest", to).unwrap();
    host.rig.wait();
    let frame = host.received().remove(0);
    assert_eq!((frame[0], &frame[10..12]), (NEEDS_CSUM, &[1, 0][..]));
    assert_eq!(&frame[12..18], GUEST_MAC);
    assert!(frame.ends_with(b"hello guest"));
}

#[test]
fn host_completes_the_checksum_for_a_guest_that_did_not_offer() {
    let mut host = TapRig::new(4);
    let to = (std::net::Ipv4Addr::from(host.guest), 4321);
    host.socket().send_to(b"hello guest", to).unwrap();
    host.rig.wait();
    let frame = host.received().remove(0);
    assert_eq!((frame[0], frame[1]), (0, 0));
    assert!(frame.ends_with(b"hello guest"));
}

#[test]
fn deleted_host_tap_costs_no_events_and_swallows_frames() {
    let mut host = TapRig::new(5);
    ip(&format!("link del {}", host.name));
    host.rig.settle();
    let head = host.rig.transmit(DATA + 0x10_0000, NetHeader::default(), &frame(60, 1));
    host.rig.kick_tx();
    assert_eq!(host.rig.tx.used(), [(head, 0)]);
    assert_eq!(host.rig.metrics.tx_dropped.get(), 1);
    assert_eq!(host.rig.event_loop.turn(&mut host.rig.handler, 50).unwrap(), 0);
}
