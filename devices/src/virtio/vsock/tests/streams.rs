//! Data in both directions, credit, and pauses.

use std::io::{ErrorKind, Read, Write};

use super::guest::{GUEST_WINDOW, Guest, Layout, Stream, pattern};
use crate::virtio::event_loop::Handler;
use crate::virtio::fake_driver::Part;
use crate::virtio::vsock::config::RX;
use crate::virtio::vsock::packet::{HEADER_LEN, Op, Shutdown};

/// Sends `data` from the guest in packets of `chunk` bytes; the host program reads all the time.
fn to_host(layout: Layout, chunk: usize, data: &[u8]) -> Vec<u8> {
    let mut guest = Guest::new();
    guest.layout = layout;
    let (mut stream, mut host) = guest.connect(52);
    let reader = std::thread::spawn(move || {
        let mut seen = Vec::new();
        host.read_to_end(&mut seen).map(|_| seen)
    });
    let mut rest = data;
    while !rest.is_empty() {
        guest.run_with_room();
        while let Some(packet) = guest.next() {
            assert_eq!(packet.op(), Op::CreditUpdate);
            stream.hear(&packet.header);
        }
        let (now, later) = rest.split_at(rest.len().min(chunk).min(stream.credit()));
        if now.is_empty() {
            guest.wait();
            continue;
        }
        guest.send(&stream.data(now), now);
        rest = later;
    }
    guest.run_with_room();
    guest.send(&stream.shutdown(Shutdown::all()), &[]);
    while guest.handler.connections() > 0 {
        guest.wait();
    }
    reader.join().unwrap().unwrap()
}

/// Has the host program send `data`; the guest offers buffers of `room` bytes.
fn to_guest(layout: Layout, room: usize, data: &[u8]) -> Vec<u8> {
    let mut guest = Guest::new();
    guest.layout = layout;
    let (mut stream, mut host) = guest.accept(52);
    let sent = data.to_vec();
    let writer = std::thread::spawn(move || host.write_all(&sent));
    let mut seen = Vec::new();
    let mut announced = 0;
    while seen.len() < data.len() {
        guest.post_many(guest.free_rx(), room);
        if guest.events.turn(&mut guest.handler, 0).unwrap() == 0 && guest.inbox.is_empty() {
            guest.wait();
        }
        guest.run();
        while let Some(packet) = guest.next() {
            if packet.op() == Op::Data {
                assert!(packet.data.len() <= room.min(64 << 10));
                seen.extend(packet.data);
            }
        }
        stream.forwarded = seen.len() as u32;
        if seen.len() - announced >= GUEST_WINDOW as usize / 4 {
            announced = seen.len();
            guest.send(&stream.header(Op::CreditUpdate), &[]);
        }
    }
    writer.join().unwrap().unwrap();
    seen
}

#[test]
fn megabytes_reach_the_host_with_header_and_data_in_one_descriptor() {
    let data = pattern(8 << 20, 1);
    assert!(to_host(Layout::One, 64 << 10, &data) == data);
}

#[test]
fn megabytes_reach_the_host_with_header_and_data_in_two_descriptors() {
    let data = pattern(3 << 20, 2);
    assert!(to_host(Layout::Two, 4096, &data) == data);
}

#[test]
fn megabytes_reach_the_host_with_data_in_pages() {
    let data = pattern(8 << 20, 3);
    assert!(to_host(Layout::Pages, 64 << 10, &data) == data);
}

#[test]
fn megabytes_reach_the_host_with_the_header_cut() {
    let data = pattern(3 << 20, 4);
    assert!(to_host(Layout::Shreds, 33_333, &data) == data);
}

#[test]
fn packets_of_a_few_bytes_reach_the_host() {
    let data = pattern(20_000, 5);
    assert!(to_host(Layout::Two, 7, &data) == data);
}

#[test]
fn megabytes_reach_the_guest_with_header_and_data_in_one_descriptor() {
    let data = pattern(8 << 20, 6);
    assert!(to_guest(Layout::One, 3700, &data) == data);
}

#[test]
fn megabytes_reach_the_guest_with_header_and_data_in_two_descriptors() {
    let data = pattern(8 << 20, 7);
    assert!(to_guest(Layout::Two, 4096, &data) == data);
}

#[test]
fn megabytes_reach_the_guest_in_pages_and_large_packets() {
    let data = pattern(8 << 20, 8);
    assert!(to_guest(Layout::Pages, 100 << 10, &data) == data);
}

#[test]
fn megabytes_reach_the_guest_with_the_header_cut() {
    let data = pattern(3 << 20, 9);
    assert!(to_guest(Layout::Shreds, 10_001, &data) == data);
}

#[test]
fn buffers_of_a_few_bytes_are_filled() {
    let data = pattern(20_000, 10);
    assert!(to_guest(Layout::One, 9, &data) == data);
}

#[test]
fn bytes_after_the_connect_line_reach_the_guest_once_it_accepts() {
    let mut guest = Guest::new();
    let mut host = guest.host_program();
    host.write_all(b"CONNECT 7\nearly").unwrap();
    guest.post_many(2, 100);
    guest.run();
    let request = guest.expect(Op::Request);
    assert!(guest.next().is_none());
    guest.send(&Stream::new(request.key()).header(Op::Response), &[]);
    assert_eq!(guest.expect(Op::Data).data, b"early");
}

#[test]
fn one_read_fills_several_buffers_and_leaves_the_others() {
    let mut guest = Guest::new();
    let (_, mut host) = guest.accept(7);
    guest.post_many(8, 100);
    host.write_all(&pattern(350, 1)).unwrap();
    guest.run();
    let sizes: Vec<_> = guest.inbox.drain(..).map(|p| p.data.len()).collect();
    assert_eq!(sizes, [100, 100, 100, 50]);
    host.write_all(&pattern(120, 1)).unwrap();
    guest.run();
    let sizes: Vec<_> = guest.inbox.drain(..).map(|p| p.data.len()).collect();
    assert_eq!(sizes, [100, 20]);
}

#[test]
fn guest_that_grants_no_more_gets_no_more_and_is_asked_once() {
    let mut guest = Guest::new();
    let (mut stream, mut host) = guest.accept(7);
    stream.window = 1000;
    guest.send(&stream.header(Op::CreditUpdate), &[]);
    host.write_all(&pattern(2500, 1)).unwrap();
    guest.run_with_room();
    assert_eq!(guest.expect(Op::Data).data.len(), 1000);
    guest.expect(Op::CreditRequest);
    host.write_all(b"more").unwrap();
    guest.run_with_room();
    assert!(guest.next().is_none());
    stream.forwarded = 600;
    guest.send(&stream.header(Op::CreditUpdate), &[]);
    assert_eq!(guest.expect(Op::Data).data.len(), 600);
    guest.expect(Op::CreditRequest);
}

#[test]
fn host_program_that_does_not_read_stops_the_guest_at_its_window() {
    let mut guest = Guest::new();
    let (mut stream, mut host) = guest.connect(52);
    let mut sent = Vec::new();
    loop {
        guest.run_with_room();
        while let Some(packet) = guest.next() {
            stream.hear(&packet.header);
        }
        let data = pattern(stream.credit().min(64 << 10), sent.len() as u32);
        if data.is_empty() {
            break;
        }
        guest.send(&stream.data(&data), &data);
        sent.extend(data);
    }
    assert_eq!(guest.handler.metrics().socket_full.get(), 1);
    let mut seen = vec![0; sent.len()];
    let mut done = 0;
    while done < seen.len() {
        done += host.read(&mut seen[done..]).unwrap();
        guest.run_with_room();
    }
    assert!(seen == sent);
    while let Some(packet) = guest.next() {
        assert_eq!(packet.op(), Op::CreditUpdate);
        stream.hear(&packet.header);
    }
    assert!(stream.credit() >= 128 << 10, "the guest may go on");
}

#[test]
fn credit_request_is_answered() {
    let mut guest = Guest::new();
    let (mut stream, _host) = guest.connect(52);
    guest.post(0);
    guest.send(&stream.data(b"abc"), b"abc");
    guest.send(&stream.header(Op::CreditRequest), &[]);
    let update = guest.expect(Op::CreditUpdate);
    assert_eq!(update.header.fwd_cnt.get(), 3);
    assert_eq!(update.header.buf_alloc.get(), 256 << 10);
}

#[test]
fn busy_connection_leaves_turns_to_others() {
    let mut guest = Guest::new();
    let (_, mut busy) = guest.accept(7);
    let (_, mut other) = guest.accept(8);
    busy.write_all(&pattern(100_000, 1)).unwrap();
    guest.run();
    other.write_all(b"hello").unwrap();
    guest.run();
    guest.post_many(16, 4096);
    guest.run();
    let ports: Vec<_> = guest.inbox.iter().map(|p| p.key().guest_port).collect();
    assert_eq!(ports.len(), 16);
    assert!(ports.contains(&8), "{ports:?}");
}

#[test]
fn pause_loses_nothing() {
    let mut guest = Guest::new();
    let (mut stream, mut host) = guest.accept(7);
    guest.post_many(10, 1000);
    host.write_all(&pattern(1500, 1)).unwrap();
    guest.run();
    guest.pause_and_resume();
    host.write_all(&pattern(1500, 2)).unwrap();
    guest.run();
    let seen: Vec<u8> = guest.inbox.drain(..).flat_map(|p| p.data).collect();
    assert!(seen == [pattern(1500, 1), pattern(1500, 2)].concat());
    guest.send(&stream.data(b"ab"), b"ab");
    guest.pause_and_resume();
    guest.send(&stream.data(b"cd"), b"cd");
    let mut data = [0; 4];
    host.read_exact(&mut data).unwrap();
    assert_eq!(&data, b"abcd");
}

#[test]
fn data_that_came_during_a_pause_are_delivered_after_it() {
    let mut guest = Guest::new();
    let (_, mut host) = guest.accept(7);
    guest.post_many(2, 1000);
    let state = guest.events.stop_queue(&mut guest.handler, RX).unwrap();
    host.write_all(b"meanwhile").unwrap();
    guest.run();
    assert!(guest.next().is_none());
    let queue = guest.rx.queue_at(state);
    guest.events.start_queue(&mut guest.handler, queue).unwrap();
    guest.run();
    assert_eq!(guest.expect(Op::Data).data, b"meanwhile");
}

#[test]
fn event_index_asks_for_one_interrupt_per_burst() {
    let mut guest = Guest::new();
    let (_, mut host) = guest.accept(7);
    guest.post_many(20, 100);
    guest.run();
    let before = guest.rx.metrics.interrupts.get();
    host.write_all(&pattern(2000, 1)).unwrap();
    guest.run();
    assert_eq!(guest.inbox.len(), 20);
    assert_eq!(guest.rx.metrics.interrupts.get() - before, 1);
}

#[test]
fn receive_buffer_without_room_comes_back_empty() {
    let mut guest = Guest::new();
    let (_, mut host) = guest.accept(7);
    let short = guest.rx.add(&[Part::Write(crate::virtio::fake_driver::DATA, 43)]);
    guest.rx.add(&[Part::Write(u64::MAX - 100, HEADER_LEN as u32 + 10)]);
    host.write_all(b"hello").unwrap();
    guest.events.turn(&mut guest.handler, 0).unwrap();
    let used = guest.rx.used();
    assert_eq!(used[0], (short, 0));
    assert_eq!(used[1].1, 0);
    guest.post(10);
    guest.run();
    assert_eq!(guest.expect(Op::Data).data, b"hello");
    assert_eq!(guest.rx.metrics.malformed.get(), 2);
}

#[test]
fn host_program_reads_nothing_before_the_guest_writes() {
    let mut guest = Guest::new();
    let (_, mut host) = guest.connect(52);
    guest.handler.kicked(RX, &mut guest.events.context());
    host.set_nonblocking(true).unwrap();
    assert_eq!(host.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn packets_that_follow_each_other_arrive_whole_and_in_order() {
    let mut guest = Guest::new();
    let (mut first, mut host) = guest.connect(52);
    let (mut second, mut other) = guest.connect(53);
    let data = pattern(3000, 1);
    for part in data[..2000].chunks(100) {
        guest.send_only(&first.data(part), part);
    }
    guest.send_only(&second.data(b"between"), b"between");
    for part in data[2000..].chunks(100) {
        guest.send_only(&first.data(part), part);
    }
    guest.send_only(&first.shutdown(Shutdown::SEND), &[]);
    guest.run();
    let mut seen = Vec::new();
    host.read_to_end(&mut seen).unwrap();
    assert!(seen == data);
    let mut seen = [0; 7];
    other.read_exact(&mut seen).unwrap();
    assert_eq!(&seen, b"between");
    assert_eq!(guest.tx.used().len(), 32);
}

#[test]
fn every_packet_of_the_guest_shows_in_the_histogram_of_its_queue() {
    let mut guest = Guest::new();
    let (mut stream, _host) = guest.connect(52);
    for _ in 0..3 {
        guest.send_only(&stream.data(b"abc"), b"abc");
    }
    guest.send(&stream.header(Op::CreditRequest), &[]);
    // The request for the connection came first.
    let metrics = &guest.tx.metrics;
    assert_eq!((metrics.requests.get(), metrics.latency.snapshot().count), (5, 5));
}
