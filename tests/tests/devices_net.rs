//! Network cards over a tap of the host. Needs root there, to make the tap.

use std::io::{Read, Write};

use tests::{Kernel, RunningVm, Tap, TestVm, pattern};
use vm_spec::Transport;

/// Sends the guest `content` and takes it back, over TCP.
fn exchange_with_the_guest(transport: Transport, network: u8) -> anyhow::Result<()> {
    let (tap, mac) = (Tap::make(network)?, "06:00:ac:1f:00:02");
    let address = mac.parse()?;
    let vm = TestVm::new(Kernel::Bulkhead612)?
        .transport(transport)
        .with_card(&tap, |card| {
            card.mac = Some(address);
            card.mtu = Some(1400);
        })?
        .boot()?;
    assert_eq!(vm.exec("cat /sys/class/net/eth0/address")?, mac);
    assert_eq!(vm.exec("cat /sys/class/net/eth0/mtu")?, "1400");
    tap.set_up(&vm)?;
    pull_the_cable_and_plug_it_in(&vm)?;
    vm.exec(&format!("ping -c 2 -W 5 {}", tap.host()))?;

    let content = pattern(16 << 20);
    tap.serve(&vm, "nc HOST >/tmp/content", |mut stream| Ok(stream.write_all(&content)?))?;
    let returned = tap.serve(&vm, "nc HOST </tmp/content", |mut stream| {
        let mut returned = Vec::new();
        stream.read_to_end(&mut returned)?;
        Ok(returned)
    })?;
    assert!(returned == content, "{} bytes came back of {}", returned.len(), content.len());
    Ok(())
}

/// The guest's driver hears of both.
fn pull_the_cable_and_plug_it_in(vm: &RunningVm) -> anyhow::Result<()> {
    for (up, carrier) in [(false, 0), (true, 1)] {
        vm.api().set_link("eth0", up)?;
        let seen = format!("grep -qx {carrier} /sys/class/net/eth0/carrier");
        vm.exec(&format!("timeout 60 sh -c 'until {seen}; do sleep 0.1; done'"))?;
    }
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
