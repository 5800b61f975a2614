//! Many connections, and bounds on what they take.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use super::guest::{Guest, Stream};
use crate::virtio::vsock::handler::ACCEPT_PAUSE;
use crate::virtio::vsock::packet::{Key, Op};

#[test]
fn guests_connections_beyond_the_cap_are_reset() {
    let mut guest = Guest::with(|config| config.max_connections = 20);
    let listener = guest.listen(52);
    listener.set_nonblocking(true).unwrap();
    let mut programs: Vec<UnixStream> = Vec::new();
    let (mut accepted, mut refused) = (0, 0);
    for guest_port in 0..10_000 {
        guest.run_with_room();
        let stream = Stream::new(Key { guest_port, host_port: 52 });
        guest.send(&stream.header(Op::Request), &[]);
        match guest.next().unwrap().op() {
            Op::Response => accepted += 1,
            Op::Reset => refused += 1,
            other => panic!("{other:?}"),
        }
        programs.extend(listener.accept().ok().map(|(s, _)| s).filter(|_| accepted <= 20));
    }
    assert_eq!((accepted, refused), (20, 9_980));
    assert_eq!(guest.handler.connections(), 20);
    drop(programs);
    guest.run_with_room();
    guest.inbox.clear();
    for guest_port in 0..20 {
        let stream = Stream::new(Key { guest_port, host_port: 52 });
        guest.send(&stream.header(Op::Reset), &[]);
    }
    assert_eq!(guest.handler.connections(), 0);
    let metrics = guest.handler.metrics();
    assert_eq!(metrics.from_guest.get(), metrics.closed.get());
}

#[test]
fn host_programs_beyond_the_cap_are_turned_away() {
    let mut guest = Guest::with(|config| config.max_connections = 3);
    let mut programs: Vec<_> = (0..5).map(|_| guest.host_program()).collect();
    guest.run();
    assert_eq!(guest.handler.connections(), 3);
    for late in &mut programs[3..] {
        assert_eq!(late.read(&mut [0; 1]).unwrap(), 0);
    }
}

#[test]
fn guest_without_receive_buffers_is_held_back_until_it_gives_some() {
    let mut guest = Guest::new();
    let header = Stream::new(Key { guest_port: 1, host_port: 2 }).header(Op::Data);
    for _ in 0..300 {
        guest.send_only(&header, &[]);
    }
    guest.run();
    assert_eq!(packets_taken(&mut guest), 256);
    let mut resets = 0;
    for _ in 0..10 {
        guest.run_with_room();
        while let Some(packet) = guest.next() {
            assert_eq!(packet.op(), Op::Reset);
            resets += 1;
        }
    }
    assert_eq!(resets, 300, "none is lost");
}

/// Packets of the guest that the device has taken, by its own account.
fn packets_taken(guest: &mut Guest) -> u16 {
    let state = guest.events.stop_queue(&mut guest.handler, 1).unwrap();
    guest.events.start_queue(&mut guest.handler, guest.tx.queue_at(state)).unwrap();
    state.next_available
}

#[test]
fn burst_of_connections_of_host_programs_is_served() {
    let mut guest = Guest::new();
    let mut programs: Vec<_> = (0..200).map(|_| guest.host_program()).collect();
    for (i, program) in programs.iter_mut().enumerate() {
        writeln!(program, "CONNECT {i}").unwrap();
    }
    let mut seen = 0;
    while seen < 200 {
        guest.run_with_room();
        let packets: Vec<_> = guest.inbox.drain(..).collect();
        assert!(!packets.is_empty());
        for packet in packets {
            assert_eq!(packet.op(), Op::Request);
            seen += 1;
            guest.send(&Stream::new(packet.key()).header(Op::Response), &[]);
        }
    }
    for program in &mut programs {
        let mut line = [0; 3];
        program.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"OK ");
    }
}

#[test]
fn first_connections_are_granted_more_than_later_ones() {
    let mut guest = Guest::new();
    let _listener = guest.listen(52);
    let mut windows = Vec::new();
    for guest_port in 0..66 {
        guest.run_with_room();
        let stream = Stream::new(Key { guest_port, host_port: 52 });
        guest.send(&stream.header(Op::Request), &[]);
        windows.push(guest.expect(Op::Response).header.buf_alloc.get());
    }
    assert_eq!(windows[63..], [256 << 10, 32 << 10, 32 << 10]);
}

#[test]
fn connections_that_come_and_go_leave_nothing_behind() {
    let mut guest = Guest::new();
    let fds = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    drop(guest.host_program());
    guest.run();
    let before = fds();
    for _ in 0..200 {
        let mut host = guest.host_program();
        writeln!(host, "CONNECT 1").unwrap();
        guest.run_with_room();
        drop(host);
        guest.run_with_room();
        guest.inbox.clear();
    }
    assert_eq!(guest.handler.connections(), 0);
    // Other tests run beside this one.
    assert!(fds() < before + 100, "{} after {before}", fds());
}

#[test]
fn host_programs_wait_while_the_system_has_no_descriptors_and_are_accepted_later() {
    let mut guest = Guest::new();
    let start = Instant::now();
    guest.handler.pause_accepting(&mut guest.events.context());
    let _program = guest.host_program();
    let events = guest.events.turn(&mut guest.handler, 0).unwrap();
    assert!(events == 0 || start.elapsed() >= ACCEPT_PAUSE, "the loop is kept busy");
    guest.wait();
    assert_eq!(guest.handler.connections(), 1);
}

#[test]
fn pause_of_the_guest_does_not_keep_host_programs_out_for_ever() {
    let mut guest = Guest::new();
    guest.handler.pause_accepting(&mut guest.events.context());
    let state = guest.events.stop_queue(&mut guest.handler, 0).unwrap();
    // The timer goes off meanwhile.
    assert!(guest.events.turn(&mut guest.handler, 10_000).unwrap() > 0);
    let queue = guest.rx.queue_at(state);
    guest.events.start_queue(&mut guest.handler, queue).unwrap();
    let _program = guest.host_program();
    guest.wait();
    assert_eq!(guest.handler.connections(), 1);
}
