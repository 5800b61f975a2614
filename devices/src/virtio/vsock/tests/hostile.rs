//! Packets that no honest guest sends.

use std::io::Read;

use super::guest::{CID, Guest, Stream};
use crate::virtio::fake_driver::{DATA, Part, RAM_SIZE};
use crate::virtio::vsock::packet::{HEADER_LEN, Header, Key, Op, Shutdown};
use zerocopy::IntoBytes;

fn stranger() -> Stream {
    Stream::new(Key { guest_port: 5, host_port: 6 })
}

/// Sends a packet of no connection and returns what comes back.
fn answer_to(header: Header) -> Option<Header> {
    let mut guest = Guest::new();
    guest.post_many(2, 0);
    guest.send(&header, &[]);
    assert_eq!(guest.handler.connections(), 0);
    let answer = guest.next().map(|p| p.header);
    assert!(guest.next().is_none());
    answer
}

#[test]
fn data_of_no_connection_are_reset() {
    let reset = answer_to(stranger().header(Op::Data)).unwrap();
    assert_eq!(reset.op.get(), Op::Reset as u16);
    assert_eq!((reset.src_port.get(), reset.dst_port.get()), (6, 5));
    assert_eq!((reset.src_cid.get(), reset.dst_cid.get()), (2, CID));
}

#[test]
fn reset_of_no_connection_is_ignored() {
    assert_eq!(answer_to(stranger().header(Op::Reset)), None);
}

#[test]
fn forged_source_is_reset() {
    let header = Header { src_cid: 3.into(), ..stranger().header(Op::Request) };
    assert_eq!(answer_to(header).unwrap().op.get(), Op::Reset as u16);
}

#[test]
fn destination_other_than_the_host_is_reset_in_its_name() {
    let header = Header { dst_cid: 3.into(), ..stranger().header(Op::Request) };
    let reset = answer_to(header).unwrap();
    assert_eq!((reset.op.get(), reset.src_cid.get()), (Op::Reset as u16, 3));
}

#[test]
fn unknown_type_is_reset_with_that_type() {
    let header = Header { kind: 2.into(), ..stranger().header(Op::Request) };
    let reset = answer_to(header).unwrap();
    assert_eq!((reset.op.get(), reset.kind.get()), (Op::Reset as u16, 2));
}

#[test]
fn unknown_operations_are_reset() {
    for op in [0, 8, u16::MAX] {
        let header = Header { op: op.into(), ..stranger().header(Op::Request) };
        assert_eq!(answer_to(header).unwrap().op.get(), Op::Reset as u16, "{op}");
    }
}

/// Sends a packet to an open connection, which must end it with a reset.
fn assert_ends(make: impl FnOnce(&mut Stream) -> (Header, Vec<u8>)) {
    let mut guest = Guest::new();
    let (mut stream, mut host) = guest.connect(52);
    guest.post_many(2, 0);
    let (header, data) = make(&mut stream);
    guest.send(&header, &data);
    assert_eq!(guest.expect(Op::Reset).key(), stream.key);
    assert_eq!(guest.handler.connections(), 0);
    assert_eq!(guest.handler.metrics().violations.get(), 1);
    assert_eq!(host.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn length_beyond_the_chain_ends_the_connection() {
    assert_ends(|s| (Header { len: 101.into(), ..s.header(Op::Data) }, vec![0; 100]));
    assert_ends(|s| (Header { len: u32::MAX.into(), ..s.header(Op::Data) }, vec![0; 100]));
}

#[test]
fn second_request_ends_the_connection() {
    assert_ends(|s| (s.header(Op::Request), vec![]));
}

#[test]
fn response_to_no_request_ends_the_connection() {
    assert_ends(|s| (s.header(Op::Response), vec![]));
}

#[test]
fn chain_longer_than_its_packet_is_cut() {
    let mut guest = Guest::new();
    let (stream, mut host) = guest.connect(52);
    let header = Header { len: 3.into(), ..stream.header(Op::Data) };
    guest.send(&header, b"abcdef");
    host.set_nonblocking(true).unwrap();
    let mut seen = [0; 6];
    assert_eq!(host.read(&mut seen).unwrap(), 3);
    assert_eq!(&seen[..3], b"abc");
}

#[test]
fn data_beyond_the_window_end_the_connection() {
    let mut guest = Guest::new();
    let (mut stream, host) = guest.connect(52);
    guest.post_many(30, 0);
    // The host program reads nothing: its socket takes some, the window the rest, and no more.
    let chunk = vec![7; 64 << 10];
    for _ in 0..64 {
        guest.send(&stream.data(&chunk), &chunk);
    }
    assert!(guest.inbox.iter().any(|p| p.op() == Op::Reset));
    assert_eq!(guest.handler.connections(), 0);
    drop(host);
}

#[test]
fn data_after_the_end_of_sending_end_the_connection() {
    let mut guest = Guest::new();
    let (mut stream, _host) = guest.connect(52);
    guest.post_many(2, 0);
    guest.send(&stream.shutdown(Shutdown::SEND), &[]);
    guest.send(&stream.data(b"x"), b"x");
    guest.expect(Op::Reset);
}

#[test]
fn chain_shorter_than_a_header_is_dropped_and_counted() {
    let mut guest = Guest::new();
    guest.post(0);
    guest.tx.add(&[Part::Read(DATA, HEADER_LEN as u32 - 1)]);
    guest.tx.add(&[Part::Write(DATA, 100)]);
    guest.tx.kick.write(1).unwrap();
    guest.run();
    assert_eq!(guest.tx.used().len(), 2);
    assert_eq!(guest.tx.metrics.malformed.get(), 2);
    assert!(guest.next().is_none());
}

#[test]
fn header_outside_memory_is_dropped_and_counted() {
    let mut guest = Guest::new();
    guest.tx.add(&[Part::Read(RAM_SIZE as u64 - 10, HEADER_LEN as u32)]);
    guest.tx.kick.write(1).unwrap();
    guest.run();
    assert_eq!(guest.tx.used().len(), 1);
    assert_eq!(guest.tx.metrics.malformed.get(), 1);
}

#[test]
fn data_outside_memory_end_the_connection() {
    let mut guest = Guest::new();
    let (mut stream, _host) = guest.connect(52);
    guest.post(0);
    let header = stream.data(&[0; 100]);
    guest.tx.write(DATA, header.as_bytes());
    guest.tx.add(&[Part::Read(DATA, HEADER_LEN as u32), Part::Read(RAM_SIZE as u64, 100)]);
    guest.tx.kick.write(1).unwrap();
    guest.run();
    guest.expect(Op::Reset);
}

#[test]
fn absurd_credit_sends_nothing_and_does_no_harm() {
    let mut guest = Guest::new();
    let (stream, mut host) = guest.accept(7);
    let absurd =
        Header { fwd_cnt: 5.into(), buf_alloc: 1.into(), ..stream.header(Op::CreditUpdate) };
    guest.send(&absurd, &[]);
    std::io::Write::write_all(&mut host, b"hello").unwrap();
    guest.run_with_room();
    guest.expect(Op::CreditRequest);
    assert!(guest.next().is_none());
    guest.send(&stream.header(Op::CreditUpdate), &[]);
    assert_eq!(guest.expect(Op::Data).data, b"hello");
}

#[test]
fn malformed_chain_among_the_receive_buffers_does_not_upset_the_others() {
    let mut guest = Guest::new();
    let (stream, mut host) = guest.accept(7);
    // Teaches the device to offer several buffers to a read.
    guest.post_many(8, 10);
    std::io::Write::write_all(&mut host, &[1; 80]).unwrap();
    guest.run();
    guest.inbox.clear();
    guest.send(&stream.header(Op::CreditUpdate), &[]);
    let good = |guest: &mut Guest, at: u64| guest.rx.add(&[Part::Write(DATA + at, 144)]);
    let first = good(&mut guest, 0);
    let bad = guest.rx.add(&[Part::Write(DATA, 100), Part::Read(DATA, 100)]);
    let second = good(&mut guest, 0x1000);
    guest.rx.kick.write(1).unwrap();
    std::io::Write::write_all(&mut host, b"hello").unwrap();
    while guest.events.turn(&mut guest.handler, 0).unwrap() > 0 {}
    let mut used = guest.rx.used();
    used.sort_unstable();
    assert_eq!(used, [(first, 49), (bad, 0), (second, 0)], "each comes back once");
    assert_eq!(guest.rx.read(DATA + 44, 5), b"hello");
}
