//! Network cards over a tap of the host. Needs root there, to make the tap.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::thread;

use anyhow::ensure;
use rustix::net::{Shutdown, shutdown};
use tests::{Kernel, TestVm, pattern};
use vm_spec::{Component, NetSpec, TapSpec, Transport};

/// A tap with an address; gone with this value.
struct Tap {
    name: String,
    host: Ipv4Addr,
    guest: Ipv4Addr,
}

impl Tap {
    /// Tests that run at the same time take different networks.
    fn make(network: u8) -> anyhow::Result<Self> {
        let tap = Self {
            name: format!("bhtest{network}"),
            host: Ipv4Addr::new(172, 31, network, 1),
            guest: Ipv4Addr::new(172, 31, network, 2),
        };
        ip(&format!("tuntap add dev {} mode tap", tap.name))?;
        ip(&format!("addr add {}/24 dev {}", tap.host, tap.name))?;
        ip(&format!("link set {} up", tap.name))?;
        Ok(tap)
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

/// Sends the guest `content` and takes it back, over TCP.
fn exchange_with_the_guest(transport: Transport, network: u8) -> anyhow::Result<()> {
    let tap = Tap::make(network)?;
    let mut card = NetSpec::new("tap".parse()?);
    card.mac = Some("06:00:ac:1f:00:02".parse()?);
    let vm = TestVm::new(Kernel::Bulkhead612)?
        .transport(transport)
        .with("eth0", Component::Net(card))?
        .with("tap", Component::Tap(TapSpec { name: tap.name.clone() }))?
        .boot()?;
    assert_eq!(vm.exec("cat /sys/class/net/eth0/address")?, "06:00:ac:1f:00:02");
    vm.exec(&format!("ip addr add {}/24 dev eth0 && ip link set eth0 up", tap.guest))?;
    vm.exec(&format!("ping -c 2 -W 5 {}", tap.host))?;
    let offloads = vm.exec("ethtool -k eth0")?;
    for on in ["tx-checksumming: on", "tcp-segmentation-offload: on"] {
        assert!(offloads.contains(on), "no {on:?} in:\n{offloads}");
    }

    let listener = TcpListener::bind((tap.host, 0))?;
    let port = listener.local_addr()?.port();
    let content = pattern(16 << 20);
    let returned = thread::scope(|scope| {
        let served = scope.spawn(|| {
            let (mut stream, _) = listener.accept()?;
            stream.write_all(&content)?;
            drop(stream);
            let (mut stream, _) = listener.accept()?;
            let mut returned = Vec::new();
            stream.read_to_end(&mut returned)?;
            anyhow::Ok(returned)
        });
        let address = format!("{} {port}", tap.host);
        let asked = vm.exec(&format!("nc {address} >/tmp/content && nc {address} </tmp/content"));
        if asked.is_err() {
            // The thread waits for a call that will not come.
            shutdown(&listener, Shutdown::Both)?;
        }
        asked?;
        served.join().expect("the thread does not panic")
    })?;
    assert!(returned == content, "{} bytes came back of {}", returned.len(), content.len());
    Ok(())
}

#[test]
fn guest_exchanges_bytes_with_the_host_on_pci() -> anyhow::Result<()> {
    exchange_with_the_guest(Transport::Pci, 1)
}

#[test]
fn guest_exchanges_bytes_with_the_host_on_mmio() -> anyhow::Result<()> {
    exchange_with_the_guest(Transport::Mmio, 2)
}
