//! The name server of a network whose cards are on a bridge of the kernel: asked over the host's
//! own sockets. The loopback interface plays the bridge.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use support::{PATIENCE, QUIET, Rig, network, port};
use switch::control::{FaultKind, Network, Subnet};

const GATEWAY: Ipv4Addr = Ipv4Addr::new(127, 53, 0, 1);
const WEB: Ipv4Addr = Ipv4Addr::new(127, 53, 0, 2);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 53, 0, 9);

/// A question for the address of a name of three or nine letters.
fn question(name: &str) -> Vec<u8> {
    let length = u8::try_from(name.len()).unwrap();
    let header = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    [&header[..], &[length], name.as_bytes(), &[0, 0, 1, 0, 1]].concat()
}

/// The code of an answer and the address at its end.
fn read(answer: &[u8]) -> (u8, Ipv4Addr) {
    assert_eq!(answer[..2], [0x12, 0x34]);
    let address: [u8; 4] = answer[answer.len() - 4..].try_into().unwrap();
    (answer[3] & 15, address.into())
}

/// A switch with one network, which is not its own, and the port `web`; none where the port of
/// name servers is root's and this is not root.
fn rig() -> Option<Rig> {
    let mut rig = Rig::new();
    let subnet = Subnet { subnet: "127.53.0.0/24".parse().unwrap(), gateway: GATEWAY.into() };
    let subnets = vec![subnet];
    let wanted = Network { subnets, internal: true, on_host: true, ..network("host", 1) };
    match rig.client.put_network(wanted) {
        #[expect(clippy::print_stderr, reason = "what is skipped is told")]
        Err(error) if error.fault().is_some_and(|fault| fault.kind == FaultKind::Denied) => {
            eprintln!("skipped: {error}");
            return None;
        }
        put => put.unwrap(),
    }
    let mut web = port("web-0", Some("host"), 1, 2);
    (web.addresses, web.names) = (vec![WEB.into()], vec!["web".to_owned()]);
    rig.client.put_port(web).unwrap();
    Some(rig)
}

fn ask(from: Ipv4Addr, name: &str, patience: std::time::Duration) -> Option<(u8, Ipv4Addr)> {
    let caller = UdpSocket::bind((from, 0)).unwrap();
    caller.set_read_timeout(Some(patience)).unwrap();
    caller.send_to(&question(name), (GATEWAY, 53)).unwrap();
    let mut answer = [0; 512];
    caller.recv(&mut answer).ok().map(|len| read(&answer[..len]))
}

/// One after the other, as both take the same port.
#[test]
fn ports_of_a_network_of_the_hosts_get_names_at_its_gateway_and_strangers_none() {
    let Some(mut rig) = rig() else { return };
    assert_eq!(ask(WEB, "web", PATIENCE), Some((0, WEB)));
    assert_eq!(ask(WEB, "elsewhere", PATIENCE).map(|(code, _)| code), Some(3));
    assert_eq!(ask(STRANGER, "web", QUIET), None);

    let fd = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&fd, &SocketAddr::new(WEB.into(), 0)).unwrap();
    connect(&fd, &SocketAddr::new(GATEWAY.into(), 53)).unwrap();
    let mut stream = TcpStream::from(fd);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let message = question("web");
    stream.write_all(&[&[0, u8::try_from(message.len()).unwrap()], &message[..]].concat()).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(read(&answer), (0, WEB));

    rig.client.remove_port("web-0").unwrap();
    rig.client.remove_network("host").unwrap();
    assert!(UdpSocket::bind((GATEWAY, 53)).is_ok(), "the sockets went with the network");
}
