//! The 16550 serial port: its registers are vm-superio's, this adds what is around them.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use log::error;
use vm_superio::serial::{Error, SerialEvents};
use vm_superio::{Serial, Trigger};
use vmm_sys_util::eventfd::EventFd;

use crate::bus::BusDevice;
use crate::interrupt::IrqLine;
use crate::metrics::Counter;
use crate::occurrences::Occurrences;
use crate::rate_limiter::TokenBucket;

/// First port of COM1.
pub const PORT: u64 = 0x3f8;
/// Number of ports.
pub const PORTS: u64 = 8;
/// Interrupt of COM1.
pub const IRQ: u32 = 4;

/// What is counted.
#[derive(Debug, Default)]
pub struct SerialMetrics {
    /// Bytes that the guest wrote.
    pub written: Counter,
    /// Of these, bytes that were dropped: over the limit, or the sink failed.
    pub lost: Counter,
    /// Bytes that the guest read.
    pub read: Counter,
}

struct Line(Arc<dyn IrqLine>);

impl Trigger for Line {
    type E = io::Error;

    fn trigger(&self) -> io::Result<()> {
        self.0.trigger()
    }
}

/// Counts, and says when the guest can take more input.
struct Events {
    metrics: Arc<SerialMetrics>,
    room: EventFd,
}

impl SerialEvents for Events {
    fn buffer_read(&self) {
        self.metrics.read.increment();
    }
    fn out_byte(&self) {
        self.metrics.written.increment();
    }
    fn tx_lost_byte(&self) {
        self.metrics.lost.increment();
    }
    fn in_buffer_empty(&self) {
        // Fails only when the count is full: then it is signalled.
        let _ = self.room.write(1);
    }
}

/// What the guest's output goes through.
struct Output {
    sink: Box<dyn Write + Send>,
    limit: Option<TokenBucket>,
    metrics: Arc<SerialMetrics>,
}

impl Write for Output {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if let Some(limit) = &mut self.limit
            && limit.consume(data.len() as u64, Instant::now()).is_err()
        {
            self.metrics.lost.add(data.len() as u64);
            return Ok(data.len());
        }
        self.sink.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// A serial port. Its sink must not block.
pub struct SerialPort {
    uart: Mutex<Serial<Line, Events, Output>>,
    metrics: Arc<SerialMetrics>,
    failures: Occurrences,
}

impl SerialPort {
    /// A port that interrupts on `line` and writes to `sink`, up to `limit`.
    pub fn new(
        line: Arc<dyn IrqLine>,
        sink: Box<dyn Write + Send>,
        limit: Option<TokenBucket>,
    ) -> io::Result<Self> {
        let metrics = Arc::<SerialMetrics>::default();
        let room = EventFd::new(libc::EFD_NONBLOCK)?;
        let events = Events { metrics: Arc::clone(&metrics), room };
        let output = Output { sink, limit, metrics: Arc::clone(&metrics) };
        let uart = Serial::with_events(Line(line), events, output);
        Ok(Self { uart: Mutex::new(uart), metrics, failures: Occurrences::new() })
    }

    /// What is counted.
    pub fn metrics(&self) -> &SerialMetrics {
        &self.metrics
    }

    /// Signalled when the guest has read all of its input.
    pub fn room_event(&self) -> io::Result<EventFd> {
        self.lock().events().room.try_clone()
    }

    /// Gives the guest input; returns how many bytes it had room for.
    pub fn input(&self, data: &[u8]) -> usize {
        match self.lock().enqueue_raw_bytes(data) {
            Ok(count) => count,
            Err(Error::FullFifo) => 0,
            Err(e) => {
                self.fail(&e);
                0
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Serial<Line, Events, Output>> {
        self.uart.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, error: &Error<io::Error>) {
        if let Some(count) = self.failures.next() {
            error!("serial port: {error:?} (failures so far: {count})");
        }
    }
}

impl BusDevice for SerialPort {
    fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        if let ([value], Ok(offset)) = (data, u8::try_from(offset)) {
            *value = self.lock().read(offset);
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        let ([value], Ok(offset)) = (data, u8::try_from(offset)) else { return };
        if let Err(e) = self.lock().write(offset, *value) {
            self.fail(&e);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::super::testing::Edges;
    use super::*;
    use crate::char::{Backend, Stream};
    use crate::rate_limiter::BucketConfig;
    use crate::virtio::event_loop::EventLoop;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(data);
            Ok(data.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn port(limit: Option<TokenBucket>) -> (SerialPort, Sink) {
        let sink = Sink::default();
        let line = Arc::<Edges>::default();
        let output = Box::new(sink.clone());
        (SerialPort::new(line, output, limit).unwrap(), sink)
    }

    fn print(port: &SerialPort, text: &[u8]) {
        for byte in text {
            port.write(0, &[*byte]);
        }
    }

    #[test]
    fn output_reaches_the_sink_and_is_counted() {
        let (port, sink) = port(None);
        print(&port, b"hello");
        assert_eq!(*sink.0.lock().unwrap(), b"hello");
        assert_eq!(port.metrics().written.get(), 5);
    }

    #[test]
    fn input_waits_for_room_and_room_is_signalled() {
        let (port, _) = port(None);
        let room = port.room_event().unwrap();
        assert_eq!(port.input(&[b'a'; 100]), 64);
        assert_eq!(port.input(b"b"), 0);
        let mut data = [0];
        for _ in 0..64 {
            port.read(0, &mut data);
            assert_eq!(data, [b'a']);
        }
        assert_eq!(room.read().unwrap(), 1);
        assert_eq!(port.input(b"b"), 1);
    }

    #[test]
    fn output_over_the_limit_is_dropped_and_counted() {
        let config = BucketConfig { size: 3, one_time_burst: 0, refill_time_ms: 3_600_000 };
        let (port, sink) = port(TokenBucket::new(config, Instant::now()));
        print(&port, b"hello");
        assert_eq!(*sink.0.lock().unwrap(), b"hel");
        assert_eq!(port.metrics().lost.get(), 2);
    }

    /// Bytes of memory that this process holds.
    fn resident() -> usize {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        4096 * statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap()
    }

    #[test]
    fn megabytes_printed_with_nobody_reading_hold_nobody_and_grow_nothing() {
        let (_idle, host) = UnixStream::pair().unwrap();
        let backend = Backend::streams(host.as_fd(), host.as_fd()).unwrap();
        let (event_loop, thread) = EventLoop::spawn("test", || {}).unwrap();
        let (stream, _keep) = Stream::start(backend, 64 << 10, &event_loop).unwrap();
        let line = Arc::<Edges>::default();
        let port = SerialPort::new(line, Box::new(stream.clone()), None).unwrap();
        let line = [b'x'; 1000];
        (0..1_000).for_each(|_| print(&port, &line));
        let before = resident();
        (0..16_000).for_each(|_| print(&port, &line));
        assert!(resident() < before + 1_000_000, "{} after {before}", resident());
        assert_eq!(port.metrics().written.get(), 17_000_000);
        assert_eq!(stream.log().tail(1), b"x");
        event_loop.end();
        thread.join().unwrap();
    }

    #[test]
    fn wide_access_is_ignored() {
        let (port, sink) = port(None);
        port.write(0, b"ab");
        let mut data = [0xff; 2];
        port.read(5, &mut data);
        assert_eq!((data, sink.0.lock().unwrap().len()), ([0; 2], 0));
    }
}
