//! The metrics that say at a glance what a machine has done.

use serde::Serialize;

/// Sums over processors, devices and queues, since the machine's start.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Summary {
    vcpu_exits: u64,
    interrupts: u64,
    disk_read_bytes: u64,
    disk_written_bytes: u64,
    net_received_bytes: u64,
    net_sent_bytes: u64,
    console_bytes: u64,
    /// Requests that failed or broke the rules.
    faults: u64,
}

impl Summary {
    /// Reads them from Prometheus' text format. What the machine does not have counts as 0.
    pub(super) fn of(text: &str) -> Self {
        let mut summary = Self::default();
        for (name, value) in text.lines().filter_map(sample) {
            let sum = match name {
                "bulkhead_vcpu_exits_total" => &mut summary.vcpu_exits,
                "bulkhead_queue_interrupts_total" => &mut summary.interrupts,
                "bulkhead_block_read_bytes_total" => &mut summary.disk_read_bytes,
                "bulkhead_block_write_bytes_total" => &mut summary.disk_written_bytes,
                "bulkhead_net_rx_bytes_total" => &mut summary.net_received_bytes,
                "bulkhead_net_tx_bytes_total" => &mut summary.net_sent_bytes,
                "bulkhead_serial_write_bytes_total" => &mut summary.console_bytes,
                "bulkhead_queue_malformed_total" | "bulkhead_queue_errors_total" => {
                    &mut summary.faults
                }
                _ => continue,
            };
            *sum = sum.saturating_add(value);
        }
        summary
    }

    /// What each number counts, and the number.
    pub(super) fn lines(&self) -> [(&'static str, u64); 8] {
        [
            ("exits to the monitor", self.vcpu_exits),
            ("interrupts from queues", self.interrupts),
            ("bytes read from disks", self.disk_read_bytes),
            ("bytes written to disks", self.disk_written_bytes),
            ("bytes received from networks", self.net_received_bytes),
            ("bytes sent to networks", self.net_sent_bytes),
            ("bytes on the serial console", self.console_bytes),
            ("failed requests to devices", self.faults),
        ]
    }
}

/// Name and whole value of a line such as `name{label="x"} 3`. Labels may hold spaces.
fn sample(line: &str) -> Option<(&str, u64)> {
    let (series, value) = line.rsplit_once(' ')?;
    let name = series.split('{').next()?;
    Some((name, value.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_a_family_are_summed() {
        let text = "# HELP bulkhead_vcpu_exits_total Exits 5\n\
                    # TYPE bulkhead_vcpu_exits_total counter\n\
                    bulkhead_vcpu_exits_total{vcpu=\"0\",reason=\"io in\"} 3\n\
                    bulkhead_vcpu_exits_total{vcpu=\"1\",reason=\"mmio\"} 4\n\
                    bulkhead_boot_phase_seconds{phase=\"a\"} 0.5\n\
                    bulkhead_serial_write_bytes_total 9\n";
        let expected = Summary { vcpu_exits: 7, console_bytes: 9, ..Summary::default() };
        assert_eq!(Summary::of(text), expected);
    }
}
