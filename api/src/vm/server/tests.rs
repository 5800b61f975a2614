//! A real server on a real socket, with a monitor that only records.

mod http;
mod requests;
mod streams;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard};
use std::thread::JoinHandle;

use super::*;
use crate::vm::client::Client as ApiClient;
use crate::vm::{VmFault, VmRequest, VmResponse};

/// Records requests. What it answers depends on the request alone.
#[derive(Default)]
struct Recorder {
    requests: Mutex<Vec<VmRequest>>,
    /// The monitor's end of the console.
    console: Mutex<Option<UnixStream>>,
    /// Requests to resume are answered when this is notified.
    resume: tokio::sync::Notify,
}

impl Recorder {
    fn requests(&self) -> MutexGuard<'_, Vec<VmRequest>> {
        self.requests.lock().unwrap()
    }
}

impl VmController for Recorder {
    async fn call(&self, request: VmRequest) -> Result<VmResponse, VmFault> {
        self.requests().push(request.clone());
        match request {
            VmRequest::GetVersion => Ok(VmResponse::Version("1.2.3".into())),
            VmRequest::GetMmds => Ok(VmResponse::Mmds(serde_json::Value::Null)),
            VmRequest::PutMmds(_) => Err(VmFault::MmdsTooLarge),
            VmRequest::GetBalloon => Err(VmFault::BeforeStart),
            VmRequest::GetMetrics => Ok(VmResponse::Metrics(Vec::new())),
            VmRequest::Resume => {
                self.resume.notified().await;
                Ok(VmResponse::Empty)
            }
            VmRequest::AttachConsole(_) => {
                let (ours, theirs) = UnixStream::pair().unwrap();
                *self.console.lock().unwrap() = Some(ours);
                Ok(VmResponse::Console(theirs))
            }
            _ => Ok(VmResponse::Empty),
        }
    }
}

/// A server that ends with the test.
struct TestServer {
    socket: std::path::PathBuf,
    recorder: Arc<Recorder>,
    events: EventHub,
    stopper: Option<Stopper>,
    thread: Option<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl TestServer {
    fn start() -> Self {
        Self::with(ServerOptions::default())
    }

    fn with(options: ServerOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("api.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let recorder = Arc::new(Recorder::default());
        let events = options.events.clone();
        let (server, stopper) = Server::new(listener, Arc::clone(&recorder), options).unwrap();
        let thread = Some(std::thread::spawn(move || server.run()));
        let stopper = Some(stopper);
        Self { socket, recorder, events, stopper, thread, _folder: folder }
    }

    /// A server that gives a request this long.
    fn patient_for(request_time: Duration) -> Self {
        let limits = Limits { request_time, ..Limits::default() };
        Self::with(ServerOptions { limits, ..ServerOptions::default() })
    }

    fn client(&self) -> ApiClient {
        ApiClient::new(&self.socket).with_timeout(Duration::from_secs(20))
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// What the server says to these bytes until it closes the connection.
    fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        read_all(stream)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stopper.take().unwrap().stop(Duration::from_secs(5));
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

fn read_all(mut stream: UnixStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// Reads until what was read ends with `end`.
fn read_until(stream: &mut UnixStream, end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).unwrap()
}
