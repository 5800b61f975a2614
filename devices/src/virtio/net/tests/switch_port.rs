//! A port of a switch as the backend: its words about the cable, and its end.

use rustix::net::{SocketAddrUnix, accept, bind, listen, socket_with};

use super::*;
use crate::net::switch_port::SwitchPort;

/// A switch's socket.
struct Switch {
    listener: OwnedFd,
    path: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

impl Switch {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ports");
        let kind = SocketType::SEQPACKET;
        let flags = SocketFlags::CLOEXEC;
        let listener = socket_with(AddressFamily::UNIX, kind, flags, None).unwrap();
        bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        listen(&listener, 1).unwrap();
        Self { listener, path, _folder: folder }
    }

    /// Takes one card, on a thread, as the card waits for the answer.
    fn take_card(&self) -> std::thread::JoinHandle<OwnedFd> {
        let listener = self.listener.try_clone().unwrap();
        std::thread::spawn(move || {
            let card = accept(&listener).unwrap();
            let (len, _) = recv(&card, &mut [0; 100][..], RecvFlags::empty()).unwrap();
            assert_eq!(len, 8 + 3);
            send(&card, &[1, 1, 1], SendFlags::empty()).unwrap();
            card
        })
    }

    fn rig(&self) -> Rig {
        let card = self.take_card();
        let port = SwitchPort::connect(&self.path, "web").unwrap();
        let mut rig = Rig::over(Arc::new(port), card.join().unwrap(), LARGE, Parts::default());
        rig.start();
        rig
    }
}

#[test]
fn words_change_the_link_and_are_no_frames() {
    let mut rig = Switch::new().rig();
    let head = rig.offer(DATA, 70_000);
    rig.kick_rx();
    send(&rig.network, &[3, 0], SendFlags::empty()).unwrap();
    rig.settle();
    assert!(!rig.link.is_up());
    send(&rig.network, &[3, 1], SendFlags::empty()).unwrap();
    send(&rig.network, &[9, 9, 9], SendFlags::empty()).unwrap();
    rig.arrive(&frame(60, 1));
    rig.settle();
    assert!(rig.link.is_up());
    assert_eq!(rig.rx.used(), [(head, 72)]);
    assert_eq!((rig.metrics.rx_frames.get(), rig.metrics.rx_dropped.get()), (1, 1));
}

#[test]
fn word_that_came_while_the_cable_was_pulled_counts() {
    let mut rig = Switch::new().rig();
    rig.offer(DATA, 70_000);
    rig.kick_rx();
    rig.handler.set_link(false, &mut rig.event_loop.context());
    rig.arrive(&frame(60, 0));
    send(&rig.network, &[3, 0], SendFlags::empty()).unwrap();
    rig.settle();
    rig.handler.set_link(true, &mut rig.event_loop.context());
    rig.settle();
    assert!(!rig.link.is_up());
    assert_eq!(rig.metrics.rx_frames.get(), 0);
}

#[test]
fn switch_that_has_gone_takes_the_link_down_until_it_is_found_again() {
    let switch = Switch::new();
    let mut rig = switch.rig();
    let head = rig.offer(DATA, 70_000);
    rig.kick_rx();
    rig.handler.set_offloads(Offloads::CSUM).unwrap();
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (_, nobody) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    drop(std::mem::replace(&mut rig.network, nobody));
    rig.settle();
    assert!(!rig.link.is_up());
    assert_eq!(rig.metrics.backend_lost.get(), 1);

    let card = switch.take_card();
    rig.handler.set_link(true, &mut rig.event_loop.context());
    rig.network = card.join().unwrap();
    assert!(rig.link.is_up());
    let mut word = [0; 8];
    assert_eq!(recv(&rig.network, &mut word, RecvFlags::empty()).unwrap().0, 2);
    assert_eq!(word[..2], [4, 1]);
    rig.arrive(&frame(60, 1));
    rig.settle();
    assert_eq!(rig.rx.used(), [(head, 72)]);
    rig.transmit(DATA + 0x20000, NetHeader::default(), &frame(60, 2));
    rig.kick_tx();
    assert_eq!(rig.sent(), Some(frame(60, 2)));
}

#[test]
fn frame_waits_in_the_queue_while_the_switch_has_no_room() {
    let mut rig = Switch::new().rig();
    let heads: Vec<u16> = (0..200u32)
        .map(|n| {
            let at = DATA + u64::from(n) * 0x4000;
            rig.transmit(at, NetHeader::default(), &frame(14_000, n as u8))
        })
        .collect();
    rig.kick_tx();
    let at_first = rig.tx.used().len();
    assert!(at_first < heads.len(), "the socket took everything");
    for n in 0..heads.len() {
        assert_eq!(rig.sent(), Some(frame(14_000, n as u8)));
        rig.settle();
    }
    assert_eq!(rig.metrics.tx_frames.get(), heads.len() as u64);
    assert_eq!(rig.metrics.tx_dropped.get(), 0);
}
