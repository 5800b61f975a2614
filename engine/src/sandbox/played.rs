//! Machines that a test plays: some process for the monitor, and an agent behind its socket.

use std::fs;
use std::process::{Child, Command};
use std::time::Duration;

use launch::{Folder, Process, ProcessId, Record};
use tokio::net::UnixStream;

use super::monitor::Monitor;
use super::{Sandbox, Sandboxes, Vm};
use crate::agent::Agent;
use crate::agent::tests::Played;

/// A machine as an engine left it, and its guest. It ends with this.
pub(crate) struct PlayedMachine {
    pub(crate) guest: Played,
    folder: Folder,
    monitor: Child,
}

impl PlayedMachine {
    /// Whether its monitor was ended, or is about to be gone.
    pub(crate) fn has_ended(&self) -> bool {
        let process = Process::open(self.monitor.id()).unwrap();
        process.wait(Duration::from_secs(5)).unwrap()
    }

    /// It as its engine has it, and the guest's end of the connection to the agent.
    pub(crate) async fn greet(&self) -> (Sandbox, UnixStream) {
        let process = Process::open(self.monitor.id()).unwrap();
        let monitor = Monitor::watch(process, None, self.folder.clone()).unwrap();
        let socket = self.folder.vsock_socket();
        let agent = Agent::connect(&socket, Duration::from_secs(5));
        let (agent, guest) = tokio::join!(agent, self.guest.greet());
        (Sandbox::new(Vm::new(self.folder.clone(), monitor), agent.unwrap()), guest)
    }
}

impl Drop for PlayedMachine {
    fn drop(&mut self) {
        let _ = self.monitor.kill();
        let _ = self.monitor.wait();
    }
}

impl Sandboxes {
    /// A machine that an engine started and then left.
    pub(crate) fn play(&self, id: &str) -> PlayedMachine {
        let folder = self.folder(id);
        fs::create_dir_all(folder.path()).unwrap();
        let monitor = Command::new("sleep").arg("300").spawn().unwrap();
        let process = Some(ProcessId::of(monitor.id()).unwrap());
        let owner = ProcessId::own().unwrap();
        folder.write(&Record { owner, monitor: process, detached: true }).unwrap();
        let guest = Played::at(&folder.vsock_socket());
        PlayedMachine { guest, folder, monitor }
    }
}
