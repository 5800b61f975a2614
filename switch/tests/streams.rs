//! Streams between guests and the host: how many packets they take.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use smoltcp::iface::SocketHandle;
use support::guest::{Guest, gateway};
use support::{Rig, v4};
use switch::Settings;

/// A switch whose gateways lead to the loopback interface, a guest, and a connection of the guest
/// to the host, with the host's end.
fn connected() -> (Rig, Guest, SocketHandle, TcpStream) {
    let host_addresses = vec![Ipv4Addr::LOCALHOST.into()];
    let mut rig = Rig::with(Settings { host_addresses, ..Settings::default() });
    rig.network("a", 1);
    let mut guest = Guest::new(rig.card("a", 1, 2, &[]), &[v4(1, 2)]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let handle = guest.connect(SocketAddr::new(gateway(1).into(), port));
    guest.until("connection", |guest| guest.tcp(handle).may_send().then_some(()));
    let (stream, _) = listener.accept().unwrap();
    (rig, guest, handle, stream)
}

#[test]
fn stream_of_a_guest_is_acknowledged_for_several_packets_at_once() {
    let (_rig, mut guest, handle, mut stream) = connected();
    const LEN: usize = 32 << 20;
    let server = std::thread::spawn(move || {
        let mut part = vec![0; 1 << 20];
        let mut left = LEN;
        while left > 0 {
            left -= stream.read(&mut part).unwrap();
        }
    });
    let data = vec![7; 200_000];
    let (mut sent, before) = (0, guest.wire.packets);
    guest.until("whole stream", |guest| {
        let socket = guest.tcp(handle);
        // Nothing but long packets.
        if socket.send_queue() < 60_000 && sent < LEN {
            sent += socket.send_slice(&data[..data.len().min(LEN - sent)]).unwrap();
        }
        (sent == LEN && socket.send_queue() == 0).then_some(())
    });
    server.join().unwrap();
    let (answers, packets) = (guest.wire.packets.0 - before.0, guest.wire.packets.1 - before.1);
    assert!(packets >= LEN / 65_535, "{packets}");
    assert!(answers * 3 < packets * 2, "{answers} answers to {packets} packets");
}

#[test]
fn long_packet_that_nothing_follows_is_acknowledged_before_it_is_sent_again() {
    let (_rig, mut guest, handle, mut stream) = connected();
    let before = guest.wire.packets;
    assert_eq!(guest.tcp(handle).send_slice(&[7; 60_000]), Ok(60_000));
    guest.until("acknowledgement", |guest| (guest.tcp(handle).send_queue() == 0).then_some(()));
    assert_eq!(guest.wire.packets, (before.0 + 1, before.1 + 1));
    stream.read_exact(&mut [0; 60_000]).unwrap();
}
