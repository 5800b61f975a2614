//! A client's bytes on the API socket: each request gets an answer or ends the connection, and
//! what is configured stays a document.
#![no_main]

use api::http::{Connection, Limits};
use api::vm::config_state::{ConfigState, Identity, NoHost, Step};
use api::vm::{Target, route};
use libfuzzer_sys::fuzz_target;
use tokio::io::AsyncWriteExt;

const REQUESTS: usize = 16;
/// Room for the client's bytes and for what the server says in between.
const BUFFER: usize = 1 << 20;

fn state() -> ConfigState {
    ConfigState::new(Identity {
        id: "fuzz".into(),
        app_name: "fuzz".into(),
        version: "0".into(),
        board: vm_spec::BoardSpec::default(),
    })
}

/// Lets the machine take a request, as if the monitor could do all that it is asked.
fn answer(state: &mut ConfigState, method: &str, path: &str, body: &[u8]) {
    let Ok(routed) = route(method, path, body) else { return };
    if let Target::Vm(request) = routed.target
        && let Ok(Step::Operate(_, pending)) = state.handle(request, &mut NoHost)
    {
        state.commit(pending);
    }
    if let Ok(spec) = state.spec() {
        let text = serde_json::to_string(&spec).expect("a document can be written");
        let again = serde_json::from_str::<vm_spec::VmSpec>(&text);
        assert_eq!(again.expect("what was written can be read"), spec);
    }
}

async fn serve(bytes: &[u8]) {
    let (mut client, server) = tokio::io::duplex(BUFFER);
    client.write_all(bytes.get(..BUFFER).unwrap_or(bytes)).await.expect("it fits");
    client.shutdown().await.expect("it closes");
    let limits = Limits::default();
    let mut connection = Connection::new(server, limits);
    let mut state = state();
    for _ in 0..REQUESTS {
        let Ok(Some(request)) = connection.receive().await else { return };
        assert!(request.body.len() <= limits.body, "bodies are limited");
        answer(&mut state, &request.head.method, &request.head.path, &request.body);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(serve(bytes));
});
