//! Frames of a card to the switch, DNS messages among them: it survives, and goes on answering.
//! The network is internal, so that nothing reaches the host.
#![no_main]

use std::os::fd::OwnedFd;
use std::time::Duration;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair,
};
use switch::control::{Request, Response};
use switch::{Settings, Switch};

/// The card's Ethernet address, and the gateway's.
const CARD: [u8; 6] = [2, 0, 0, 0, 0, 2];
const GATEWAY: [u8; 6] = [0x06, 0x01, 0x23, 0x45, 0x67, 0x02];
const NAME_SERVER: u16 = 53;

const NETWORK: &str = r#"{"do":"put-network","id":"n","internal":true,"domain":"d","subnets":[
    {"subnet":"10.0.0.0/24","gateway":"10.0.0.1"},{"subnet":"fd00::/64","gateway":"fd00::1"}]}"#;
const PORT: &str = r#"{"do":"put-port","port":"p","network":"n","mac":"02:00:00:00:00:02",
    "addresses":["10.0.0.2","fd00::2"],"names":["web"]}"#;

#[derive(Debug, Arbitrary)]
enum Step {
    /// Any message.
    Message(Vec<u8>),
    /// An Ethernet frame of the card: to the gateway or to all, of a type.
    Frame(bool, u16, Vec<u8>),
    /// An IPv4 packet of the card to the gateway, of a protocol.
    Packet(u8, Vec<u8>),
    /// An IPv6 packet of the card to the gateway, of a protocol.
    PacketV6(u8, Vec<u8>),
    /// A question to the name server.
    Question(Vec<u8>),
}

fn frame(to: [u8; 6], kind: u16, payload: &[u8]) -> Vec<u8> {
    [&[0; 12][..], &to, &CARD, &kind.to_be_bytes(), payload].concat()
}

fn packet(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(60_000)];
    let [l0, l1] = (20 + payload.len() as u16).to_be_bytes();
    let header = [0x45, 0, l0, l1, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1];
    frame(GATEWAY, 0x0800, &[&header, payload].concat())
}

fn packet_v6(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(60_000)];
    let [l0, l1] = (payload.len() as u16).to_be_bytes();
    let mut header = [0; 40];
    header[..8].copy_from_slice(&[0x60, 0, 0, 0, l0, l1, protocol, 64]);
    for (at, last) in [(8, 2), (24, 1)] {
        header[at] = 0xfd;
        header[at + 15] = last;
    }
    frame(GATEWAY, 0x86dd, &[&header, payload].concat())
}

fn question(message: &[u8]) -> Vec<u8> {
    let message = &message[..message.len().min(50_000)];
    let len = 8 + message.len() as u16;
    let ports = [9_999u16, NAME_SERVER, len, 0].map(u16::to_be_bytes).concat();
    packet(17, &[&ports, message].concat())
}

fn put(switch: &mut Switch, request: &str) {
    let request: Request = serde_json::from_str(request).expect("a request");
    assert_eq!(switch.apply(request), Response::Done);
}

/// What the card gets in answer to `message`.
fn exchange(switch: &mut Switch, card: &OwnedFd, message: &[u8]) -> usize {
    // What is too long for the socket goes nowhere.
    let _ = send(card, message, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
    for _ in 0..4 {
        switch.step(Some(Duration::ZERO)).expect("a step");
    }
    let mut buffer = vec![0; 70_000];
    std::iter::from_fn(|| recv(card, &mut buffer[..], RecvFlags::DONTWAIT).ok()).count()
}

fuzz_target!(|steps: Vec<Step>| {
    let mut switch = Switch::new(Settings::default()).expect("a switch");
    put(&mut switch, NETWORK);
    put(&mut switch, PORT);
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (card, end) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).expect("sockets");
    switch.connect_card(end).expect("a card");
    assert_eq!(exchange(&mut switch, &card, b"BHSW\x01\0\0\0p"), 1);
    for step in &steps {
        let message = match step {
            // An empty message is the end of the connection.
            Step::Message(bytes) if bytes.is_empty() => continue,
            Step::Message(bytes) => bytes.clone(),
            Step::Frame(to_all, kind, payload) => {
                frame(if *to_all { [0xff; 6] } else { GATEWAY }, *kind, payload)
            }
            Step::Packet(protocol, payload) => packet(*protocol, payload),
            Step::PacketV6(protocol, payload) => packet_v6(*protocol, payload),
            Step::Question(message) => question(message),
        };
        exchange(&mut switch, &card, &message);
    }
    let web = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03web\0\0\x01\0\x01";
    assert_eq!(exchange(&mut switch, &card, &question(web)), 1, "no answer any more");
});
