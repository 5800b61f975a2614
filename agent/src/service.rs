//! The agent as an ordinary program: for trials and tests without a machine around it.

use std::{path::PathBuf, process::ExitCode};

use rustix::process::set_child_subreaper;

use crate::{
    init::chain,
    server::{Server, since_boot, transport::Transport},
};

const USAGE: &str = "bulkhead-agent is the first process of a virtual machine.
Outside of one, for trials:
  bulkhead-agent --listen SOCKET [--ready SOCKET]
  bulkhead-agent --listen-vsock PORT --peer CID";

/// Serves on what the arguments say until SIGTERM, SIGINT or a request to power off.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let Some(transport) = parse(arguments) else {
        crate::say!("{USAGE}");
        return ExitCode::from(2);
    };
    // As PID 1 does, so that orphans are reaped.
    if let Err(error) = set_child_subreaper(rustix::process::Pid::from_raw(1)) {
        crate::say!("orphans will not be reaped: {error}");
    }
    let served = Server::new(transport, since_boot()).and_then(|mut server| {
        server.open()?;
        Ok(server)
    });
    let ended = match served {
        Ok(mut server) => server.run(),
        Err(error) => {
            crate::say!("{}", chain(&error));
            return ExitCode::FAILURE;
        }
    };
    match ended {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            crate::say!("event loop failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Option<Transport> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["--listen", socket] => {
            Some(Transport::Unix { socket: PathBuf::from(socket), ready: None })
        }
        ["--listen", socket, "--ready", ready] => Some(Transport::Unix {
            socket: PathBuf::from(socket),
            ready: Some(PathBuf::from(ready)),
        }),
        ["--listen-vsock", port, "--peer", peer] => {
            let port = port.parse().ok()?;
            Some(Transport::Vsock { port, ready_port: port, peer: peer.parse().ok()? })
        }
        _ => None,
    }
}
