use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::channel::{INPUT, channel};
use super::host::HostEnd;
use super::*;
use crate::virtio::event_loop::{EventLoop, FakeLoop};

const CAPACITY: usize = 1024;

struct Bench {
    guest: GuestEnd,
    host: HostEnd,
    cx: FakeLoop,
}

impl Bench {
    fn new(backend: Backend) -> Self {
        let (guest, mut host) = channel(CAPACITY).unwrap();
        let mut cx = FakeLoop::new().unwrap();
        host.open(backend, &mut cx.context()).unwrap();
        Self { guest, host, cx }
    }

    /// Lets the host's end do all that is due.
    fn turn(&mut self) {
        while self.cx.turn(&mut self.host, 0).unwrap() > 0 {}
    }

    fn attach(&mut self) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        self.host.attach(theirs.into(), &mut self.cx.context()).unwrap();
        ours
    }
}

fn read(mut from: impl Read) -> Vec<u8> {
    let mut data = vec![0; 1 << 20];
    let n = from.read(&mut data).unwrap_or(0);
    data.truncate(n);
    data
}

fn backend_on(socket: UnixStream) -> Backend {
    let fd = OwnedFd::from(socket);
    Backend::streams(fd.as_fd(), fd.as_fd()).unwrap()
}

/// A backend whose other end is ours; its buffers are small.
fn pair() -> (UnixStream, Backend) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    rustix::net::sockopt::set_socket_send_buffer_size(&theirs, 1).unwrap();
    ours.set_nonblocking(true).unwrap();
    (ours, backend_on(theirs))
}

#[test]
fn output_reaches_the_backend_and_input_the_guest() {
    let (mut ours, backend) = pair();
    let mut bench = Bench::new(backend);
    bench.guest.write(b"login: ");
    bench.turn();
    assert_eq!(read(&ours), b"login: ");

    ours.write_all(b"root\n").unwrap();
    bench.turn();
    assert_eq!(bench.guest.event().read().unwrap(), 1);
    let mut data = [0; 16];
    assert_eq!((bench.guest.read(&mut data), &data[..5]), (5, &b"root\n"[..]));
    assert_eq!(bench.guest.read(&mut data), 0);
}

#[test]
fn hundred_megabytes_with_nobody_reading_keep_the_last_bytes_only() {
    let mut bench = Bench::new(Backend::null());
    let line = [b'x'; 1000];
    for _ in 0..100_000 {
        assert_eq!(bench.guest.try_write(&line), line.len());
    }
    bench.guest.write(b"the end");
    bench.turn();
    assert_eq!(bench.guest.log().tail(usize::MAX).len(), CAPACITY);
    assert_eq!(bench.guest.log().tail(7), b"the end");
    assert_eq!(bench.guest.metrics().output.get(), 100_000_007);
}

#[test]
fn slow_backend_holds_the_guest_until_it_takes_more() {
    let (ours, backend) = pair();
    let mut bench = Bench::new(backend);
    let mut sent = Vec::new();
    loop {
        let chunk = [sent.len() as u8; 512];
        let n = bench.guest.try_write(&chunk);
        sent.extend(&chunk[..n]);
        bench.turn();
        if n < chunk.len() {
            break;
        }
    }
    assert_eq!(bench.guest.try_write(b"z"), 0);
    bench.guest.clear_event();

    let mut seen = read(&ours);
    bench.turn();
    assert_eq!(bench.guest.event().read().unwrap(), 1);
    assert_eq!(bench.guest.try_write(b"z"), 1);
    sent.push(b'z');
    while seen.len() < sent.len() {
        bench.turn();
        seen.extend(read(&ours));
    }
    assert_eq!(seen, sent);
    assert_eq!(bench.guest.metrics().dropped.get(), 0);
}

#[test]
fn dead_backend_stops_holding_the_guest_after_a_while() {
    let (ours, backend) = pair();
    let mut bench = Bench::new(backend);
    let mut written = 0;
    while bench.guest.try_write(b"x") == 1 {
        written += 1;
        bench.turn();
    }
    bench.turn();
    bench.guest.clear_event();
    while bench.guest.event().read().is_err() {
        bench.cx.turn(&mut bench.host, -1).unwrap();
    }
    // Held no longer: any amount is taken, and costs no memory.
    assert_eq!(bench.guest.try_write(&[b'y'; 100_000]), 100_000);
    bench.turn();

    let mut seen = 0;
    loop {
        let data = read(&ours);
        if data.is_empty() {
            break;
        }
        seen += data.len();
        bench.turn();
    }
    let dropped = bench.guest.metrics().dropped.get();
    assert!(dropped > 0);
    assert_eq!(seen as u64 + dropped, written + 100_000);
    // And it is held again when it falls behind again.
    assert!(bench.guest.try_write(&[b'z'; 1 << 20]) <= CAPACITY);
}

#[test]
fn input_waits_on_the_host_while_the_guest_takes_none() {
    let (mut ours, backend) = pair();
    let mut bench = Bench::new(backend);
    let sent: Vec<u8> = (0..3 * INPUT).map(|i| (i / 7) as u8).collect();
    ours.set_nonblocking(false).unwrap();
    ours.write_all(&sent).unwrap();
    bench.turn();
    assert_eq!(bench.guest.input_waiting(), INPUT);

    let mut seen: Vec<u8> = Vec::new();
    while seen.len() < sent.len() {
        let mut data = [0; 100];
        let n = bench.guest.read(&mut data);
        assert!(n > 0, "input stopped after {} bytes", seen.len());
        seen.extend(&data[..n]);
        bench.turn();
    }
    assert_eq!(seen, sent);
}

#[test]
fn each_attached_client_gets_what_was_kept_and_what_follows() {
    let mut bench = Bench::new(Backend::null());
    bench.guest.write(b"early ");
    let first = bench.attach();
    bench.guest.write(b"late");
    let second = bench.attach();
    bench.turn();
    assert_eq!(read(&first), b"early late");
    assert_eq!(read(&second), b"early late");
}

#[test]
fn client_that_does_not_read_holds_nobody() {
    let (ours, backend) = pair();
    let mut bench = Bench::new(backend);
    let idle = bench.attach();
    for _ in 0..2000 {
        assert_eq!(bench.guest.try_write(&[b'x'; 500]), 500);
        bench.turn();
        assert_eq!(read(&ours).len(), 500);
    }
    drop(idle);
    bench.guest.write(b"still here");
    bench.turn();
    assert_eq!(read(&ours), b"still here");
}

#[test]
fn client_beyond_the_cap_is_refused_until_another_hangs_up() {
    let mut bench = Bench::new(Backend::null());
    let mut clients: Vec<_> = (0..16).map(|_| bench.attach()).collect();
    let (_ours, theirs) = UnixStream::pair().unwrap();
    let refused = bench.host.attach(theirs.into(), &mut bench.cx.context());
    assert!(matches!(refused, Err(AttachError::TooMany)));
    clients.pop();
    bench.turn();
    bench.attach();
}

#[test]
fn file_gets_all_output_appended() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("console.log");
    std::fs::write(&path, "before\n").unwrap();
    let mut bench = Bench::new(Backend::file(&path, None).unwrap());
    for _ in 0..100 {
        assert_eq!(bench.guest.try_write(&[b'x'; 1000]), 1000);
        bench.turn();
    }
    let seen = std::fs::read(&path).unwrap();
    assert_eq!((seen.len(), &seen[..8]), (100_007, &b"before\nx"[..]));
}

#[test]
fn file_with_a_limit_keeps_its_last_lines() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("console.log");
    std::fs::write(&path, "before\n").unwrap();
    let mut bench = Bench::new(Backend::file(&path, Some(16_384)).unwrap());
    let mut longest = 0;
    for line in 0..5_000 {
        bench.guest.write(format!("line {line}\n").as_bytes());
        bench.turn();
        longest = longest.max(std::fs::metadata(&path).unwrap().len());
    }
    assert!((16_000..=16_384).contains(&longest), "{longest}");
    let text = std::fs::read_to_string(&path).unwrap();
    let first: usize = text.lines().next().unwrap()["line ".len()..].parse().unwrap();
    assert!(text.len() > 8_000);
    assert!(text.lines().map(str::to_owned).eq((first..5_000).map(|n| format!("line {n}"))));
}

#[test]
fn named_pipe_has_no_limit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let mut bench = Bench::new(Backend::file(&path, Some(16_384)).unwrap());
    let mut reader = std::fs::File::open(&path).unwrap();
    for _ in 0..100 {
        assert_eq!(bench.guest.try_write(&[b'x'; 1000]), 1000);
        bench.turn();
        reader.read_exact(&mut [0; 1000]).unwrap();
    }
}

#[test]
fn file_that_cannot_be_opened_is_named() {
    let error = Backend::file(std::path::Path::new("/nonexistent/log"), None).unwrap_err();
    assert_eq!(error.to_string(), "failed to open /nonexistent/log for console output");
}

#[test]
fn named_pipe_without_a_reader_is_opened_without_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let mut bench = Bench::new(Backend::file(&path, None).unwrap());
    bench.guest.write(b"hello");
    bench.turn();
    assert_eq!(read(std::fs::File::open(&path).unwrap()), b"hello");
}

#[test]
fn regular_file_as_input_is_read_to_its_end() {
    let file = tempfile::tempfile().unwrap();
    rustix::io::pwrite(&file, &[b'i'; INPUT + 100], 0).unwrap();
    let null = std::fs::File::options().write(true).open("/dev/null").unwrap();
    let mut bench = Bench::new(Backend::streams(file.as_fd(), null.as_fd()).unwrap());
    bench.turn();
    let mut data = [0; 2 * INPUT];
    assert_eq!(bench.guest.read(&mut data), INPUT);
    bench.turn();
    assert_eq!(bench.guest.read(&mut data), 100);
    bench.turn();
    assert_eq!(bench.guest.read(&mut data), 0);
}

#[test]
fn pseudo_terminal_passes_bytes_as_they_are() {
    let (backend, path) = Backend::pty().unwrap();
    let mut bench = Bench::new(backend);
    bench.guest.write(b"a\nb\r");
    bench.turn();
    let mut terminal = std::fs::File::options().read(true).write(true).open(path).unwrap();
    assert_eq!(read(&terminal), b"a\nb\r");
    terminal.write_all(b"\x03\n").unwrap();
    drop(terminal);
    // The kernel passes it on in its own time.
    assert_eq!(bench.cx.turn(&mut bench.host, 10_000).unwrap(), 1);
    let mut data = [0; 8];
    assert_eq!((bench.guest.read(&mut data), &data[..2]), (2, &b"\x03\n"[..]));
}

#[test]
fn socket_serves_one_client_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("console.sock");
    let mut bench = Bench::new(Backend::socket(&path).unwrap());
    bench.guest.write(b"boot ");
    let first = UnixStream::connect(&path).unwrap();
    let second = UnixStream::connect(&path).unwrap();
    second.set_nonblocking(true).unwrap();
    bench.turn();
    assert_eq!(read(&first), b"boot ");
    assert_eq!(read(&second), b"");
    drop(first);
    bench.guest.write(b"done");
    bench.turn();
    assert_eq!(read(&second), b"boot done");
}

#[test]
fn stream_on_a_loop_serves_its_clients() {
    let (handle, thread) = EventLoop::spawn("console", || {}).unwrap();
    let (guest, stream) = Stream::start(Backend::null(), CAPACITY, &handle).unwrap();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    guest.write(b"hello");
    stream.attach(theirs).unwrap();
    let mut data = [0; 5];
    ours.read_exact(&mut data).unwrap();
    assert_eq!(&data, b"hello");
    assert_eq!(stream.log().tail(2), b"lo");
    handle.end();
    thread.join().unwrap();
}
