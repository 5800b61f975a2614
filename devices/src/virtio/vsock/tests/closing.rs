//! How connections end.

use std::io::{Read, Write};
use std::net::Shutdown as How;

use super::guest::{Guest, Stream, pattern};
use crate::virtio::vsock::packet::{Key, Op, Shutdown};

fn read_all(host: &mut std::os::unix::net::UnixStream) -> Vec<u8> {
    let mut seen = Vec::new();
    host.read_to_end(&mut seen).unwrap();
    seen
}

#[test]
fn guest_that_closes_gets_a_reset_and_the_host_program_the_end() {
    let mut guest = Guest::new();
    let (mut stream, mut host) = guest.connect(52);
    guest.post(0);
    guest.send(&stream.data(b"last words"), b"last words");
    guest.send(&stream.shutdown(Shutdown::all()), &[]);
    guest.expect(Op::Reset);
    assert_eq!(read_all(&mut host), b"last words");
    assert_eq!(guest.handler.connections(), 0);
}

#[test]
fn guest_that_ends_sending_still_receives() {
    let mut guest = Guest::new();
    let (mut stream, mut host) = guest.connect(52);
    guest.send(&stream.data(b"question"), b"question");
    guest.send(&stream.shutdown(Shutdown::SEND), &[]);
    assert_eq!(read_all(&mut host), b"question");
    host.write_all(b"answer").unwrap();
    guest.run_with_room();
    assert_eq!(guest.expect(Op::Data).data, b"answer");
}

#[test]
fn guest_that_ends_receiving_still_sends() {
    let mut guest = Guest::new();
    let (mut stream, mut host) = guest.connect(52);
    guest.send(&stream.shutdown(Shutdown::RECEIVE), &[]);
    guest.run_with_room();
    assert_eq!(host.write(b"x").unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
    guest.send(&stream.data(b"still here"), b"still here");
    let mut seen = [0; 10];
    host.read_exact(&mut seen).unwrap();
    assert_eq!(&seen, b"still here");
}

#[test]
fn host_program_that_ends_sending_still_receives() {
    let mut guest = Guest::new();
    let (mut stream, mut host) = guest.accept(7);
    host.write_all(b"question").unwrap();
    host.shutdown(How::Write).unwrap();
    guest.run_with_room();
    assert_eq!(guest.expect(Op::Data).data, b"question");
    let end = guest.expect(Op::Shutdown);
    assert_eq!(end.header.flags.get(), Shutdown::SEND.bits());
    guest.send(&stream.data(b"answer"), b"answer");
    guest.send(&stream.shutdown(Shutdown::all()), &[]);
    assert_eq!(read_all(&mut host), b"answer");
    guest.expect(Op::Reset);
}

#[test]
fn all_data_of_a_host_program_that_left_arrive_before_its_end() {
    let mut guest = Guest::new();
    let (stream, mut host) = guest.accept(7);
    let data = pattern(100_000, 1);
    host.write_all(&data).unwrap();
    drop(host);
    let mut seen = Vec::new();
    let mut ends = Vec::new();
    for _ in 0..10 {
        guest.run_with_room();
        while let Some(packet) = guest.next() {
            match packet.op() {
                Op::Data => seen.extend(packet.data),
                _ => ends.push((packet.op(), packet.header.flags.get(), seen.len())),
            }
        }
    }
    assert!(seen == data);
    assert_eq!(ends.last(), Some(&(Op::Shutdown, Shutdown::all().bits(), data.len())));
    guest.send(&stream.header(Op::Reset), &[]);
    assert_eq!(guest.handler.connections(), 0);
}

#[test]
fn guest_writing_to_a_host_program_that_left_learns_of_it() {
    let mut guest = Guest::new();
    let (mut stream, host) = guest.connect(52);
    guest.post_many(4, 100);
    drop(host);
    guest.send(&stream.data(b"hello?"), b"hello?");
    let flags: Vec<_> = guest.inbox.drain(..).map(|p| (p.op(), p.header.flags.get())).collect();
    assert_eq!(flags.last(), Some(&(Op::Shutdown, Shutdown::all().bits())));
}

#[test]
fn both_ends_of_sending_close_the_connection() {
    let mut guest = Guest::new();
    let (stream, mut host) = guest.connect(52);
    guest.send(&stream.shutdown(Shutdown::SEND), &[]);
    assert!(read_all(&mut host).is_empty());
    host.shutdown(How::Write).unwrap();
    guest.run_with_room();
    let last = guest.inbox.pop_back().unwrap();
    assert_eq!((last.op(), last.header.flags.get()), (Op::Shutdown, Shutdown::all().bits()));
}

#[test]
fn guests_reset_closes_the_host_programs_socket() {
    let mut guest = Guest::new();
    let (stream, mut host) = guest.connect(52);
    guest.send(&stream.header(Op::Reset), &[]);
    assert!(read_all(&mut host).is_empty());
    assert!(guest.next().is_none());
    assert_eq!(guest.handler.connections(), 0);
}

/// Sends until bytes wait for room in the socket; returns all that was sent.
fn fill(guest: &mut Guest, stream: &mut Stream) -> Vec<u8> {
    let mut sent = Vec::new();
    while guest.handler.metrics().socket_full.get() == 0 {
        guest.run_with_room();
        while let Some(packet) = guest.next() {
            stream.hear(&packet.header);
        }
        let data = pattern(16 << 10, sent.len() as u32);
        guest.send(&stream.data(&data), &data);
        sent.extend(data);
    }
    sent
}

/// Reads to the end on another thread while the device runs.
fn drain(guest: &mut Guest, mut host: std::os::unix::net::UnixStream) -> Vec<u8> {
    let reader = std::thread::spawn(move || read_all(&mut host));
    while guest.handler.connections() > 0 {
        guest.wait();
    }
    reader.join().unwrap()
}

#[test]
fn what_the_guest_sent_before_it_closed_arrives_however_late_it_is_read() {
    let mut guest = Guest::new();
    let (mut stream, host) = guest.connect(52);
    let sent = fill(&mut guest, &mut stream);
    guest.inbox.clear();
    guest.send(&stream.shutdown(Shutdown::all()), &[]);
    assert!(guest.inbox.iter().all(|p| p.op() != Op::Reset), "not confirmed yet");
    assert!(drain(&mut guest, host) == sent);
    assert_eq!(guest.inbox.pop_back().unwrap().op(), Op::Reset);
}

#[test]
fn what_the_guest_sent_before_its_reset_arrives_and_its_port_is_free_at_once() {
    let mut guest = Guest::new();
    let (mut stream, host) = guest.connect(52);
    let sent = fill(&mut guest, &mut stream);
    guest.send(&stream.header(Op::Reset), &[]);
    guest.inbox.clear();
    std::fs::remove_file(guest.folder.path().join("v_52")).unwrap();
    let (again, second) = guest.connect(52);
    assert_eq!(again.key, stream.key);
    guest.send(&again.header(Op::Reset), &[]);
    drop(second);
    assert!(drain(&mut guest, host) == sent);
}

#[test]
fn host_program_that_never_reads_is_given_up() {
    let mut guest = Guest::in_a_hurry();
    let (mut stream, host) = guest.connect(52);
    fill(&mut guest, &mut stream);
    guest.send(&stream.shutdown(Shutdown::all()), &[]);
    guest.inbox.clear();
    guest.wait();
    guest.run_with_room();
    guest.expect(Op::Reset);
    assert_eq!(guest.handler.connections(), 0);
    assert_eq!(guest.handler.metrics().timeouts.get(), 1);
    drop(host);
}

#[test]
fn guest_that_never_confirms_is_reset() {
    let mut guest = Guest::in_a_hurry();
    let (_, host) = guest.connect(52);
    guest.post_many(4, 100);
    drop(host);
    guest.run();
    guest.inbox.clear();
    guest.wait();
    guest.expect(Op::Reset);
    assert_eq!(guest.handler.connections(), 0);
}

#[test]
fn host_program_gets_the_end_when_the_guest_refuses() {
    let mut guest = Guest::new();
    let mut host = guest.host_program();
    writeln!(host, "CONNECT 9").unwrap();
    guest.run_with_room();
    let request = guest.expect(Op::Request);
    guest.send(&Stream::new(request.key()).header(Op::Reset), &[]);
    assert!(read_all(&mut host).is_empty());
    assert!(guest.next().is_none());
    assert_eq!(guest.handler.metrics().refused.get(), 1);
}

#[test]
fn host_program_gets_the_end_when_the_guest_does_not_answer() {
    let mut guest = Guest::in_a_hurry();
    let mut host = guest.host_program();
    writeln!(host, "CONNECT 9").unwrap();
    guest.run_with_room();
    guest.expect(Op::Request);
    guest.wait();
    assert!(read_all(&mut host).is_empty());
    guest.expect(Op::Reset);
}

#[test]
fn time_does_not_pass_for_a_paused_guest() {
    let mut guest = Guest::in_a_hurry();
    let mut host = guest.host_program();
    writeln!(host, "CONNECT 9").unwrap();
    guest.run_with_room();
    let request = guest.expect(Op::Request);
    let rx = guest.events.stop_queue(&mut guest.handler, 0).unwrap();
    // The timer goes off, and nothing comes of it.
    assert!(guest.events.turn(&mut guest.handler, 10_000).unwrap() > 0);
    let queue = guest.rx.queue_at(rx);
    guest.events.start_queue(&mut guest.handler, queue).unwrap();
    guest.send(&Stream::new(request.key()).header(Op::Response), &[]);
    let mut line = [0; 3];
    host.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"OK ");
}

#[test]
fn silent_host_program_is_given_up() {
    let mut guest = Guest::in_a_hurry();
    let mut host = guest.host_program();
    guest.run();
    assert_eq!(guest.handler.connections(), 1);
    guest.wait();
    assert!(read_all(&mut host).is_empty());
    assert_eq!(guest.handler.connections(), 0);
}

#[test]
fn host_program_that_leaves_before_the_guest_answered_is_taken_back() {
    let mut guest = Guest::new();
    let mut host = guest.host_program();
    writeln!(host, "CONNECT 9").unwrap();
    guest.run_with_room();
    let request = guest.expect(Op::Request);
    drop(host);
    guest.run();
    guest.expect(Op::Reset);
    guest.send(&Stream::new(request.key()).header(Op::Response), &[]);
    guest.expect(Op::Reset);
    assert_eq!(guest.handler.connections(), 0);
}

#[test]
fn guest_is_refused_where_no_host_program_listens() {
    let mut guest = Guest::new();
    let stream = Stream::new(Key { guest_port: 1, host_port: 99 });
    guest.post(0);
    guest.send(&stream.header(Op::Request), &[]);
    assert_eq!(guest.expect(Op::Reset).key(), stream.key);
    assert_eq!(guest.handler.connections(), 0);
}

#[test]
fn reset_of_the_device_closes_all_sockets_and_host_programs_can_come_again() {
    let mut guest = Guest::new();
    let (_, mut first) = guest.accept(7);
    let mut greeting = guest.host_program();
    guest.run();
    let states = [0, 1, 2].map(|i| guest.events.stop_queue(&mut guest.handler, i).unwrap());
    guest.handler.reset(&mut guest.events.context());
    assert!(read_all(&mut first).is_empty());
    assert!(read_all(&mut greeting).is_empty());
    assert_eq!(guest.handler.connections(), 0);
    let [rx, tx, event] = states;
    for queue in [guest.rx.queue_at(rx), guest.tx.queue_at(tx), guest.event.queue_at(event)] {
        guest.events.start_queue(&mut guest.handler, queue).unwrap();
    }
    guest.accept(8);
}

#[test]
fn guest_is_told_that_its_connections_are_gone() {
    let mut guest = Guest::new();
    let (_, mut host) = guest.accept(7);
    guest.handler.announce_reset(&mut guest.events.context());
    assert!(read_all(&mut host).is_empty());
    assert!(guest.event.used().is_empty());
    let at = guest.post_event();
    guest.event.write(at, &[0xff; 4]);
    guest.run();
    assert_eq!(guest.event.used().len(), 1);
    assert_eq!(guest.event.read(at, 4), [0; 4]);
    guest.post_event();
    guest.run();
    assert!(guest.event.used().is_empty(), "told once");
}
