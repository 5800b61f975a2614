//! A machine without a guest behind a real API server: for trying clients, and for conformance
//! tests of the API alone. Nothing that the configuration names is opened.
//!
//! Usage: `cargo run -p api --example pretend_vm -- SOCKET`

use std::os::unix::net::{UnixListener, UnixStream};

use api::metrics::MetricFamily;
use api::vm::config_state::{ConfigState, Identity, NoHost, Operation};
use api::vm::wire::BalloonHintingStatus;
use api::vm::{EventHub, Server, ServerOptions, VmFault, VmResponse, mailbox};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let socket = std::env::args().nth(1).ok_or("usage: pretend_vm SOCKET")?;
    let events = EventHub::new();
    let options = ServerOptions { events: events.clone(), ..ServerOptions::default() };
    let (controller, incoming) = mailbox(|| {});
    let (server, _stopper) = Server::new(UnixListener::bind(socket)?, controller, options)?;
    let api = std::thread::Builder::new().name("api".into()).spawn(|| server.run())?;
    let mut state = ConfigState::new(Identity {
        id: "pretend".into(),
        app_name: "Bulkhead".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        board: vm_spec::BoardSpec::default(),
    });
    let mut monitor = Monitor { events, metadata: None };
    while let Ok((request, reply)) = incoming.wait() {
        let answer = state.answer(request, &mut NoHost, |_, operation| monitor.operate(operation));
        reply.send(answer);
    }
    api.join().map_err(|_| "the API server failed")?;
    Ok(())
}

struct Monitor {
    events: EventHub,
    metadata: Option<Value>,
}

impl Monitor {
    fn operate(&mut self, operation: Operation) -> Result<VmResponse, VmFault> {
        let event = match operation {
            Operation::Start(_) => "started",
            Operation::Pause => "paused",
            Operation::Resume => "resumed",
            Operation::BalloonStats => return Ok(VmResponse::BalloonStats(Box::default())),
            Operation::BalloonHinting => {
                return Ok(VmResponse::BalloonHinting(BalloonHintingStatus::default()));
            }
            Operation::GetMmds => {
                return Ok(VmResponse::Mmds(self.metadata.clone().unwrap_or_default()));
            }
            Operation::PutMmds(document) => {
                self.metadata = Some(document);
                return Ok(VmResponse::Empty);
            }
            Operation::PatchMmds(_) if self.metadata.is_none() => {
                return Err(VmFault::Mmds("The MMDS data store is not initialized.".into()));
            }
            Operation::Metrics => {
                let up = MetricFamily::gauge("bulkhead_up", "Whether the machine is there");
                return Ok(VmResponse::Metrics(vec![up.with(vec![], 1)]));
            }
            Operation::AttachConsole(_) => return echo_console(),
            _ => return Ok(VmResponse::Empty),
        };
        self.events.publish(event, json!({}));
        Ok(VmResponse::Empty)
    }
}

/// A console that says what it is told.
fn echo_console() -> Result<VmResponse, VmFault> {
    let failed = |error: std::io::Error| VmFault::Internal(error.to_string());
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    let mut reader = ours.try_clone().map_err(failed)?;
    std::thread::spawn(move || std::io::copy(&mut reader, &mut &ours));
    Ok(VmResponse::Console(theirs))
}
