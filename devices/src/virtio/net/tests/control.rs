//! The whole card on real event loops: what the front and the control queue do.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use virtio_bindings::virtio_net::{
    VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_GUEST_ANNOUNCE,
    VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_MQ,
};

use super::*;
use crate::virtio::device::{Activation, Interrupt, VirtioDevice};
use crate::virtio::event_loop::{EventLoop, LoopHandle};
use crate::virtio::net::{Net, NetConfig, NewNetError};
use crate::virtio::queue::{Queue, QueueLinks, QueueState};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// What the card signals, to be waited for.
#[derive(Debug, PartialEq, Eq)]
enum Signal {
    Used(u16),
    Config,
    Reset,
}

struct Signals(Mutex<Sender<Signal>>);

impl Signals {
    fn send(&self, signal: Signal) {
        self.0.lock().unwrap().send(signal).unwrap();
    }
}

impl Interrupt for Signals {
    fn queue_used(&self, index: u16) {
        self.send(Signal::Used(index));
    }
    fn config_changed(&self) {
        self.send(Signal::Config);
    }
    fn needs_reset(&self, _reason: &str) {
        self.send(Signal::Reset);
    }
}

/// An active card with a running control queue.
struct Card {
    net: Net,
    control: FakeDriver,
    signals: Receiver<Signal>,
    backends: Vec<Arc<SocketBackend>>,
    loops: Vec<(LoopHandle, JoinHandle<()>)>,
}

impl Card {
    fn new(pairs: usize, features: &[u32]) -> Self {
        let backends: Vec<_> = (0..pairs).map(|_| SocketBackend::pair().0).collect();
        let loops: Vec<_> =
            (0..pairs).map(|i| EventLoop::spawn(&format!("net{i}"), || {}).unwrap()).collect();
        let handles: Vec<LoopHandle> = loops.iter().map(|(handle, _)| handle.clone()).collect();
        let config = NetConfig { mac: Some(MAC), ..NetConfig::default() };
        let ends = backends.iter().map(|b| b.clone() as Arc<dyn NetBackend>).collect();
        let mut net = Net::new(config, ends, None, &handles).unwrap();
        let features = features.iter().fold(0, |all, bit| all | 1 << bit);
        let index = if features & (1 << VIRTIO_NET_F_MQ) != 0 { 2 * pairs as u16 } else { 2 };
        let control = FakeDriver::new(64).sibling(index, 64);
        let (sender, signals) = channel();
        let interrupt = Arc::new(Signals(Mutex::new(sender)));
        net.activate(Activation { features, interrupt: interrupt.clone() });
        let links = QueueLinks {
            memory: control.memory.clone(),
            kick: control.kick.clone(),
            interrupt,
            metrics: control.metrics.clone(),
        };
        let queue = Queue::new(index, control.layout, false, QueueState::default(), links);
        net.start_queue(queue.unwrap()).unwrap();
        Self { net, control, signals, backends, loops }
    }

    /// Gives a command and waits for the answer; its code.
    fn command(&mut self, command: &[u8]) -> u8 {
        self.control.write(DATA, command);
        self.control.write(DATA + 0x1000, &[0xee]);
        let len = command.len() as u32;
        self.control.add(&[Part::Read(DATA, len), Part::Write(DATA + 0x1000, 1)]);
        self.control.kick.write(1).unwrap();
        let signal = self.wait();
        assert!(matches!(signal, Signal::Used(_)), "{signal:?}");
        self.control.read(DATA + 0x1000, 1)[0]
    }

    fn wait(&self) -> Signal {
        self.signals.recv_timeout(Duration::from_secs(5)).unwrap()
    }

    fn told(&self) -> Vec<Vec<Told>> {
        self.backends.iter().map(|b| b.told()).collect()
    }

    fn config(&self, offset: u64, len: usize) -> Vec<u8> {
        let mut data = vec![0; len];
        self.net.read_config(offset, &mut data);
        data
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        for (handle, thread) in self.loops.drain(..) {
            handle.end();
            thread.join().unwrap();
        }
    }
}

#[test]
fn card_needs_a_backend_and_a_loop() {
    let none = Net::new(NetConfig::default(), Vec::new(), None, &[]);
    assert!(matches!(none, Err(NewNetError::Pairs(0))));
    let backend: Arc<dyn NetBackend> = SocketBackend::pair().0;
    let no_loop = Net::new(NetConfig::default(), vec![backend], None, &[]);
    assert!(matches!(no_loop, Err(NewNetError::NoLoop)));
}

#[test]
fn pairs_are_taken_into_use_on_command() {
    let mut card = Card::new(3, &[VIRTIO_NET_F_MQ]);
    let (none, out) = (Told::Offloads(Offloads::empty()), Told::Enabled(false));
    assert_eq!(card.command(&[4, 0, 2, 0]), 0);
    assert_eq!(card.told(), [vec![none], vec![out, Told::Enabled(true)], vec![out]]);
    assert_eq!(card.command(&[4, 0, 3, 0]), 0);
    assert_eq!(card.told(), [vec![], vec![], vec![Told::Enabled(true)]]);
    assert_eq!(card.command(&[4, 0, 1, 0]), 0);
    assert_eq!(card.told(), [vec![], vec![out], vec![out]]);
}

#[test]
fn number_of_pairs_that_cannot_be_is_refused() {
    let mut card = Card::new(2, &[VIRTIO_NET_F_MQ]);
    assert_eq!(card.command(&[4, 0, 0, 0]), 1);
    assert_eq!(card.command(&[4, 0, 3, 0]), 1);
    assert_eq!(card.net.metrics().control_errors.get(), 2);
}

#[test]
fn control_queue_follows_the_first_pair_without_multiqueue() {
    let mut card = Card::new(2, &[VIRTIO_NET_F_CTRL_MAC_ADDR]);
    assert_eq!(card.command(&[1, 1, 2, 0, 0, 0, 0, 7]), 0);
}

#[test]
fn negotiated_offloads_reach_the_backend_and_are_taken_back() {
    let features =
        [VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_GUEST_TSO4];
    let mut card = Card::new(1, &features);
    assert_eq!(card.command(&[5, 0, 2, 0, 0, 0, 0, 0, 0, 0]), 0);
    let all = Offloads::CSUM | Offloads::TSO4;
    assert_eq!(card.told(), [[Told::Offloads(all), Told::Offloads(Offloads::CSUM)]]);
    assert_eq!(card.command(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]), 1);
}

#[test]
fn address_set_by_the_driver_shows_until_reset() {
    let mut card = Card::new(1, &[VIRTIO_NET_F_CTRL_MAC_ADDR]);
    assert_eq!(card.config(0, 6), MAC);
    assert_eq!(card.command(&[1, 1, 2, 0, 0, 0, 0, 7]), 0);
    assert_eq!(card.config(0, 6), [2, 0, 0, 0, 0, 7]);
    card.net.stop_queue(2).unwrap();
    card.net.reset();
    assert_eq!(card.config(0, 6), MAC);
}

#[test]
fn link_change_is_seen_in_the_status_and_signalled() {
    let card = Card::new(1, &[]);
    assert_eq!(card.config(6, 2), [1, 0]);
    card.net.set_link(false);
    assert_eq!(card.config(6, 2), [0, 0]);
    assert_eq!(card.wait(), Signal::Config);
}

#[test]
fn announcement_is_asked_for_until_the_driver_acknowledges() {
    let mut card = Card::new(1, &[VIRTIO_NET_F_GUEST_ANNOUNCE]);
    assert!(card.net.announce());
    assert_eq!((card.config(6, 2), card.wait()), (vec![3, 0], Signal::Config));
    assert_eq!(card.command(&[3, 0]), 0);
    assert_eq!(card.config(6, 2), [1, 0]);
    assert!(!Card::new(1, &[]).net.announce());
}

#[test]
fn command_without_room_for_the_answer_is_dropped() {
    let mut card = Card::new(1, &[VIRTIO_NET_F_CTRL_MAC_ADDR]);
    card.control.write(DATA + 0x2000, &[1, 1, 2, 0, 0, 0, 0, 7]);
    let silent = card.control.add(&[Part::Read(DATA + 0x2000, 8)]);
    card.control.kick.write(1).unwrap();
    assert_eq!(card.wait(), Signal::Used(2));
    assert_eq!(card.control.used(), [(silent, 0)]);
    assert_eq!(card.config(0, 6), MAC);
}

#[test]
fn queue_beyond_the_pairs_cannot_start() {
    let mut card = Card::new(1, &[]);
    let stray = card.control.sibling(4, 64);
    assert!(card.net.start_queue(stray.queue()).is_err());
    assert_eq!(card.net.stop_queue(4), None);
}
