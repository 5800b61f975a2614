//! A switch on a thread of its own, and cards that a test plays.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv,
    send, socket_with,
};
use switch::address::Mac;
use switch::client::Client;
use switch::control::{MAX_MTU, Network, Port, Status, Subnet};
use switch::{Settings, Switch};

pub mod guest;

pub const GATEWAY_MAC: [u8; 6] = [0x06, 0x01, 0x23, 0x45, 0x67, 0x02];
/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How long a test waits for what must not come.
pub const QUIET: Duration = Duration::from_millis(100);

pub struct Rig {
    pub client: Client,
    pub folder: tempfile::TempDir,
    thread: Option<JoinHandle<()>>,
}

impl Rig {
    pub fn new() -> Self {
        Self::with(Settings::default())
    }

    pub fn with(settings: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (control, ports) = (folder.path().join("control"), folder.path().join("ports"));
        let mut switch = Switch::new(settings).unwrap();
        switch.listen_for_engine(&control).unwrap();
        switch.listen_for_cards(&ports).unwrap();
        let thread = std::thread::spawn(move || switch.run().unwrap());
        let client = Client::connect(&control).unwrap();
        Self { client, folder, thread: Some(thread) }
    }

    pub fn ports(&self) -> PathBuf {
        self.folder.path().join("ports")
    }

    /// Puts the network `id`: 10.N.0.0/24 and fd00:N::/64, gateways at 1.
    pub fn network(&mut self, id: &str, n: u8) -> Network {
        let network = network(id, n);
        self.client.put_network(network.clone()).unwrap();
        network
    }

    /// Puts a port at 10.N.0.H and connects its card.
    pub fn card(&mut self, network: &str, n: u8, host: u8, names: &[&str]) -> Card {
        let name = format!("{network}-{host}");
        let mut spec = port(&name, Some(network), n, host);
        spec.names = names.iter().map(|name| (*name).to_owned()).collect();
        self.client.put_port(spec).unwrap();
        let card = Card::connect(&self.ports(), &name, [2, 0, 0, 0, n, host]);
        card.take_partial_checksums();
        card
    }

    pub fn status(&mut self) -> Status {
        self.client.status().unwrap()
    }

    /// Waits until the status is as wanted; each look is an answer of the switch, which has done
    /// everything before it.
    pub fn wait_for(&mut self, what: &str, wanted: impl Fn(&Status) -> bool) -> Status {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if wanted(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "no {what}: {status:#?}");
            std::thread::yield_now();
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let told = self.client.shut_down();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                told.unwrap();
                ended.unwrap();
            }
        }
    }
}

pub fn network(id: &str, n: u8) -> Network {
    let subnets = vec![
        Subnet { subnet: format!("10.{n}.0.0/24").parse().unwrap(), gateway: [10, n, 0, 1].into() },
        Subnet {
            subnet: format!("fd00:{n}::/64").parse().unwrap(),
            gateway: format!("fd00:{n}::1").parse().unwrap(),
        },
    ];
    Network {
        id: id.to_owned(),
        subnets,
        internal: false,
        isolate_host: false,
        on_host: false,
        mtu: MAX_MTU,
        domain: None,
    }
}

pub fn port(name: &str, network: Option<&str>, n: u8, host: u8) -> Port {
    Port {
        port: name.to_owned(),
        network: network.map(ToOwned::to_owned),
        mac: Mac([2, 0, 0, 0, n, host]),
        addresses: vec![v4(n, host), v6(n, host)],
        names: vec![],
        dns: vec![],
    }
}

pub fn v4(n: u8, host: u8) -> IpAddr {
    [10, n, 0, host].into()
}

pub fn v6(n: u8, host: u8) -> IpAddr {
    format!("fd00:{n}::{host:x}").parse().unwrap()
}

/// A card, as a monitor has it.
pub struct Card {
    pub fd: OwnedFd,
    pub mac: [u8; 6],
    pub link_up: bool,
}

impl Card {
    pub fn open(path: &std::path::Path) -> OwnedFd {
        let kind = SocketType::SEQPACKET;
        let fd = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap();
        connect(&fd, &SocketAddrUnix::new(path).unwrap()).unwrap();
        fd
    }

    pub fn connect(path: &std::path::Path, name: &str, mac: [u8; 6]) -> Self {
        let mut card = Self { fd: Self::open(path), mac, link_up: false };
        card.send_raw(&[b"BHSW\x01\0\0\0", name.as_bytes()].concat());
        let answer = card.receive_raw(PATIENCE).expect("an answer to the hello");
        assert_eq!((answer[0], answer.len()), (1, 3), "{}", String::from_utf8_lossy(&answer));
        card.link_up = answer[1] == 1;
        card
    }

    pub fn take_partial_checksums(&self) {
        self.send_raw(&[4, 1]);
    }

    pub fn send_raw(&self, message: &[u8]) {
        assert_eq!(send(&self.fd, message, SendFlags::NOSIGNAL).unwrap(), message.len());
    }

    pub fn receive_raw(&self, patience: Duration) -> Option<Vec<u8>> {
        let timeout = rustix::time::Timespec {
            tv_sec: patience.as_secs() as i64,
            tv_nsec: patience.subsec_nanos().into(),
        };
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        if poll(&mut fds, Some(&timeout)).unwrap() == 0 {
            return None;
        }
        let mut buffer = vec![0; 70_000];
        let (len, _) = recv(&self.fd, &mut buffer[..], RecvFlags::empty()).unwrap();
        buffer.truncate(len);
        Some(buffer)
    }

    /// The next frame, without its virtio header; words change the link.
    pub fn receive(&mut self, patience: Duration) -> Option<Vec<u8>> {
        loop {
            match self.receive_raw(patience)? {
                word if word.len() < 12 => {
                    assert_eq!((word.first(), word.len()), (Some(&3), 2), "an unknown word");
                    self.link_up = word[1] == 1;
                }
                frame => return Some(frame[12..].to_vec()),
            }
        }
    }

    /// Sends an Ethernet frame behind an empty virtio header.
    pub fn send(&self, to: [u8; 6], kind: u16, payload: &[u8]) {
        let mut frame = vec![0; 12];
        frame.extend(to);
        frame.extend(self.mac);
        frame.extend(kind.to_be_bytes());
        frame.extend(payload);
        self.send_raw(&frame);
    }
}
