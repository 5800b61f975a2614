#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use smoltcp::iface::{Config, Interface};
use smoltcp::phy::{Loopback, Medium};
use smoltcp::time::Instant as TcpInstant;
use smoltcp::wire::{HardwareAddress, IpCidr};

use super::*;

/// A connection of a guest with the host, on a clock that the test sets.
struct Line {
    flow: Flow,
    guest: SocketHandle,
    interface: Interface,
    wire: Loopback,
    now: TcpInstant,
    _host: OwnedFd,
}

impl Line {
    fn connected() -> Self {
        let ip = |host| IpAddr::V4(Ipv4Addr::new(10, 0, 0, host));
        let (guest, far) = (SocketAddr::new(ip(2), 40_000), SocketAddr::new(ip(1), 80));
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (own, host) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        let key = Key { port: PortId(1), guest, far };
        let mut flow = Flow::called_by_guest(key, own, false, false).unwrap();

        let mut wire = Loopback::new(Medium::Ip);
        let config = Config::new(HardwareAddress::Ip);
        let mut interface = Interface::new(config, &mut wire, TcpInstant::ZERO);
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(guest.ip().into(), 24)).unwrap();
            addresses.push(IpCidr::new(far.ip().into(), 24)).unwrap();
        });
        let buffer = || SocketBuffer::new(vec![0; 4096]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.connect(interface.context(), far, guest).unwrap();
        let guest = flow.sockets.add(socket);
        let mut line = Self { flow, guest, interface, wire, now: TcpInstant::ZERO, _host: host };
        for _ in 0..4 {
            line.turn();
        }
        assert_eq!((line.state(), line.guest_state()), (State::Established, State::Established));
        line
    }

    fn state(&mut self) -> State {
        self.flow.socket().state()
    }

    fn guest_state(&mut self) -> State {
        self.flow.sockets.get_mut::<Socket<'_>>(self.guest).state()
    }

    fn turn(&mut self) {
        self.flow.splice();
        self.interface.poll(self.now, &mut self.wire, &mut self.flow.sockets);
    }

    /// Lets time pass, with a turn whenever one is due; gives how many were.
    fn pass(&mut self, time: TcpDuration, heard: bool) -> usize {
        let (end, mut turns) = (self.now + time, 0);
        while self.now < end {
            let due = self.interface.poll_delay(self.now, &self.flow.sockets).unwrap_or(time);
            self.now = (self.now + due.max(TcpDuration::from_millis(1))).min(end);
            self.turn();
            turns += 1;
            if !heard {
                self.wire = Loopback::new(Medium::Ip);
            }
        }
        turns
    }
}

#[test]
fn idle_connection_lives_for_days_with_a_word_every_few_minutes() {
    let mut line = Line::connected();
    let day = TcpDuration::from_secs(24 * 60 * 60);
    let turns = line.pass(day, true);
    assert_eq!((line.state(), line.guest_state()), (State::Established, State::Established));
    let words = (day.total_millis() / KEEP_ALIVE.total_millis()) as usize;
    assert!((words..=4 * words).contains(&turns), "{turns}");
}

#[test]
fn connection_of_a_guest_that_does_not_answer_ends() {
    let mut line = Line::connected();
    line.pass(PATIENCE - TcpDuration::from_secs(1), false);
    assert_eq!(line.state(), State::Established);
    line.pass(TcpDuration::from_secs(2), false);
    assert_eq!(line.state(), State::Closed);
}
