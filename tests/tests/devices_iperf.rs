//! Network cards under iperf3, with all offloads and with several queues. Needs root, for taps.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::Value;
use tests::{Kernel, RunningVm, Tap, TestVm};

/// iperf3's server on the host; ended with this value.
struct Server(Child);

impl Server {
    fn start(tap: &Tap) -> anyhow::Result<Self> {
        let mut child = Command::new("iperf3")
            .args(["--server", "--forceflush", "--bind", &tap.host().to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .context("start iperf3")?;
        let output = child.stdout.take().context("iperf3 has no output")?;
        let server = Self(child);
        for line in BufReader::new(output).lines() {
            if line?.starts_with("Server listening") {
                return Ok(server);
            }
        }
        anyhow::bail!("iperf3's server has ended")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only for a process that has been reaped.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs iperf3 in the guest for a second; gives the bytes that arrived at the other end.
fn iperf(vm: &RunningVm, tap: &Tap, options: &str) -> anyhow::Result<u64> {
    let report = vm.exec(&format!("iperf3 --client {} --time 1 --json {options}", tap.host()))?;
    let report: Value = serde_json::from_str(&report)?;
    let sum = ["sum_received", "sum"].iter().find_map(|name| report["end"][name]["bytes"].as_u64());
    sum.with_context(|| format!("nothing arrived: {report:#}"))
}

/// Mean length of the frames that an interface has counted.
fn mean_frame(bytes: &str, packets: &str) -> anyhow::Result<u64> {
    Ok(bytes.trim().parse::<u64>()? / packets.trim().parse::<u64>()?.max(1))
}

/// Whether the host's taps know of segmented UDP (Linux 6.2).
fn host_segments_udp() -> anyhow::Result<bool> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = release.split('.').map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        anyhow::bail!("{release:?} is no kernel's release");
    };
    Ok((major, minor) >= (6, 2))
}

#[test]
fn offloads_are_negotiated_and_carry_large_frames_both_ways() -> anyhow::Result<()> {
    let tap = Tap::make(3)?;
    let vm = TestVm::new(Kernel::Bulkhead612)?.with_card(&tap, |_| ())?.boot()?;
    tap.set_up(&vm)?;
    let segments_udp = host_segments_udp()?;
    let udp = if segments_udp { "tx-udp-segmentation: on" } else { "tx-udp-segmentation: off" };
    let offloads = vm.exec("ethtool -k eth0")?;
    for wanted in [
        "rx-checksumming: on",
        "tx-checksumming: on",
        "scatter-gather: on",
        "tx-tcp-segmentation: on",
        "tx-tcp-ecn-segmentation: on",
        "tx-tcp6-segmentation: on",
        "generic-receive-offload: on",
        udp,
    ] {
        assert!(offloads.contains(wanted), "no {wanted:?} in:\n{offloads}");
    }
    // VIRTIO 1.3 §5.1.3: what no line of ethtool shows. GUEST_TSO4, _TSO6, _ECN, _UFO, HOST_TSO4,
    // _TSO6, _ECN, _UFO, MRG_RXBUF; GUEST_USO4, _USO6 and HOST_USO.
    let features = vm.exec("cat /sys/class/net/eth0/device/features")?;
    assert_eq!(&features[7..16], "111111111", "{features}");
    assert_eq!(&features[54..57], if segments_udp { "111" } else { "000" }, "{features}");

    let _server = Server::start(&tap)?;
    let sent = iperf(&vm, &tap, "")?;
    let counted = |name: &str| {
        let path = format!("/sys/class/net/{}/statistics/{name}", tap.name());
        fs::read_to_string(&path).with_context(|| format!("read {path}"))
    };
    let frame = mean_frame(&counted("rx_bytes")?, &counted("rx_packets")?)?;
    assert!(frame > 1600, "{sent} bytes left the guest in frames of {frame} bytes");

    let before = vm.exec("cat /sys/class/net/eth0/statistics/rx_packets")?;
    let received = iperf(&vm, &tap, "--reverse")?;
    let after = vm.exec("cat /sys/class/net/eth0/statistics/rx_packets")?;
    let frames = (after.parse::<u64>()? - before.parse::<u64>()?).to_string();
    let frame = mean_frame(&received.to_string(), &frames)?;
    assert!(frame > 1600, "{received} bytes came to the guest in frames of {frame} bytes");

    // Datagrams that must be cut into fragments, or are left in one piece.
    let datagrams = iperf(&vm, &tap, "--udp --length 8000 --bitrate 20M")?;
    assert!(datagrams > 0, "no datagram arrived");
    Ok(())
}

#[test]
fn each_pair_of_queues_carries_frames() -> anyhow::Result<()> {
    let tap = Tap::multi_queue(4)?;
    let vm = TestVm::new(Kernel::Bulkhead612)?
        .cpus(2)
        .with_card(&tap, |card| card.queue_pairs = 2)?
        .boot()?;
    tap.set_up(&vm)?;
    let channels = vm.exec("ethtool -l eth0 | grep Combined")?;
    assert_eq!(channels.split_whitespace().collect::<Vec<_>>(), ["Combined:", "2"].repeat(2));
    assert_eq!(vm.exec("ls /sys/class/net/eth0/queues")?, "rx-0\nrx-1\ntx-0\ntx-1");

    let _server = Server::start(&tap)?;
    for processor in ["1", "2"] {
        let pinned = format!("taskset {processor} ping -c 3 -W 5 {}", tap.host());
        vm.exec(&pinned)?;
    }
    ensure!(iperf(&vm, &tap, "--parallel 4 --reverse")? > 0, "nothing arrived");
    for queue in 0..4 {
        let labels = format!("{{device=\"eth0\",kind=\"net\",queue=\"{queue}\"}}");
        let frames = vm.metric(&format!("bulkhead_queue_requests_total{labels}"))?;
        assert!(frames > 0, "queue {queue} carried nothing");
    }

    vm.exec("ethtool -L eth0 combined 1")?;
    vm.exec(&format!("ping -c 2 -W 5 {}", tap.host()))?;
    Ok(())
}
