//! Random actions of both sides against what must come out: the same bytes, in order.

use std::io::{ErrorKind, Read, Write};

use proptest::prelude::*;

use super::guest::{Guest, Layout, pattern};
use crate::virtio::vsock::packet::Op;

#[derive(Debug, Clone)]
enum Action {
    GuestSends(usize),
    HostWrites(usize),
    HostReads(usize),
    GuestPosts(usize, usize),
    GuestTakes(usize),
    Pause,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        (1usize..100_000).prop_map(Action::GuestSends),
        (1usize..100_000).prop_map(Action::HostWrites),
        (1usize..200_000).prop_map(Action::HostReads),
        (1usize..10, 1usize..70_000).prop_map(|(n, len)| Action::GuestPosts(n, len)),
        (1usize..200_000).prop_map(Action::GuestTakes),
        Just(Action::Pause),
    ]
}

/// One direction: bytes that went in and bytes that came out.
#[derive(Default)]
struct Pipe {
    sent: Vec<u8>,
    seen: Vec<u8>,
}

impl Pipe {
    fn next(&self, len: usize) -> Vec<u8> {
        pattern(len, self.sent.len() as u32)
    }

    fn check(&self) {
        assert!(self.sent.starts_with(&self.seen), "bytes were lost or changed");
    }
}

struct World {
    guest: Guest,
    stream: super::guest::Stream,
    host: std::os::unix::net::UnixStream,
    to_host: Pipe,
    to_guest: Pipe,
    /// Bytes delivered to the guest and not taken by its program.
    buffered: usize,
}

impl World {
    fn new(layout: Layout) -> Self {
        let mut guest = Guest::new();
        guest.layout = layout;
        let (stream, host) = guest.accept(9);
        host.set_nonblocking(true).unwrap();
        Self {
            guest,
            stream,
            host,
            to_host: Pipe::default(),
            to_guest: Pipe::default(),
            buffered: 0,
        }
    }

    fn act(&mut self, action: &Action) {
        match *action {
            Action::GuestSends(len) => {
                let data = self.to_host.next(len.min(self.stream.credit()));
                self.guest.send(&self.stream.data(&data), &data);
                self.to_host.sent.extend(data);
            }
            Action::HostWrites(len) => {
                let data = self.to_guest.next(len);
                match self.host.write(&data) {
                    Ok(n) => self.to_guest.sent.extend(&data[..n]),
                    Err(e) => assert_eq!(e.kind(), ErrorKind::WouldBlock),
                }
            }
            Action::HostReads(len) => {
                let mut data = vec![0; len];
                match self.host.read(&mut data) {
                    Ok(n) => self.to_host.seen.extend(&data[..n]),
                    Err(e) => assert_eq!(e.kind(), ErrorKind::WouldBlock),
                }
            }
            Action::GuestPosts(count, len) => {
                self.guest.post_many(count.min(self.guest.free_rx()), len);
            }
            Action::GuestTakes(len) => {
                let len = len.min(self.buffered);
                self.buffered -= len;
                self.stream.forwarded += len as u32;
                let update = self.stream.header(Op::CreditUpdate);
                self.guest.send(&update, &[]);
            }
            Action::Pause => {
                self.guest.run();
                self.guest.pause_and_resume();
            }
        }
        self.look();
    }

    /// The guest reads its packets.
    fn look(&mut self) {
        self.guest.run();
        while let Some(packet) = self.guest.next() {
            self.stream.hear(&packet.header);
            match packet.op() {
                Op::Data => {
                    self.buffered += packet.data.len();
                    assert!(self.buffered <= self.stream.window as usize, "credit was exceeded");
                    self.to_guest.seen.extend(packet.data);
                }
                Op::CreditUpdate | Op::CreditRequest => {}
                other => panic!("{other:?}"),
            }
        }
        self.to_host.check();
        self.to_guest.check();
    }

    /// Both sides read on until all has arrived.
    fn finish(&mut self) {
        for _ in 0..10_000 {
            if self.to_host.seen.len() == self.to_host.sent.len()
                && self.to_guest.seen.len() == self.to_guest.sent.len()
            {
                return;
            }
            self.act(&Action::HostReads(1 << 20));
            self.act(&Action::GuestPosts(64, 4096));
            self.act(&Action::GuestTakes(1 << 20));
        }
        panic!("the streams stall");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_the_order_of_events_all_bytes_arrive_in_order(
        layout in prop_oneof![
            Just(Layout::One),
            Just(Layout::Two),
            Just(Layout::Pages),
            Just(Layout::Shreds),
        ],
        actions in prop::collection::vec(action(), 1..120),
    ) {
        let mut world = World::new(layout);
        for action in &actions {
            world.act(action);
        }
        world.finish();
    }
}
