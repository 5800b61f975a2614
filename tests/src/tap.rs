//! Networks of a host and a guest.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use anyhow::ensure;
use rustix::net::{Shutdown, shutdown};

use crate::RunningVm;

/// A tap with an address; gone with this value. Needs root, to be made.
#[derive(Debug)]
pub struct Tap {
    name: String,
    host: Ipv4Addr,
    guest: Ipv4Addr,
}

impl Tap {
    /// A tap for one pair of queues. Tests that run at the same time take different networks.
    ///
    /// # Errors
    ///
    /// The network is in use, or the test may not make it.
    pub fn make(network: u8) -> anyhow::Result<Self> {
        Self::with_mode(network, "mode tap")
    }

    /// A tap for several pairs of queues.
    ///
    /// # Errors
    ///
    /// As [`Tap::make`].
    pub fn multi_queue(network: u8) -> anyhow::Result<Self> {
        Self::with_mode(network, "mode tap multi_queue")
    }

    fn with_mode(network: u8, mode: &str) -> anyhow::Result<Self> {
        let tap = Self {
            name: format!("bhtest{network}"),
            host: Ipv4Addr::new(172, 31, network, 1),
            guest: Ipv4Addr::new(172, 31, network, 2),
        };
        ip(&format!("tuntap add dev {} {mode}", tap.name))?;
        ip(&format!("addr add {}/24 dev {}", tap.host, tap.name))?;
        ip(&format!("link set {} up", tap.name))?;
        Ok(tap)
    }

    /// The interface's name on the host.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host's address.
    pub fn host(&self) -> Ipv4Addr {
        self.host
    }

    /// Gives the guest's `eth0` its address.
    ///
    /// # Errors
    ///
    /// There is no such card in the guest.
    pub fn set_up(&self, vm: &RunningVm) -> anyhow::Result<()> {
        vm.exec(&format!("ip addr add {}/24 dev eth0 && ip link set eth0 up", self.guest))?;
        Ok(())
    }

    /// Runs `line` in the guest, in which `HOST` stands for an address and a port, and serves the
    /// one connection that it makes there.
    ///
    /// # Errors
    ///
    /// The line's, or the connection's.
    pub fn serve<T: Send>(
        &self,
        vm: &RunningVm,
        line: &str,
        serve: impl FnOnce(TcpStream) -> anyhow::Result<T> + Send,
    ) -> anyhow::Result<T> {
        let listener = TcpListener::bind((self.host, 0))?;
        let line = line.replace("HOST", &listener.local_addr()?.to_string().replace(':', " "));
        thread::scope(|scope| {
            let served = scope.spawn(|| serve(listener.accept()?.0));
            let ran = vm.exec(&line);
            if ran.is_err() {
                // The thread may wait for a call that will not come.
                shutdown(&listener, Shutdown::Both)?;
            }
            let served = served.join().expect("the thread does not panic");
            ran?;
            served
        })
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        // One that could not be made is not there either.
        let _ = ip(&format!("link del {}", self.name));
    }
}

fn ip(arguments: &str) -> anyhow::Result<()> {
    let output = Command::new("ip").args(arguments.split(' ')).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {arguments}: {errors}");
    Ok(())
}
