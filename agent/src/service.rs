//! The agent as an ordinary program: for trials and tests without a machine around it.

use std::{path::PathBuf, process::ExitCode};

use rustix::process::set_child_subreaper;

use crate::{
    container,
    init::chain,
    server::{Server, since_boot, transport::Transport},
};

const USAGE: &str = "bulkhead-agent is the first process of a virtual machine.
Outside of one, for trials:
  bulkhead-agent --listen SOCKET [--ready SOCKET [--disks FOLDER]]
  bulkhead-agent --listen-vsock PORT --peer CID";

/// Serves on what the arguments say until SIGTERM, SIGINT or a request to power off.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let Some((transport, disks)) = parse(arguments) else {
        crate::say!("{USAGE}");
        return ExitCode::from(2);
    };
    // As PID 1 does, so that orphans are reaped.
    if let Err(error) = set_child_subreaper(rustix::process::Pid::from_raw(1)) {
        crate::say!("orphans will not be reaped: {error}");
    }
    let machine = container::for_trials(disks);
    let served = Server::new(transport, machine, since_boot()).and_then(|mut server| {
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

/// How it is reached, and where disks for containers are found.
fn parse(arguments: &[String]) -> Option<(Transport, PathBuf)> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let unix = |socket: &str, ready: Option<&str>| Transport::Unix {
        socket: PathBuf::from(socket),
        ready: ready.map(PathBuf::from),
    };
    let nowhere = PathBuf::from("/nonexistent");
    match arguments.as_slice() {
        ["--listen", socket] => Some((unix(socket, None), nowhere)),
        ["--listen", socket, "--ready", ready] => Some((unix(socket, Some(ready)), nowhere)),
        ["--listen", socket, "--ready", ready, "--disks", disks] => {
            Some((unix(socket, Some(ready)), PathBuf::from(disks)))
        }
        ["--listen-vsock", port, "--peer", peer] => {
            let port = port.parse().ok()?;
            let peer = peer.parse().ok()?;
            Some((Transport::Vsock { port, ready_port: port, peer }, nowhere))
        }
        _ => None,
    }
}
