//! The host's own TCP/IP as the guest, over a tap: needs `/dev/net/tun`, CAP_NET_ADMIN and the
//! program `ip`, and fails without.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::RwLock;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use serde_json::json;

use super::*;
use crate::mmds::{Mmds, TokenAuthority, Version};
use crate::net::tap::Tap;
use crate::net::{NetBackend, Offloads};

const HEADER_LEN: usize = 12;

/// A tap that is up, and the address of a neighbour behind it.
fn tap() -> (Tap, Ipv4Addr) {
    let process = std::process::id();
    let name = format!("bhmm{}", process % 1_000_000);
    let tap = Tap::open(&name, 1).unwrap().remove(0);
    // As a guest that offloads all it can.
    tap.set_offloads(Offloads::all()).unwrap();
    std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1").unwrap();
    let net = format!("198.19.{}.", process as u8);
    for command in [format!("addr add {net}1/30 dev {name}"), format!("link set {name} up")] {
        assert!(Command::new("ip").args(command.split(' ')).status().unwrap().success());
    }
    (tap, format!("{net}2").parse().unwrap())
}

/// Carries frames between tap and endpoint, as a card does, until the other end of `end` closes.
fn carry(tap: &Tap, endpoint: &Endpoint, end: impl AsFd) {
    let mut buffer = vec![0; 70_000];
    loop {
        let limit = Timespec::try_from(Duration::from_secs(10)).unwrap();
        let wait = endpoint.wake_after().map_or(limit, |after| after.try_into().unwrap());
        let mut fds = [
            PollFd::from_borrowed_fd(tap.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(end.as_fd(), PollFlags::IN),
        ];
        poll(&mut fds, Some(&wait)).unwrap();
        if !fds[1].revents().is_empty() {
            return;
        }
        while let Ok(len) = rustix::io::read(tap, &mut buffer[..]) {
            let frame = &buffer[HEADER_LEN..len];
            if endpoint.wants(frame) {
                endpoint.take(frame);
            }
        }
        while let Some(frame) = endpoint.next_frame() {
            rustix::io::write(tap, &[&[0; HEADER_LEN][..], &frame].concat()).unwrap();
        }
    }
}

fn ask(address: Ipv4Addr, request: &str) -> String {
    let address = SocketAddr::from((address, 80));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn host_gets_a_token_and_metadata_over_its_own_tcp() {
    let (tap, address) = tap();
    let mut mmds = Mmds::new(200_000, TokenAuthority::random("vm").unwrap());
    mmds.put(json!({"large": "x".repeat(100_000)})).unwrap();
    mmds.configure(Version::V2, false);
    let endpoint = Endpoint::new(address, Arc::new(RwLock::new(mmds)), Arc::default()).unwrap();
    let (end, client_lives) = rustix::pipe::pipe().unwrap();
    let client = std::thread::spawn(move || {
        let _client_lives = client_lives;
        let put = "PUT /latest/api/token HTTP/1.1\r\nX-metadata-token-ttl-seconds: 60\r\n\
                   Connection: close\r\n\r\n";
        let token = ask(address, put);
        let (_, token) = token.split_once("\r\n\r\n").unwrap();
        let get = format!("GET /large HTTP/1.0\r\nX-metadata-token: {token}\r\n\r\n");
        ask(address, &get)
    });
    carry(&tap, &endpoint, &end);
    let answer = client.join().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(answer.ends_with(&format!("\r\n\r\n{}", "x".repeat(100_000))));
}
