//! Guests and the host: names, connections, datagrams, published ports.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};

use smoltcp::socket::tcp::State;
use support::guest::{Guest, gateway, gateway_v6};
use support::{PATIENCE, Rig, v4, v6};
use switch::Settings;
use switch::control::{FaultKind, Protocol, Publication};

/// Gateways lead to the loopback interface, so that the tests need no other.
fn rig() -> Rig {
    let host_addresses = vec![Ipv4Addr::LOCALHOST.into(), std::net::Ipv6Addr::LOCALHOST.into()];
    Rig::with(Settings { host_addresses, ..Settings::default() })
}

fn guest(rig: &mut Rig, n: u8, host: u8) -> Guest {
    rig.network("a", n);
    Guest::new(rig.card("a", n, host, &[]), &[v4(n, host), v6(n, host)])
}

fn publication(protocol: Protocol, container_port: u16) -> Publication {
    Publication {
        id: "p".into(),
        port: "a-2".into(),
        protocol,
        host_address: Ipv4Addr::LOCALHOST.into(),
        host_port: 0,
        container_port,
    }
}

/// Bytes of which each place is known.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

#[test]
fn bulk_goes_both_ways_and_half_closed_connections_stay_open_the_other_way() {
    let mut rig = rig();
    let mut guest = guest(&mut rig, 1, 2);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let far = SocketAddr::new(gateway(1).into(), listener.local_addr().unwrap().port());
    const LEN: usize = 100 << 20;
    let data = pattern(LEN);
    let expected = data.clone();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut all = Vec::with_capacity(LEN);
        // Until the guest's half is closed.
        stream.read_to_end(&mut all).unwrap();
        assert!(all == expected, "what came is not what was sent");
        stream.write_all(&all).unwrap();
    });
    let handle = guest.connect(far);
    let (mut sent, mut got) = (0, Vec::with_capacity(LEN));
    guest.until("whole exchange", |guest| {
        let socket = guest.tcp(handle);
        if socket.may_send() && sent < LEN {
            sent += socket.send_slice(&data[sent..]).unwrap();
            if sent == LEN {
                socket.close();
            }
        }
        while socket.can_recv() {
            socket.recv(|part| (part.len(), got.extend_from_slice(part))).unwrap();
        }
        (got.len() == LEN && socket.state() == State::TimeWait).then_some(())
    });
    assert!(got == data, "what came back is not what was sent");
    server.join().unwrap();
    rig.wait_for("end of the connection", |status| status.flows.tcp == 0);
}

#[test]
fn connection_over_ipv6_reaches_the_host() {
    let mut rig = rig();
    let mut guest = guest(&mut rig, 1, 2);
    let listener = match TcpListener::bind("[::1]:0") {
        Ok(listener) => listener,
        Err(error) => return eprintln!("SKIPPED: this host has no IPv6 on loopback: {error}"),
    };
    let port = listener.local_addr().unwrap().port();
    let handle = guest.connect(SocketAddr::new(gateway_v6(1).into(), port));
    guest.until("connection", |guest| guest.tcp(handle).may_send().then_some(()));
    let (mut stream, _) = listener.accept().unwrap();
    stream.write_all(b"six").unwrap();
    guest.until("data", |guest| {
        let mut data = [0; 3];
        (guest.tcp(handle).recv_slice(&mut data) == Ok(3)).then(|| assert_eq!(&data, b"six"))
    });
}

#[test]
fn port_that_nobody_listens_at_is_a_reset_at_once() {
    let mut rig = rig();
    let mut guest = guest(&mut rig, 1, 2);
    // Bound, and not listened at.
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    guest.is_refused(SocketAddr::new(gateway(1).into(), port));
    rig.wait_for("end of the connection", |status| status.flows.tcp == 0);
}

#[test]
fn resets_are_passed_on_both_ways() {
    let mut rig = rig();
    let mut guest = guest(&mut rig, 1, 2);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let far = SocketAddr::new(gateway(1).into(), listener.local_addr().unwrap().port());
    let handle = guest.connect(far);
    guest.until("connection", |guest| guest.tcp(handle).may_send().then_some(()));
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    guest.tcp(handle).abort();
    guest.step(std::time::Duration::ZERO);
    let error = stream.read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);

    let handle = guest.connect(far);
    guest.until("connection", |guest| guest.tcp(handle).may_send().then_some(()));
    let (stream, _) = listener.accept().unwrap();
    rustix::net::sockopt::set_socket_linger(&stream, Some(std::time::Duration::ZERO)).unwrap();
    drop(stream);
    guest.until("reset", |guest| (guest.tcp(handle).state() == State::Closed).then_some(()));
}

#[test]
fn loopback_and_other_networks_are_out_of_reach() {
    let mut rig = rig();
    let mut guest = guest(&mut rig, 1, 2);
    rig.network("b", 2);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for far in ["127.0.0.1", "0.0.0.1", "10.2.0.2", "10.1.0.77", "::ffff:127.0.0.1"] {
        guest.is_refused(SocketAddr::new(far.parse().unwrap(), port));
    }
    assert_eq!(rig.status().flows.tcp, 0);
}

#[test]
fn internal_network_has_no_way_out() {
    let mut rig = rig();
    let mut spec = rig.network("a", 1);
    spec.internal = true;
    rig.client.put_network(spec).unwrap();
    let mut guest = Guest::new(rig.card("a", 1, 2, &["web"]), &[v4(1, 2)]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for far in [IpAddr::from(gateway(1)), [192, 0, 2, 1].into()] {
        guest.is_refused(SocketAddr::new(far, port));
    }
    // Names of its own are known there.
    let handle = guest.bind(1000);
    let answer = guest.ask(handle, SocketAddr::new(gateway(1).into(), 53), &question("web", 1));
    assert_eq!(answer[answer.len() - 4..], [10, 1, 0, 2]);
    let answer = guest.ask(handle, SocketAddr::new(gateway(1).into(), 53), &question("org", 1));
    assert_eq!(answer[3] & 0xf, 3, "a name out there is not known here");
}

#[test]
fn datagrams_find_their_way_back() {
    let mut rig = rig();
    let mut guest = guest(&mut rig, 1, 2);
    let host = UdpSocket::bind("127.0.0.1:0").unwrap();
    host.set_read_timeout(Some(PATIENCE)).unwrap();
    let far = SocketAddr::new(gateway(1).into(), host.local_addr().unwrap().port());
    let handle = guest.bind(1000);
    let data = pattern(60_000);
    guest.udp(handle).send_slice(&data, far).unwrap();
    guest.step(std::time::Duration::ZERO);
    let mut buffer = vec![0; 65_536];
    let (len, from) = host.recv_from(&mut buffer).unwrap();
    assert!(buffer[..len] == data);
    host.send_to(&buffer[..len], from).unwrap();
    guest.until("answer", |guest| {
        let (answer, from) = guest.udp(handle).recv().ok()?;
        assert_eq!(from.endpoint.port, far.port());
        assert!(answer == data);
        Some(())
    });
    assert_eq!(rig.status().flows.udp, 1);
}

/// A question for a name's address (type 1 or 28) or for the name of one (12).
fn question(name: &str, kind: u8) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, kind, 0, 1]);
    message
}

#[test]
fn names_of_the_network_are_known_and_those_of_others_are_not() {
    let mut rig = rig();
    let mut spec = rig.network("a", 1);
    spec.domain = Some("app".into());
    rig.client.put_network(spec).unwrap();
    rig.network("b", 2);
    let _web = rig.card("a", 1, 3, &["web", "alias"]);
    let _other = rig.card("b", 2, 3, &["elsewhere"]);
    let mut guest = Guest::new(rig.card("a", 1, 2, &[]), &[v4(1, 2)]);
    let server = SocketAddr::new(gateway(1).into(), 53);
    let handle = guest.bind(1000);
    let mut ask = |name: &str, kind| guest.ask(handle, server, &question(name, kind));
    for name in ["web", "WEB", "alias", "web.app"] {
        let answer = ask(name, 1);
        assert_eq!((answer[3] & 0xf, answer[7]), (0, 1), "{name}");
        assert_eq!(answer[answer.len() - 4..], [10, 1, 0, 3], "{name}");
    }
    let answer = ask("web", 28);
    assert_eq!(answer[answer.len() - 2..], [0, 3]);
    // It exists, and has no mail server.
    let answer = ask("web", 15);
    assert_eq!((answer[3] & 0xf, answer[7]), (0, 0));
    let answer = ask("host.docker.internal", 1);
    assert_eq!(answer[answer.len() - 4..], [10, 1, 0, 1]);
    let answer = ask("3.0.1.10.in-addr.arpa", 12);
    assert!(answer.ends_with(b"\x03web\x03app\0"), "{answer:?}");
    let answer = ask("9.0.1.10.in-addr.arpa", 12);
    assert_eq!(answer[3] & 0xf, 3);
}

/// A name server that answers each question with its own address record.
fn name_server(address: [u8; 4]) -> (UdpSocket, u16) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let serving = socket.try_clone().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((len, from)) = serving.recv_from(&mut buffer) {
            let mut answer = buffer[..len].to_vec();
            answer[2] |= 0x80;
            answer[7] = 1;
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            answer.extend(address);
            serving.send_to(&answer, from).unwrap();
        }
    });
    (socket, port)
}

fn rig_with_name_server(port: u16) -> (Rig, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "nameserver 127.0.0.1\n").unwrap();
    let settings = Settings {
        resolv_conf: file.path().to_owned(),
        name_server_port: port,
        host_addresses: vec![],
    };
    (Rig::with(settings), file)
}

#[test]
fn other_names_are_asked_of_the_hosts_name_server() {
    let (_server, port) = name_server([1, 2, 3, 4]);
    let (mut rig, _file) = rig_with_name_server(port);
    let mut guest = guest(&mut rig, 1, 2);
    let handle = guest.bind(1000);
    let asked = question("example.org", 1);
    let answer = guest.ask(handle, SocketAddr::new(gateway(1).into(), 53), &asked);
    assert_eq!(answer[..2], asked[..2], "the asker's id");
    assert_eq!(answer[answer.len() - 4..], [1, 2, 3, 4]);
    assert_eq!(rig.status().flows.dns, 0);
}

#[test]
fn question_that_nobody_answers_fails_in_time() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let (mut rig, _file) = rig_with_name_server(port);
    let mut guest = guest(&mut rig, 1, 2);
    let handle = guest.bind(1000);
    let asked = question("example.org", 1);
    let answer = guest.ask(handle, SocketAddr::new(gateway(1).into(), 53), &asked);
    assert_eq!((answer[3] & 0xf, &answer[..2]), (2, &asked[..2]));
}

#[test]
fn names_are_asked_over_streams_too_many_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut len = [0; 2];
            stream.read_exact(&mut len).unwrap();
            let mut answer = vec![0; u16::from_be_bytes(len).into()];
            stream.read_exact(&mut answer).unwrap();
            answer[2] |= 0x80;
            answer[3] |= 5;
            stream.write_all(&[&len[..], &answer].concat()).unwrap();
        }
    });
    let (mut rig, _file) = rig_with_name_server(port);
    let mut guest = guest(&mut rig, 1, 2);
    let _web = rig.card("a", 1, 3, &["web"]);
    let handle = guest.connect(SocketAddr::new(gateway(1).into(), 53));
    guest.until("connection", |guest| guest.tcp(handle).may_send().then_some(()));
    let framed = |message: Vec<u8>| [&(message.len() as u16).to_be_bytes(), &message[..]].concat();
    for _ in 0..40 {
        guest.tcp(handle).send_slice(&framed(question("web", 1))).unwrap();
        guest.tcp(handle).send_slice(&framed(question("example.org", 1))).unwrap();
    }
    let (mut got, mut own, mut foreign) = (Vec::new(), 0, 0);
    guest.until("80 answers", |guest| {
        let socket = guest.tcp(handle);
        while socket.can_recv() {
            socket.recv(|part| (part.len(), got.extend_from_slice(part))).unwrap();
        }
        while got.len() > 2 && got.len() >= 2 + usize::from(u16::from_be_bytes([got[0], got[1]])) {
            let len = usize::from(u16::from_be_bytes([got[0], got[1]]));
            let answer: Vec<u8> = got.drain(..2 + len).skip(2).collect();
            match answer[3] & 0xf {
                0 => own += 1,
                code => foreign += u32::from(code == 5),
            }
        }
        (own == 40 && foreign == 40).then_some(())
    });
}

#[test]
fn published_tcp_port_leads_into_the_container_until_it_is_withdrawn() {
    let mut rig = rig();
    let mut guest = guest(&mut rig, 1, 2);
    let handle = guest.listen(80);
    let port = rig.client.publish(publication(Protocol::Tcp, 80)).unwrap();
    let client = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(b"question").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    guest.until("question", |guest| {
        let socket = guest.tcp(handle);
        let mut data = [0; 8];
        (socket.recv_queue() == 8).then(|| socket.recv_slice(&mut data).unwrap())?;
        assert_eq!(&data, b"question");
        let from = socket.remote_endpoint().unwrap();
        assert_eq!(IpAddr::from(from.addr), IpAddr::from(gateway(1)));
        socket.send_slice(b"answer").unwrap();
        socket.close();
        Some(())
    });
    guest.until("end", |guest| (!guest.tcp(handle).is_active()).then_some(()));
    assert_eq!(client.join().unwrap(), "answer");
    // The same again changes nothing.
    assert_eq!(rig.client.publish(publication(Protocol::Tcp, 80)).unwrap(), port);
    rig.client.unpublish("p").unwrap();
    let error = TcpStream::connect(("127.0.0.1", port)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn withdrawn_publication_ends_its_connections() {
    let mut rig = rig();
    let mut guest = guest(&mut rig, 1, 2);
    let handle = guest.listen(80);
    let port = rig.client.publish(publication(Protocol::Tcp, 80)).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    guest.until("connection", |guest| guest.tcp(handle).may_send().then_some(()));
    rig.client.unpublish("p").unwrap();
    assert!(stream.read(&mut [0; 1]).is_err());
    assert_eq!(rig.status().flows.tcp, 0);
}

#[test]
fn container_that_does_not_listen_resets_the_caller() {
    let mut rig = rig();
    let mut guest = guest(&mut rig, 1, 2);
    let port = rig.client.publish(publication(Protocol::Tcp, 80)).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let caller = std::thread::spawn(move || stream.read(&mut [0; 1]).unwrap_err().kind());
    guest.until("reset", |_| caller.is_finished().then_some(()));
    assert_eq!(caller.join().unwrap(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn published_udp_port_tells_its_peers_apart() {
    let mut rig = rig();
    let mut guest = guest(&mut rig, 1, 2);
    let handle = guest.bind(53);
    let port = rig.client.publish(publication(Protocol::Udp, 53)).unwrap();
    let peers = [(); 3].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    for (n, peer) in peers.iter().enumerate() {
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        peer.send_to(&[n as u8], ("127.0.0.1", port)).unwrap();
    }
    for _ in &peers {
        guest.until("datagram", |guest| {
            let (data, from) = guest.udp(handle).recv().ok()?;
            let answer = [data[0], data[0]];
            guest.udp(handle).send_slice(&answer, from.endpoint).unwrap();
            Some(())
        });
    }
    guest.step(std::time::Duration::ZERO);
    for (n, peer) in peers.iter().enumerate() {
        let mut answer = [0; 8];
        assert_eq!(peer.recv(&mut answer).unwrap(), 2);
        assert_eq!(answer[0], n as u8);
    }
    assert_eq!(rig.status().flows.udp, 3);
    rig.client.unpublish("p").unwrap();
    assert_eq!(rig.status().flows.udp, 0);
}

#[test]
fn address_that_is_taken_is_named() {
    let mut rig = rig();
    let _guest = guest(&mut rig, 1, 2);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut publication = publication(Protocol::Tcp, 80);
    publication.host_port = port;
    let error = rig.client.publish(publication).unwrap_err();
    let fault = error.fault().unwrap();
    let message = format!("failed to listen at 127.0.0.1:{port}: address already in use");
    assert_eq!((fault.kind, &fault.message), (FaultKind::InUse, &message));
}

#[test]
fn thousand_connections_are_served_at_once() {
    let mut rig = rig();
    let mut guest = guest(&mut rig, 1, 2);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let far = SocketAddr::new(gateway(1).into(), listener.local_addr().unwrap().port());
    const COUNT: usize = 1000;
    let server = std::thread::spawn(move || {
        let streams: Vec<TcpStream> = (0..COUNT).map(|_| listener.accept().unwrap().0).collect();
        for mut stream in &streams {
            let mut byte = [0; 1];
            stream.read_exact(&mut byte).unwrap();
            stream.write_all(&byte).unwrap();
        }
    });
    let handles: Vec<_> = (0..COUNT).map(|_| guest.connect_small(far)).collect();
    let mut asked = vec![false; COUNT];
    guest.until("all answers", |guest| {
        for (n, handle) in handles.iter().enumerate() {
            let socket = guest.tcp(*handle);
            if !asked[n] && socket.may_send() {
                socket.send_slice(&[n as u8]).unwrap();
                asked[n] = true;
            }
        }
        handles.iter().all(|handle| guest.tcp(*handle).recv_queue() == 1).then_some(())
    });
    for (n, handle) in handles.iter().enumerate() {
        assert_eq!(guest.tcp(*handle).peek(1).unwrap(), [n as u8]);
    }
    server.join().unwrap();
    assert_eq!(rig.status().flows.tcp, COUNT);
}
